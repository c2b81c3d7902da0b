"""What rides along beside the columns a trainer reads: names it does not know, and one type a column.

The source's own columns are extra_<name>, as `deft query` calls them; ours begin with deft_ where a trainer reads the file. A column with
values of several kinds holds JSON; one without any value is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from deft_core.pair_writer import as_json

__all__ = ["Census", "beside", "schema"]

_TYPES = {"boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64(), "texts": pa.list_(pa.string())}  # the rest is text
_LIKE_A_DATE = re.compile(r"\d{4}-\d\d-\d\d")  # Arrow takes text for a point in time as long as all of it looks like one


@dataclass
class Census:
    """The kinds of values in each column, and the first row that settles its type for a reader of JSON.

    `datasets` takes the types of a JSON file from its first 10 MB, where a column may hold nothing but nulls. `leading` are the rows
    to write first so that it sees them all; none where the very first row shows everything.
    """

    rows: int = 0
    kinds: dict[str, set[str]] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)  # by column: the place of a row

    def add(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            kind = _kind(value)
            if kind is None:
                continue
            self.kinds.setdefault(name, set()).add(kind)
            if name not in self.shown and not (kind == "text" and _LIKE_A_DATE.match(value)):
                self.shown[name] = self.rows
        self.rows += 1

    def columns(self) -> dict[str, str]:
        return {name: _settled(kinds) for name, kinds in self.kinds.items()}

    def leading(self) -> set[int]:
        return set(self.shown.values()) - {0}


def beside(values: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The values of the columns that have any, each as its column's kind."""
    return {name: _as(kind, values.get(name)) for name, kind in columns.items()}


def schema(columns: Mapping[str, str]) -> list[pa.Field]:
    return [pa.field(name, _TYPES.get(kind, pa.string())) for name, kind in columns.items()]


def _kind(value: Any) -> str | None:
    if value is None or value == [] or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "texts"
    return {float: "number", str: "text"}.get(type(value), "json")


def _settled(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "number" if kinds == {"integer", "number"} else "json"


def _as(kind: str, value: Any) -> Any:
    if _kind(value) is None:
        return None
    if kind == "number":
        return float(value)
    return as_json(value) if kind == "json" else value
