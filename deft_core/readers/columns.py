"""One row as a mapping from column to value: typed access, and what every format does with the columns it did not use.

A format uses up the columns of the prompt and of the answers. `source` and `split` are taken where they are usable;
everything else survives in `extra`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from deft_core.preferences import Message, Preference, Response, RowRefused

__all__ = ["Record", "kind_of", "number", "own_split", "preference", "present", "side_scores", "text", "tidy"]

Record = Mapping[str, Any]

SOURCE_CHARACTERS = 200  # a longer `source` is a document, not the name of one

_TRAIN = re.compile(r"train(ing)?([-_. \d].*)?")
_HELDOUT = re.compile(r"(test|validation|valid|val|dev|eval|evaluation|held[-_ ]?out)([-_. \d].*)?")
_SIDE_SCORES = (
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
)


def text(record: Record, column: str) -> str:
    value = present(record, column)
    if not isinstance(value, str):
        raise RowRefused(f"column {column!r} is not text", kind_of(value))
    return value


def present(record: Record, column: str) -> Any:
    """The value of a column that must be there and filled."""
    value = record.get(column)
    if value is None:
        raise RowRefused(f"column {column!r} is {'null' if column in record else 'missing'}")
    return value


def number(value: Any) -> float | None:
    """A finite number, also one written as text as CSV does; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def kind_of(value: Any) -> str:
    """What a value is, in the words of a data file."""
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def own_split(word: Any) -> str | None:
    """The split a source's own word stands for, None where it stands for none of ours."""
    if not isinstance(word, str):
        return None
    word = word.strip().lower()
    if _TRAIN.fullmatch(word):
        return "train"
    if _HELDOUT.fullmatch(word):
        return "heldout"
    return "judge" if word == "judge" else None


def tidy(text: str) -> str:
    """The text with lone surrogates, which no file can hold, as the escapes they came from."""
    return text.encode("utf-8", "backslashreplace").decode()


def side_scores(record: Record) -> list[float | None]:
    """The source's scores of chosen and rejected, where it has both under one of the usual names."""
    for names in _SIDE_SCORES:
        if names[0] in record and names[1] in record:
            return [number(record[name]) for name in names]
    return [None, None]


def preference(
    record: Record,
    used: Collection[str],
    prompt: tuple[Message, ...],
    responses: tuple[Response, ...],
    added: Mapping[str, Any] | None = None,
    *,
    source: str = "source",
    split: str = "split",
) -> Preference:
    """The preference with every column outside `used` in its extras; `added` is what a format has to say beyond them."""
    extra = {column: value for column, value in record.items() if column not in used}
    origin = extra.get(source)
    if isinstance(origin, str) and 0 < len(origin) <= SOURCE_CHARACTERS:
        del extra[source]
    else:
        origin = None
    part = own_split(extra.get(split))
    if part is not None and part == extra[split]:
        del extra[split]
    if added:
        extra.update(added)
    return Preference(prompt, responses, origin, part, extra)
