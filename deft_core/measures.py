"""What the rows of an evaluation come to: every figure of a run by name, for base and tuned model. Pure: tables in, measures out.

rows: one line a held-out prompt, columns `<name>_base` and `<name>_tuned`. neutral: one line a paragraph of neutral text. Where a table
lacks the columns there is no figure. evaluation.json and `deft compare` both come from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from deft_core import generalisation
from deft_core.intervals import Figure, Measure, difference, figure, mean, ratio

__all__ = ["MEASURES", "SIDES", "Described", "figures", "measures"]

SIDES = ("base", "tuned")


@dataclass(frozen=True)
class Described:
    section: str  # alignment | generalisation
    words: str  # what it is
    better: str | None  # higher | lower; None: it depends


MEASURES = {
    "accuracy_implicit": Described(
        "alignment", "prompts whose chosen answer gained more log-probability than the rejected (base: 0.5)", "higher"
    ),
    "accuracy_logp": Described("alignment", "prompts whose chosen answer has the higher log-probability a token", "higher"),
    "margin": Described("alignment", "beta times what the chosen answer's log-probability gained over the rejected one's", "higher"),
    "reward_chosen": Described("alignment", "distribution reward R of the chosen answer", None),
    "reward_rejected": Described("alignment", "distribution reward R of the rejected answer", None),
    "win_rate": Described("alignment", "answers that the judge prefers to the base's, ties one half", "higher"),
    "perplexity_neutral": Described("generalisation", "perplexity a token on neutral text", "lower"),
    "kl": Described("generalisation", "KL to the base a token, in nats, on held-out chosen answers", "lower"),
    "kl_own": Described("generalisation", "KL to the base a token, in nats, on the model's own answers", "lower"),
    "bleu": Described("generalisation", "BLEU of the answers to the chosen ones, 0 to 100", "higher"),
    "chrf": Described("generalisation", "chrF of the answers to the chosen ones, 0 to 100", "higher"),
    "bart_score": Described("generalisation", "BARTScore of the answers and the chosen ones, log-probability a token", "higher"),
    "distinct_2": Described("generalisation", "distinct bigrams of all bigrams, all answers together", "higher"),
    "distinct_2_within": Described("generalisation", "distinct bigrams of all bigrams within each answer", "higher"),
    "answer_tokens": Described("generalisation", "tokens of an answer", None),
    "refusal_rate": Described("generalisation", "answers that begin as refusals in English do", None),
}
_MEANS = ("accuracy_implicit", "accuracy_logp", "margin", "reward_chosen", "reward_rejected", "bart_score", "answer_tokens")


def measures(rows: pd.DataFrame, neutral: pd.DataFrame, side: str) -> dict[str, Measure]:
    """Every measure with intervals that the tables have for a side, in the order of MEASURES."""
    found = {name: mean(rows[f"{name}_{side}"]) for name in _MEANS if f"{name}_{side}" in rows}
    for name in ("kl", "kl_own"):
        if f"{name}_{side}" in rows:
            found[name] = ratio(rows[f"{name}_{side}"], rows[f"{name}_tokens"])
    if f"nats_{side}" in neutral:
        found["perplexity_neutral"] = ratio(neutral[f"nats_{side}"], neutral["tokens"], np.exp)
    if side == "tuned" and "judge_tuned" in rows:
        found["win_rate"] = mean(_wins(rows["judge_tuned"], rows["judge_base"]))
    if f"answer_{side}" in rows and "reference" in rows:
        answers, references = _texts(rows[f"answer_{side}"]), rows["reference"].tolist()
        found |= {"bleu": generalisation.bleu(answers, references), "chrf": generalisation.chrf(answers, references)}
        found |= {"distinct_2_within": generalisation.distinct_2_within(answers), "refusal_rate": generalisation.refusals(answers)}
    return {name: found[name] for name in MEASURES if name in found}


def figures(rows: pd.DataFrame, neutral: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """name -> base, tuned and difference (tuned minus base, paired by prompt), each a figure with its interval, or None."""
    base, tuned = (measures(rows, neutral, side) for side in SIDES)
    found: dict[str, dict[str, Any]] = {}
    for name in MEASURES:
        if name == "distinct_2" and "answer_tuned" in rows:
            found[name] = {side: _distinct(_texts(rows[f"answer_{side}"])).as_dict() for side in SIDES} | {"difference": None}
        elif name in tuned:
            found[name] = {side: figure(of[name]).as_dict() if name in of else None for side, of in zip(SIDES, (base, tuned), strict=True)}
            found[name]["difference"] = difference(base[name], tuned[name]).as_dict() if name in base else None
    return found


def _wins(tuned: pd.Series, base: pd.Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.where(tuned.isna() | base.isna(), np.nan, np.where(tuned > base, 1.0, np.where(tuned == base, 0.5, 0.0)))


def _texts(answers: pd.Series) -> list[str | None]:
    """None where a prompt was not answered."""
    return [None if missing else text for text, missing in zip(answers, answers.isna(), strict=True)]


def _distinct(answers: Sequence[str | None]) -> Figure:
    given = [answer for answer in answers if answer is not None]
    return Figure(generalisation.distinct_2(given), None, None, len(given))
