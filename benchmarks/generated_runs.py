"""Generated run folders for benchmarks: numbers as training writes them, event by event, in shapes that learning has.

Everything is seeded. Each step has all the names that a guided DPO run reports, with as many digits; each evaluation its intervals and
samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deft_core import measures
from deft_core.processes import identity
from deft_core.runs.spec import Run, Settings, write_run
from deft_core.workspace import Workspace, write_json

__all__ = ["append_steps", "evaluate", "finish", "generate_run", "live"]

FIGURES = (
    "accuracy_implicit",
    "accuracy_logp",
    "margin",
    "reward_chosen",
    "reward_rejected",
    "kl",
    "kl_own",
    "answer_tokens",
    "perplexity_neutral",
)
WORDS = ("the", "model", "answers", "what", "was", "asked", "in", "plain", "words", "and", "adds", "a", "reason", "one", "can", "check")


def generate_run(
    workspace: Workspace, run_id: str, steps: int, *, of: int | None = None, evaluations: int = 50, seed: int = 0, **about: Any
) -> Path:
    """A run that has done `steps` of `of` steps; whether it lives or has ended is for `live` and `finish` to say."""
    folder, of = workspace.run(run_id), of or steps
    folder.mkdir(parents=True)
    settings = Settings(steps=of, guidance=0.5, seed=seed)
    known: dict[str, Any] = {
        "rows": 4000,
        "heldout_rows": 64,
        "judge_rows": 0,
        "truncated_rows": 0,
        "control_of": None,
        "scoring_seconds": 300.0,
    }
    known |= {"dataset": "demo", "selection": "best", "version": 1, "score_id": "generated", "model": "smollm2-135m", "max_length": 1024}
    known |= {"layout": "prefix-shared", "own_logits": False, "code": "0.1.0", "omega": 0.5, "name": run_id, "settings": settings}
    known |= {"created": f"2026-01-01T{seed // 3600 % 24:02d}:{seed // 60 % 60:02d}:{seed % 60:02d}.000+00:00"}
    prints: dict[str, str | None] = dict.fromkeys(("data", "d", "tokenizer", "model", "selection"), "0" * 16)
    rule = {"keep": "highest", "by": "reward_chosen", "fraction": 0.05, "where": ""}
    write_run(folder, Run(run_id=run_id, fingerprints=prints, rule=rule, **(known | about)))
    (folder / "metrics.jsonl").write_text(json.dumps({"event": "start", "step": 0, "time": 1.77e9, "of": of, "omega": 0.5}) + "\n")
    append_steps(folder, 0, steps, of, max(1, of // evaluations), seed)
    (folder / "log.txt").write_text("".join(f"step {step}\n" for step in range(max(1, steps - 50), steps + 1)))
    return folder


def append_steps(folder: Path, first: int, last: int, of: int, every: int, seed: int = 0) -> None:
    """The events of the steps after `first` up to `last`, as a worker appends them."""
    rng = np.random.default_rng((seed, first))
    with (folder / "metrics.jsonl").open("a") as events, (folder / "samples.jsonl").open("a") as samples:
        for step in range(first + 1, last + 1):
            if first == 0 and step == 1:
                _evaluation(0, of, rng, events, samples)
            events.write(json.dumps({"event": "step", "step": step, "time": 1.77e9 + step} | _step(step, of, rng)) + "\n")
            if step % every == 0 or step == of:
                _evaluation(step, of, rng, events, samples)


def _step(step: int, of: int, rng: np.random.Generator) -> dict[str, float]:
    share, noise = step / of, rng.normal(size=12)
    margin = 1.2 * share**0.7 + 0.5 * noise[0]
    chosen, reward = 0.2 * share + 0.2 * noise[1], 0.08 + 0.02 * share + 0.01 * noise[2]
    align = float(np.log1p(np.exp(-margin)))
    tokens = {"tokens_chosen": 60.0 + noise[9], "tokens_rejected": 55.0 + noise[10]}
    logps = {"logp_chosen": -120 + 8 * noise[7], "logp_rejected": -118 + 9 * noise[8], "mean_logp_chosen": -2 + 0.1 * noise[7]}
    pace = {
        "pairs_per_second": 0.4 + 0.02 * noise[5],
        "tokens_per_second": 110 + 5 * noise[5],
        "epoch": 4 * share,
        "seconds_left": 10.0 * (of - step),
    }
    return (
        {"loss": align - 0.5 * reward, "loss_align": align, "loss_guidance": -0.5 * reward, "margin": margin}
        | {
            "implicit_chosen": chosen,
            "implicit_rejected": chosen - margin,
            "accuracy_implicit": float(np.clip(round(2 + 2 * share + noise[3]) / 4, 0, 1)),
        }
        | {"accuracy_logp": 0.5, "reward_chosen": reward, "reward_rejected": reward - 0.01 * share - 0.005 + 0.01 * noise[4]}
        | {
            "entropy": 2.2 - 0.5 * share + 0.1 * noise[6],
            "grad_norm": 3 + 9 * np.exp(-8 * share) * abs(noise[6]),
            "memory_bytes": 2.1e9 + 1e6 * noise[9],
        }
        | {"learning_rate": 5e-6 * min(10 * share, (1 - share) / 0.9), "mean_logp_rejected": -2.1 + 0.1 * noise[8]}
        | {name: float(value) for name, value in (tokens | logps | pace).items()}
    )


def _evaluation(step: int, of: int, rng: np.random.Generator, events: Any, samples: Any) -> None:
    share = step / of
    levels = (
        0.5 + 0.14 * share**0.5,
        0.55 + 0.03 * share,
        0.6 * share,
        0.08 + 0.015 * share,
        0.075,
        0.2 * share,
        0.3 * share,
        30 + 8 * share,
        21 + share,
    )
    reach = (0.12, 0.12, 0.15, 0.004, 0.004, 0.02, 0.05, 4, 1.5)
    figures: dict[str, float] = {}
    for name, level, width in zip(FIGURES, levels, reach, strict=True):
        value = float(level + (0.1 * width * rng.normal() if step else 0))
        figures |= {name: value, f"{name}_low": value - width, f"{name}_high": value + width}
    for row in range(3):
        base, own = (" ".join(rng.choice(WORDS, int(12 + 20 * more))) for more in (0.0, share))
        sample = {"step": step, "id": f"row-{row}", "prompt": f"Question {row}: what would you say?", "base": base, "tuned": own}
        samples.write(json.dumps(sample) + "\n")
    events.write(json.dumps({"event": "evaluation", "step": step, "time": 1.77e9 + step} | figures) + "\n")


def live(folder: Path, step: int, of: int) -> None:
    """The run lives, in this process."""
    process = identity()
    said = {"state": "running", "phase": "training", "counted": "training", "done": step, "total": of, "step": step, "of": of}
    write_json(
        folder / "status.json", said | process | {"seconds": 10.0 * step, "seconds_left": 10.0 * (of - step), "pairs_per_second": 0.4}
    )
    queue = folder.parent / ".queue.json"
    entries = json.loads(queue.read_text()) if queue.is_file() else {}
    write_json(queue, entries | {folder.name: {"created": folder.name, "device": "cpu", "after": None, **process}})


def finish(folder: Path, steps: int) -> None:
    """The run has ended well, in a process that is gone."""
    process = {"pid": 2**22 + 1, "started": 1.0}
    write_json(
        folder / "status.json", process | {"state": "finished", "phase": "finished", "step": steps, "of": steps, "seconds": 10.0 * steps}
    )
    write_json(folder / "exit.json", process | {"state": "finished", "code": 0, "message": None, "remedy": None, "step": steps})
    write_json(folder / "trained.json", {"step": steps, "of": steps})


def evaluate(folder: Path, gain: float, seed: int = 0, prompts: int = 64) -> None:
    """An evaluation whose accuracy is so much above chance; prompts are the same for all runs, and so is what is hard about them."""
    rng, hard = np.random.default_rng(seed), np.random.default_rng(0).uniform(size=prompts)
    rows = pd.DataFrame({"id": [f"row-{number:03d}" for number in range(prompts)], "accuracy_implicit_base": 0.5, "margin_base": 0.0})
    rows["accuracy_implicit_tuned"] = (hard + 0.1 * rng.normal(size=prompts) < 0.5 + gain).astype(float)
    rows["margin_tuned"] = 0.5 + gain - hard + 0.1 * rng.normal(size=prompts)
    rows["kl_tuned"], rows["kl_tokens"] = rng.uniform(1, 3, prompts), 20
    neutral = pd.DataFrame({"id": np.arange(64), "tokens": 60, "nats_base": 60 * rng.normal(3, 0.2, 64)})
    neutral["nats_tuned"] = neutral["nats_base"] * rng.normal(1 + gain / 10, 0.003, 64)
    rows.to_parquet(folder / "evaluation_rows.parquet", index=False)
    neutral.to_parquet(folder / "evaluation_neutral.parquet", index=False)
    sections: dict[str, dict[str, Any]] = {"alignment": {}, "generalisation": {}}
    for name, one in measures.figures(rows, neutral).items():
        sections[measures.MEASURES[name].section][name] = one
    judge = {"kind": "none", "name": "", "can_tell": False, "words": "the judge cannot tell"}
    judge |= {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "prompts": prompts}}
    cost = {
        "scoring_seconds": 300.0,
        "training_seconds": 900.0,
        "evaluation_seconds": 200.0,
        "total_seconds": 1400.0,
        "training_tokens": 9e5,
    }
    write_json(
        folder / "evaluation.json", {"run": folder.name, "prompts": prompts, "new_tokens": 64, "judge": judge, "cost": cost} | sections
    )
