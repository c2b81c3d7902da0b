"""What narrows a view: ranges, categories, an outline, a search, a condition; each as plain text (for a link), as words, and as a mask.

    between 0.02 0.05 reward_chosen        bounds included
    is ["letters", "forum"] source         one of these values
    box tokens_chosen 3 9 reward_chosen 0.1 0.4        both ranges at once
    inside tokens_chosen reward_chosen 3,0.1 9,0.1 9,0.4        within the outline
    has sorry        matches sor+y         in the prompt or any response, whatever its case; matches: a regular expression
    has-chosen sorry        has-not sorry        matches-not-prompt ^why     in one field (prompt, chosen, rejected); not in it
    where reward_margin < 0 AND turns > 2      a condition in SQL; narrows nothing until it has been run

A column's name, a pattern and a condition stand last, so that they may contain anything; box and inside are drawn over our own columns
only. A text that is no filter stays what it is and is explained when it is to narrow something: until then it can be shown and removed.
Pure: the rows of a search come from queries.matching_ids, those of a condition from queries.where_ids.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from deft_core.errors import InputError

__all__ = ["FIELDS", "Between", "Box", "Filter", "Inside", "Mask", "OneOf", "Search", "Unreadable", "Where", "from_text", "mask"]
__all__ += ["to_text", "words"]

FIELDS = ("all", "prompt", "chosen", "rejected")  # where a search looks

Mask = npt.NDArray[np.bool_]

_SEARCH = re.compile(rf"(has|matches)(-not)?(?:-({'|'.join(FIELDS[1:])}))? (.+)", re.DOTALL)


@dataclass(frozen=True)
class Between:
    column: str
    low: float
    high: float


@dataclass(frozen=True)
class OneOf:
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    x: Between
    y: Between


@dataclass(frozen=True)
class Inside:
    x: str
    y: str
    outline: tuple[tuple[float, float], ...]  # corners in order; the last is joined to the first


@dataclass(frozen=True)
class Search:
    pattern: str
    regular: bool = False
    field: str = "all"  # one of FIELDS
    negated: bool = False  # the rows without it


@dataclass(frozen=True)
class Where:
    sql: str  # the text after WHERE


@dataclass(frozen=True)
class Unreadable:
    text: str  # from a link that was cut or changed


Typed = Search | Where | Unreadable  # by a person; the others are drawn
Filter = Between | OneOf | Box | Inside | Typed


def to_text(rule: Filter) -> str:
    match rule:
        case Between():
            return f"between {rule.low!r} {rule.high!r} {rule.column}"
        case OneOf():
            return f"is {json.dumps(rule.values, ensure_ascii=False)} {rule.column}"
        case Box():
            return "box " + " ".join(f"{side.column} {side.low!r} {side.high!r}" for side in (rule.x, rule.y))
        case Inside():
            return f"inside {rule.x} {rule.y} " + " ".join(f"{x:.6g},{y:.6g}" for x, y in rule.outline)
        case _:
            return _typed_text(rule)


def _typed_text(rule: Typed) -> str:
    match rule:
        case Search():
            kind = ["matches" if rule.regular else "has", *["not"] * rule.negated, *[rule.field] * (rule.field != "all")]
            return f"{'-'.join(kind)} {rule.pattern}"
        case Where():
            return f"where {rule.sql}"
        case Unreadable():
            return rule.text


def from_text(text: str) -> Filter:
    kind, _, rest = text.partition(" ")
    try:
        match kind:
            case "between":
                low, high, column = rest.split(" ", 2)
                return Between(column, float(low), float(high))
            case "is":
                values, end = json.JSONDecoder().raw_decode(rest)
                if isinstance(values, list) and rest[end + 1 :]:
                    return OneOf(rest[end + 1 :], tuple(str(value) for value in values))
            case "box":
                x, x_low, x_high, y, y_low, y_high = rest.split()
                return Box(Between(x, float(x_low), float(x_high)), Between(y, float(y_low), float(y_high)))
            case "inside":
                x, y, *corners = rest.split()
                return Inside(x, y, tuple(_corner(corner) for corner in corners))
    except (ValueError, TypeError):
        pass
    return _typed_filter(text)


def _typed_filter(text: str) -> Typed:
    if search := _SEARCH.fullmatch(text):
        way, negated, field, pattern = search.groups()
        return Search(pattern, way == "matches", field or "all", bool(negated))
    kind, _, sql = text.partition(" ")
    return Where(sql) if kind == "where" and sql else Unreadable(text)


def _corner(text: str) -> tuple[float, float]:
    x, y = text.split(",")
    return float(x), float(y)


def words(rule: Filter) -> str:
    """The filter as a chip shows it."""
    match rule:
        case Between():
            open_end = rule.high == math.inf
            return f"{rule.column} ≥ {rule.low:,.4g}" if open_end else f"{rule.column} {rule.low:,.4g} … {rule.high:,.4g}"
        case OneOf():
            return f"{rule.column} = {', '.join(rule.values)}"
        case Box():
            return f"{words(rule.x)}, {words(rule.y)}"
        case Inside():
            return f"outline in {rule.x}, {rule.y}"
        case _:
            return _typed_words(rule)


def _typed_words(rule: Typed) -> str:
    match rule:
        case Search():
            field = "text" if rule.field == "all" else rule.field
            return f"{field} {'!' * rule.negated}~ {'/' + rule.pattern + '/' if rule.regular else rule.pattern}"
        case Where():
            return f"SQL: {rule.sql}"
        case Unreadable():
            return rule.text


def mask(table: pd.DataFrame, rules: Sequence[Filter], found: Mapping[Filter, Mask]) -> Mask:
    """Which rows pass every filter; a row without a value passes no filter on that column.

    `found` has the rows of every search and of every condition that was run; one that was not passes all.
    """
    passed = np.ones(len(table), dtype=bool)
    for rule in rules:
        passed &= _passes(table, rule, found)
    return passed


def _passes(table: pd.DataFrame, rule: Filter, found: Mapping[Filter, Mask]) -> Mask:
    match rule:
        case Between():
            values = _numbers(table, rule.column)
            return np.asarray((values >= rule.low) & (values <= rule.high))
        case OneOf():
            return np.asarray(_column(table, rule.column).isin(rule.values))
        case Box():
            return _passes(table, rule.x, found) & _passes(table, rule.y, found)
        case Inside():
            return _inside(_numbers(table, rule.x), _numbers(table, rule.y), rule.outline)
        case Search():
            return found[rule]
        case Where():
            return found.get(rule, np.ones(len(table), dtype=bool))
        case Unreadable():
            expected = "a filter such as `between 0.02 0.05 reward_chosen`"
            raise InputError(expected, repr(rule.text), "Remove it, or mend it in the address.")


def _column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in table:
        remedy = "Remove the filter, or choose the dataset and score set it was made for."
        raise InputError("a filter on a column of this view", repr(name), remedy)
    return table[name]


def _numbers(table: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    column = _column(table, name)
    if not pd.api.types.is_numeric_dtype(column):
        raise InputError("a range of a column of numbers", repr(name), "Remove the filter, or name the column's values instead.")
    return column.to_numpy(dtype=float)  # with na_value, pandas takes ten times as long for whole numbers


def _inside(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], outline: Sequence[tuple[float, float]]) -> Mask:
    """Even-odd rule: a ray to the right of an inner point crosses the outline an odd number of times."""
    corners = np.asarray(outline, dtype=float).reshape(-1, 2)
    inside = np.zeros(len(x), dtype=bool)
    if len(corners) < 3:
        return inside
    (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    odd = np.zeros(len(near), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            crossing = x1 + (y[near] - y1) * (x2 - x1) / (y2 - y1)
            odd ^= ((y1 > y[near]) != (y2 > y[near])) & (x[near] < crossing)
    inside[near] = odd
    return inside
