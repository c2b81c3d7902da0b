"""How a run does: briefly at every evaluation step while it trains, in full once it has finished.

    prepare, during   held-out rows under the model as it is; the base's side is read once, before training
    evaluate_run      alignment, generalisation and cost of the finished model beside its base -> evaluation.json and its tables

Under LoRA the base is the model with its adapter off. Otherwise it is loaded for each evaluation and let go afterwards, so while one runs
memory holds the weights once more. Which figures there are is in measures.py, how they are read in readings.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from deft_core import discrepancy, file_names, measures
from deft_core.intervals import figure, flat
from deft_core.lm import judging, models, reward_models, shared_readings
from deft_core.lm.generation import Answer, end_tokens, greedy
from deft_core.lm.heldout import Material, material
from deft_core.lm.losses import Objective
from deft_core.lm.models import LanguageModel
from deft_core.lm.readings import Answers, Count, Side, at_rest, base_of_adapter, neutral_nats, own_kl, read_answers
from deft_core.lm.reporting import peak_memory_bytes
from deft_core.lm.sides import as_side, base_model, side_of_step, tuned_folder, tuned_model
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_step import TrainStep
from deft_core.runs import metrics
from deft_core.runs.spec import Run, read_run
from deft_core.status import Say
from deft_core.workspace import replace_atomically, write_json

__all__ = ["Heldout", "during", "evaluate_run", "prepare"]

OWN_ROWS = 16  # held-out prompts that the model answers itself while it trains; all of them at the end
NEUTRAL_ROWS = 16  # paragraphs of neutral text read while it trains; all of them at the end
SAMPLES = 3  # prompts whose answers are shown

Check = Callable[[], None]


@dataclass(frozen=True)
class Heldout:
    """What evaluations of a run compare with, read before training."""

    run: Run
    material: Material  # its rows have the base's log-probabilities as reference
    states: list[Tensor]  # the base's of each chosen answer; none where the model's own logits are asked for
    answers: list[str]  # the base's to the first prompts
    end_token: int
    tokenizer: Any


def prepare(model: TrainStep, tokenizer: Any, folder: Path, run: Run, *, say: Say = lambda _: None, check: Check = lambda: None) -> Heldout:
    """Reads held-out rows and neutral text, and what the base says of them. `model` may be trained already: the base is looked for.

    `check` is called every few rows, and may raise to stop.
    """
    say({"phase": "preparing the evaluation"})
    tuned = side_of_step(model, tokenizer)
    found = material(folder, run, _language_model(model, tokenizer, run.model))
    found = replace(found, neutral=found.neutral[:NEUTRAL_ROWS])
    base = _base_of(tuned, run, tokenizer)
    with at_rest(tuned.step, base.step):
        read, _ = _base_read(folder, run, base, found, lambda _: check())
        rows = [replace(row, reference=logps) for row, logps in zip(found.rows, read.logps, strict=True)]
        answers = _answers(base, found.starts[:SAMPLES], run)
    found = replace(found, rows=rows)
    return Heldout(run, found, read.states, _texts(tokenizer, answers), tokenizer.eos_token_id, tokenizer)


def during(heldout: Heldout, model: TrainStep, step: int, *, check: Check = lambda: None) -> dict[str, Any]:
    """The figures of the model as it is, each with name_low and name_high (95 %, over prompts), and `samples`: id, prompt, base, tuned.

    Answers of its own (kl_own, answer_tokens) are to the first OWN_ROWS prompts. The model's mode and weights are left as they were.
    `check` is called every few rows, and may raise to stop.
    """
    run, about = heldout.run, heldout.material
    tuned = side_of_step(model, heldout.tokenizer)
    base = _base_of(tuned, run, heldout.tokenizer)
    with at_rest(tuned.step, base.step):
        read = read_answers(tuned, about.rows, _beta(run), base=(base, heldout.states), count=lambda _: check())
        answers = _answers(tuned, about.starts[:OWN_ROWS], run)
        check()
        own = own_kl(tuned, base, _as_rows(about.starts, answers), lambda _: check())
        neutral = neutral_nats(tuned, about.neutral, lambda _: check())
    rows = pd.DataFrame(_watched(read, "tuned") | _kl(read.kl, own, len(about.rows)))
    rows["answer_tokens_tuned"] = pd.Series([float(len(answer.ids)) for answer in answers]).reindex(rows.index)
    found = measures.measures(rows, _neutral_table({"tuned": neutral}), "tuned")
    texts = zip(about.rows, about.questions, heldout.answers, _texts(heldout.tokenizer, answers), strict=False)
    samples = [{"id": row.id, "prompt": prompt, "base": base, "tuned": own} for row, prompt, base, own in texts]
    return flat({name: figure(one) for name, one in found.items()}) | {"samples": samples}


def evaluate_run(
    folder: Path, *, reward_model: str | None = None, bart_model: str | None = None, say: Say = lambda _: None
) -> dict[str, Any]:
    """The model of a finished run beside its base, as evaluation.json has it; writes that and the two tables that it comes from."""
    began = time.monotonic()
    run = read_run(folder)
    tuned_folder(run, folder)
    say({"phase": "loading base and tuned model"})
    base_lm, tuned_lm = base_model(run), tuned_model(run, folder)
    d = discrepancy.read_table(folder)["d"].to_numpy(np.float64)
    about = material(folder, run, base_lm)
    both = _read_both(folder, as_side(base_lm, run, d), as_side(tuned_lm, run, d), about, run, base_lm.tokenizer, say)
    judge = judging.judge(folder, run, base_lm, d, about, both.pooled, both.answers, reward_model, say)
    rows, neutral = both.rows, both.neutral
    if judge.verdict.can_tell:
        for side, scores in zip(measures.SIDES, judge.answers, strict=True):
            rows[f"judge_{side}"] = pd.Series(scores, dtype=float).reindex(rows.index)
    if bart_model:
        say({"phase": f"BARTScore by {bart_model}"})
        answered = len(both.answers["base"])
        for side in measures.SIDES:
            scores = reward_models.bart_scores(
                bart_model, rows["reference"].tolist()[:answered], rows[f"answer_{side}"].tolist()[:answered]
            )
            rows[f"bart_score_{side}"] = pd.Series(scores, dtype=float).reindex(rows.index)
    for name, table in ((file_names.EVALUATION_ROWS, rows), (file_names.EVALUATION_NEUTRAL, neutral)):
        replace_atomically(folder / name, lambda path, table=table: table.to_parquet(path, index=False))  # type: ignore[misc]
    evaluation = _evaluation(run, rows, neutral, judge.about(), _cost(folder, run, time.monotonic() - began + both.spared_seconds))
    write_json(folder / file_names.EVALUATION, evaluation)
    return evaluation


@dataclass(frozen=True)
class _Both:
    rows: pd.DataFrame  # one line a prompt
    neutral: pd.DataFrame  # one line a paragraph
    answers: dict[str, list[Answer]]  # by side, to the first prompts
    pooled: list[Tensor]  # the base's of each row's own responses
    spared_seconds: float  # what the base's side took when it was read for another run


def _read_both(folder: Path, base: Side, tuned: Side, about: Material, run: Run, tokenizer: Any, say: Say) -> _Both:
    starts = about.starts[: run.settings.answer_rows]
    with at_rest(base.step, tuned.step):
        before, spared = _base_read(folder, run, base, about, _counting(say, "base: held-out rows", about.rows))
        rows = [replace(row, reference=logps) for row, logps in zip(about.rows, before.logps, strict=True)]
        after = read_answers(tuned, rows, _beta(run), base=(base, before.states), count=_counting(say, "tuned: held-out rows", rows))
        say({"phase": f"base: answers to {len(starts)} held-out prompts"})
        answers, neutral = {}, {}
        answers["base"], more = shared_readings.answers(folder, run, base, starts, lambda: _answers(base, starts, run))
        count = _counting(say, "base: neutral text", about.neutral)
        neutral["base"], most = shared_readings.neutral(folder, run, base, about.neutral, lambda: neutral_nats(base, about.neutral, count))
        say({"phase": f"tuned: answers to {len(starts)} held-out prompts"})
        answers["tuned"] = _answers(tuned, starts, run)
        neutral["tuned"] = neutral_nats(tuned, about.neutral, _counting(say, "tuned: neutral text", about.neutral))
        own = own_kl(tuned, base, _as_rows(starts, answers["tuned"]), _counting(say, "KL on the model's own answers", starts))
    table: dict[str, list[Any]] = {"id": [row.id for row in rows], "prompt": about.questions, "reference": about.references}
    table |= _watched(before, "base") | _watched(after, "tuned") | _kl(after.kl, own, len(rows))
    for name, given in answers.items():
        table |= {f"answer_{name}": _padded(_texts(tokenizer, given), len(rows), None)}
        table |= {f"answer_tokens_{name}": _padded([float(len(answer.ids)) for answer in given], len(rows), float("nan"))}
    return _Both(pd.DataFrame(table), _neutral_table(neutral), answers, before.pooled, spared + more + most)


def _base_read(folder: Path, run: Run, base: Side, about: Material, count: Count) -> tuple[Answers, float]:
    """What the base says of the held-out rows, and the seconds that another run's reading spared."""
    most = 0 if run.own_logits else run.settings.new_tokens

    def read() -> Answers:
        return read_answers(base, about.rows, _beta(run), keep_states=not run.own_logits, pool_tokens=most, count=count)

    return shared_readings.rows(folder, run, base, about.rows, read)


