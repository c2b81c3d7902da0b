"""UltraFeedback: completions as objects, each with what its annotators thought of it."""

from __future__ import annotations

from typing import Any

from deft_core.preferences import Preference, RowRefused, ranked
from deft_core.readers.columns import Record, number, preference, present, text
from deft_core.readers.prompts import prompt_columns, prompt_messages
from deft_core.readers.ranking import in_order

NAME = "ultrafeedback"
SUMMARY = "completions of {response, overall_score | fine-grained_score | annotations}; equal scores are ties."

_SCORES = ("overall_score", "fine-grained_score", "score", "rating")


def matches(record: Record) -> bool:
    completions = record.get("completions")
    if not isinstance(completions, list) or not completions or not isinstance(completions[0], dict):
        return False
    return "response" in completions[0] and any(name in completions[0] for name in (*_SCORES, "annotations"))


def read(record: Record) -> Preference:
    completions = present(record, "completions")
    if not isinstance(completions, list) or not all(isinstance(item, dict) for item in completions):
        raise RowRefused("column 'completions' is not a list of objects")
    scores = _scores(completions)
    asked = prompt_columns(record)
    responses = ranked([text(item, "response") for item in completions], scores, scores)
    added = in_order("completions", completions, scores, ("response",))
    return preference(record, (*asked, "completions"), prompt_messages(record, asked), responses, added)


def _scores(completions: list[dict[str, Any]]) -> list[float]:
    """The first score that every completion has, so that like is compared with like."""
    for name in (*_SCORES, "annotations"):
        found = [_score(item, name) for item in completions]
        scores = [score for score in found if score is not None]
        if len(scores) == len(completions):
            return scores
    raise RowRefused("the completions have no score in common", f"looked for {', '.join(_SCORES)} and annotations")


def _score(completion: dict[str, Any], name: str) -> float | None:
    return _mean_rating(completion) if name == "annotations" else number(completion.get(name))


def _mean_rating(completion: dict[str, Any]) -> float | None:
    """Over the aspects that were rated: {"helpfulness": {"Rating": "4"}, ...}."""
    annotations = completion.get("annotations")
    if not isinstance(annotations, dict):
        return None
    ratings = [number(aspect.get("Rating")) for aspect in annotations.values() if isinstance(aspect, dict)]
    known = [rating for rating in ratings if rating is not None]
    return sum(known) / len(known) if known else None
