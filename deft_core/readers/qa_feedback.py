"""FineGrainedRLHF's question answering feedback: four predictions and the six comparisons between them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from deft_core.preferences import Message, Preference, RowRefused, ranked
from deft_core.readers.columns import Record, preference, present, text
from deft_core.readers.orders import weak_order
from deft_core.readers.ranking import in_order

NAME = "qa-feedback"
SUMMARY = 'question, "prediction 1" to "prediction 4", and preference: 1v2, 1v3, 1v4, 2v3, 2v4, 3v4 as 1 first, 2 second, 0 tie.'

_PREDICTIONS = tuple(f"prediction {i}" for i in range(1, 5))
_PAIRS = tuple(combinations(range(4), 2))
_OUTCOMES = {1: 1, 2: -1, 0: 0}


def matches(record: Record) -> bool:
    return "question" in record and "preference" in record and all(name in record for name in _PREDICTIONS)


def read(record: Record) -> Preference:
    """The prompt is the question alone; passages, gold answer and feedback are extras."""
    texts = [text(record, name) for name in _PREDICTIONS]
    goodness = weak_order(4, _comparisons(present(record, "preference")))
    responses = ranked(texts, goodness)
    prompt = (Message("user", text(record, "question")),)
    return preference(record, ("question", *_PREDICTIONS), prompt, responses, in_order("predictions", texts, goodness))


def _comparisons(outcomes: Any) -> list[tuple[int, int, int]]:
    known = isinstance(outcomes, list) and all(type(value) is int and value in _OUTCOMES for value in outcomes)
    if not known or len(outcomes) != len(_PAIRS):
        raise RowRefused("column 'preference' is not six comparisons of 0, 1 or 2", repr(outcomes)[:80])
    return [(i, j, _OUTCOMES[value]) for (i, j), value in zip(_PAIRS, outcomes, strict=True)]