# models


def _base_of(tuned: Side, run: Run, tokenizer: Any) -> Side:
    """The base beside a model that may be trained already: without its adapter, or a copy that lives as long as this side."""
    if hasattr(tuned.step.model, "get_base_model"):  # peft
        return base_of_adapter(tuned)
    weight = tuned.step.head.weight
    lm = models.load(run.model, models.local_folder(run.model), weight.device, weight.dtype)
    return replace(as_side(lm, run, tuned.step.d.cpu().double().numpy()), end_token=tokenizer.eos_token_id)


def _language_model(step: TrainStep, tokenizer: Any, name: str) -> LanguageModel:
    weight = step.head.weight
    return LanguageModel(name, step.causal, step.causal.base_model, tokenizer, step.head, weight.device, weight.dtype)


def _beta(run: Run) -> float:
    return Objective(run.settings.method, **run.settings.coefficients()).implicit_beta


# answers


def _answers(side: Side, starts: Sequence[Sequence[int]], run: Run) -> list[Answer]:
    with side.on():
        return greedy(side.step.causal, starts, end_tokens(side.step.causal, side.end_token), run.settings.new_tokens)


def _texts(tokenizer: Any, answers: Sequence[Answer]) -> list[str]:
    return [str(tokenizer.decode(answer.ids, skip_special_tokens=True)).strip() for answer in answers]


