"""Pairs a second and peak memory of a training run, beside TRL's DPOTrainer on the same rows in the same order.

    python benchmarks/training.py [--quick] [--json] [--sweep | --profile]

The rows are drawn from a preference set, scored, saved as a selection and prepared as a run, as `deft train` does. Then each arm trains
one epoch of DPO in a process of its own (so that peak memory is its own), AdamW in float32, the same steps of 4 rows; all take turns for
several rounds, and medians are printed. Seconds are of the steps alone: loading, tokenising, evaluations and saving are timed for nobody.

ours        references come from the scoring pass, as they do in a run.
trl         DPOTrainer with precomputed reference log-probabilities, whose computing is not timed.
trl-in-step DPOTrainer with its reference model in memory, asked at each step: its defaults.

Both peers run without gradient checkpointing, with TRL's own fused and chunked LM head, at the micro-batch that is fastest for them on
a CPU (--trl-batch for another; what a step has beyond it is accumulated). --sweep: ours alone, with several limits of tokens a forward;
--profile: where its time goes.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import sources
from bare_runs import DATASET, ROOT, prepared, train
from profiling import print_shares

from deft_core import DEFAULT_MODEL
from deft_core.rule import Rule
from deft_core.runs.spec import Settings, read_run, write_run
from deft_core.workspace import Workspace

ARMS = ("ours", "trl", "trl-in-step")
STEP_ROWS = 4
SWEEP = (256, 512, 1024, 2048)  # padded tokens of a forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 rows, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--source", help=sources.HELP)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trl-batch", type=int, default=1, help="pairs in a micro-batch")
    parser.add_argument("--profile", action="store_true", help="share of our time by kind of operation")
    parser.add_argument("--sweep", action="store_true", help="ours with several limits of tokens a forward")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.source = options.source or sources.default()
    if options.quick:
        options.rows, options.rounds = 8, 1
    if options.arm:
        print(json.dumps(train(options.folder) if options.arm == "ours" else trl(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = ready(options, Path(folder))
        if options.sweep or options.profile:
            (sweep if options.sweep else profile)(options, run)
            return
        rounds = [{arm: child(options, arm, run) for arm in ARMS} for _ in range(options.rounds)]
    report(options, rounds)


def ready(options: argparse.Namespace, folder: Path) -> Path:
    """The folder of a run on so many rows, drawn by chance."""
    from deft_core.importing import import_source
    from deft_core.lm.score_set import ScoreSettings, score

    workspace = Workspace(folder)
    import_source(workspace, options.source, DATASET, heldout=0.1, judge=0)
    score(workspace, DATASET, ScoreSettings(options.model, limit=options.rows * 3 // 2 + 8))
    return prepared(workspace, "bench", Rule("random", count=options.rows), Settings(rows_per_step=STEP_ROWS, eval_rows=2))


def child(options: argparse.Namespace, arm: str, run: Path) -> dict[str, Any]:
    """One arm in a process of its own, over a copy of the run's folder."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(run, Path(folder) / "run")
        command = [sys.executable, __file__, "--arm", arm, "--folder", str(copy), "--model", options.model]
        command += ["--trl-batch", str(options.trl_batch)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def profile(options: argparse.Namespace, run: Path) -> None:
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        found = train(run)
    print_shares(profiled)
    print(f"of {found['steps']:.1f} s in steps and {found['wall'] - found['steps']:.1f} s of loading, reading and saving")
    print(f"{found['tokens'] / found['steps']:.0f} tokens a second over {found['tokens']:,} tokens of {options.rows} rows")


def sweep(options: argparse.Namespace, run: Path) -> None:
    about, found = read_run(run), dict[int, list[dict[str, Any]]]()
    for _ in range(options.rounds):
        for tokens in SWEEP:
            write_run(run, replace(about, settings=replace(about.settings, accumulation_tokens=tokens)))
            found.setdefault(tokens, []).append(child(options, "ours", run))
    for tokens, rounds in found.items():
        seconds, memory = (statistics.median(one[key] for one in rounds) for key in ("steps", "memory_mb"))
        print(f"{tokens:>6} tokens a forward{options.rows / seconds:>10.3f} pairs/s{memory:>8.0f} MB")


def trl(options: argparse.Namespace) -> dict[str, Any]:
    import datasets
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from deft_core.lm import models

    class Ordered(DPOTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = seconds = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = time.perf_counter() - self.began

    run, folder = read_run(options.folder), models.local_folder(options.model)
    texts = rows_in_order(options.folder, run, models.load(options.model, folder).tokenizer)
    steps = run.settings.total_steps(len(texts))
    settings = DPOConfig(
        output_dir=str(options.folder / "trl"),
        per_device_train_batch_size=options.trl_batch,
        gradient_accumulation_steps=STEP_ROWS // options.trl_batch,
        num_train_epochs=1,
        learning_rate=run.settings.learning_rate,
        warmup_steps=math.ceil(run.settings.warmup * steps),
        lr_scheduler_type=run.settings.schedule,
        max_grad_norm=run.settings.max_grad_norm,
        weight_decay=run.settings.weight_decay,
        beta=run.settings.coefficients()["beta"],
        max_length=run.max_length,
        precompute_ref_log_probs=options.arm == "trl",
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        model_init_kwargs={"dtype": "float32"},
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )
    clock = Clock()
    trainer = Ordered(model=str(folder), args=settings, train_dataset=datasets.Dataset.from_list(texts), callbacks=[clock])
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"steps": clock.seconds, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "losses": losses}


def rows_in_order(folder: Path, run: Any, tokenizer: Any) -> list[dict[str, str]]:
    """The run's rows as texts, in the order its steps take them."""
    import pyarrow.parquet as pq

    from deft_core.lm.collator import places_of_step
    from deft_core.lm.tokens import prompt_text

    rows = pq.read_table(folder / "input.parquet").to_pylist()
    texts = [
        {"prompt": prompt_text(tokenizer, row["prompt"]), "chosen": row["responses"][0], "rejected": row["responses"][-1]} for row in rows
    ]
    steps = range(run.settings.total_steps(len(rows)))
    return [texts[place] for step in steps for place in places_of_step(step, len(rows), STEP_ROWS, run.settings.seed)]


def report(options: argparse.Namespace, rounds: list[dict[str, dict[str, Any]]]) -> None:
    def median(arm: str, key: str) -> float:
        return statistics.median(found[arm][key] for found in rounds)

    def ratio(arm: str, key: str) -> float:
        return statistics.median(found["ours"][key] / found[arm][key] for found in rounds)

    first = rounds[0]
    difference = max(abs(a - b) for a, b in zip(first["ours"]["losses"], first["trl"]["losses"], strict=True))
    print(f"{options.rows} rows of {Path(options.source).parent.name}, {options.model}, {options.rounds} rounds interleaved, medians")
    print(f"{'arm':<14}{'pairs/s':>10}{'peak MB':>10}")
    for arm in ARMS:
        print(f"{arm:<14}{options.rows / median(arm, 'steps'):>10.3f}{median(arm, 'memory_mb'):>10.0f}")
    values = {
        "pairs_per_second": round(options.rows / median("ours", "steps"), 3),
        "ratio_trl": round(1 / ratio("trl", "steps"), 2),
        "memory_ratio_trl": round(ratio("trl", "memory_mb"), 3),
        "loss_max_difference": difference,
        "ratio_trl_in_step": round(1 / ratio("trl-in-step", "steps"), 2),
        "memory_ratio_trl_in_step": round(ratio("trl-in-step", "memory_mb"), 3),
        "rows": options.rows,
        "rounds": options.rounds,
        "losses": first["ours"]["losses"],
        "losses_trl": first["trl"]["losses"],
        "peer": f"TRL's DPOTrainer, micro-batches of {options.trl_batch}, no gradient checkpointing, float32, fused LM head",
    }
    for key, value in values.items():
        print(f"{key:<28}{value}")
    if options.json:
        print(json.dumps(values))


if __name__ == "__main__":
    main()