def _padded(values: Sequence[Any], rows: int, missing: Any) -> list[Any]:
    return [*values, *[missing] * (rows - len(values))]


def _as_rows(starts: Sequence[list[int]], answers: Sequence[Answer]) -> list[TokenRow]:
    return [TokenRow(start, [answer.ids], [answer.ended]) for start, answer in zip(starts, answers, strict=False)]


# tables


def _watched(read: Answers, side: str) -> dict[str, list[Any]]:
    names = ("accuracy_implicit", "accuracy_logp", "margin", "reward_chosen", "reward_rejected", "logp_chosen", "logp_rejected")
    return {f"{name}_{side}": [row[name] for row in read.watched] for name in names}


def _kl(chosen: Sequence[tuple[float, int]], own: Sequence[tuple[float, int]], rows: int) -> dict[str, list[float]]:
    """Sums and counts of both kinds; NaN where a prompt was not answered."""
    padded = _padded(own, rows, (float("nan"), 0))
    found = {"kl_tuned": [nats for nats, _ in chosen], "kl_tokens": [float(tokens) for _, tokens in chosen]}
    return found | {"kl_own_tuned": [nats for nats, _ in padded], "kl_own_tokens": [float(tokens) for _, tokens in padded]}


def _neutral_table(sides: dict[str, list[tuple[float, int]]]) -> pd.DataFrame:
    tokens = [tokens for _, tokens in next(iter(sides.values()))]
    return pd.DataFrame(
        {"id": range(len(tokens)), "tokens": tokens} | {f"nats_{side}": [nats for nats, _ in read] for side, read in sides.items()}
    )


def _counting(say: Say, phase: str, rows: Sequence[object]) -> Any:
    """Says how many rows are done, from how many were done since."""
    done = [0]

    def count(more: int) -> None:
        done[0] += more
        say({"phase": phase, "done": done[0], "total": len(rows)})

    return count


# evaluation.json


def _evaluation(run: Run, rows: pd.DataFrame, neutral: pd.DataFrame, judge: dict[str, Any], cost: dict[str, Any]) -> dict[str, Any]:
    found = measures.figures(rows, neutral)
    sections: dict[str, dict[str, Any]] = {"alignment": {}, "generalisation": {}}
    for name, one in found.items():
        sections[measures.MEASURES[name].section][name] = one
    if "win_rate" in sections["alignment"]:
        sections["alignment"]["win_rate"]["judge_accuracy"] = judge["accuracy"]
    about = {"run": run.run_id, "created": datetime.now(UTC).isoformat(), "prompts": len(rows), "new_tokens": run.settings.new_tokens}
    return about | sections | {"judge": judge, "cost": cost}


def _cost(folder: Path, run: Run, seconds: float) -> dict[str, Any]:
    """What it took: scoring the whole dataset, training, this evaluation; null where a file does not say."""
    events, _ = metrics.read(folder)
    end = next((event for event in reversed(events) if event["event"] == "end"), {})
    parts = {"scoring_seconds": run.scoring_seconds, "training_seconds": end.get("seconds"), "evaluation_seconds": round(seconds, 3)}
    known = [part for part in parts.values() if part is not None]
    training = {
        "total_seconds": round(sum(known), 3),
        "training_tokens": end.get("tokens"),
        "training_peak_bytes": end.get("peak_memory_bytes"),
    }
    return parts | training | {"evaluation_peak_bytes": peak_memory_bytes()}
