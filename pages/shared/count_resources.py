"""How many rows are in each bar or category, and what their values come to: of all rows, or of some.

Of a million rows a filter often leaves most. What all of them come to is kept, so only the smaller part is looked at: the rows that
are left, or those that are gone, which are taken away from the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from deft_core import charts
from deft_core.selection import Ints, Mask
from pages.shared.resources import Version, axis, numbers, train

__all__ = ["Part", "Tally", "bars", "categories", "counts", "part_of", "tally", "train_counts"]


@dataclass(frozen=True)
class Part:
    """Some rows of a table, by place."""

    places: Ints
    but: bool = False  # all rows but these


def part_of(mask: Mask) -> Part:
    """Its rows, or those that it leaves out where they are fewer."""
    but = bool(2 * np.count_nonzero(mask) > len(mask))
    return Part(np.flatnonzero(~mask if but else mask), but)


@dataclass(frozen=True)
class Tally:
    """What the values of some rows come to; rows without a value do not count."""

    rows: int
    total: float
    above: int  # 0
    at: int  # 0

    @property
    def mean(self) -> float | None:
        return self.total / self.rows if self.rows else None

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.rows - other.rows, self.total - other.total, self.above - other.above, self.at - other.at)


def tally(version: Version, column: str, table: pd.DataFrame, part: Part | None) -> Tally:
    """Of all rows where there is no part."""
    if part is None:
        return _whole_tally(version, column, table)
    found = _tally(numbers(table, column, part.places))
    return _whole_tally(version, column, table) - found if part.but else found


@st.cache_resource(max_entries=40, show_spinner=False)
def _whole_tally(version: Version, column: str, _table: pd.DataFrame) -> Tally:
    return _tally(numbers(_table, column))


def _tally(values: npt.NDArray[np.float64]) -> Tally:
    total = values.sum()
    if not np.isfinite(total):  # one sum says whether any is missing
        values = values[np.isfinite(values)]
        total = values.sum()
    return Tally(len(values), float(total), int(np.count_nonzero(values > 0)), int(np.count_nonzero(values == 0)))


def bars(version: Version, column: str, on_axis_of: tuple[str, ...], table: pd.DataFrame, part: Part | None) -> charts.Bars:
    """The distribution of a column on the common axis of some."""
    return charts.Bars(counts(version, column, on_axis_of, table, part), tally(version, column, table, part).mean)


def counts(version: Version, column: str, on_axis_of: tuple[str, ...], table: pd.DataFrame, part: Part | None) -> Ints:
    """Rows per bar, counted from the bins: a third of the time that the values take."""
    if part is None:
        return _whole_counts(version, column, on_axis_of, table)
    found = _counted(version, on_axis_of, table, _bins(version, column, on_axis_of, table)[part.places])
    return _whole_counts(version, column, on_axis_of, table) - found if part.but else found


@st.cache_resource(max_entries=40, show_spinner=False)
def _whole_counts(version: Version, column: str, on_axis_of: tuple[str, ...], _table: pd.DataFrame) -> Ints:
    return _counted(version, on_axis_of, _table, _bins(version, column, on_axis_of, _table))


def _counted(version: Version, on_axis_of: tuple[str, ...], table: pd.DataFrame, bins: npt.NDArray[np.uint8]) -> Ints:
    size = len(axis(version, on_axis_of, table).edges) - 1
    return np.bincount(bins, minlength=size + 1)[:size]


@st.cache_resource(max_entries=20, show_spinner=False)
def _bins(version: Version, column: str, on_axis_of: tuple[str, ...], _table: pd.DataFrame) -> npt.NDArray[np.uint8]:
    """Which bar of the common axis of some columns each row is in."""
    return charts.bins(numbers(_table, column), axis(version, on_axis_of, _table))


@st.cache_resource(max_entries=20, show_spinner=False)
def train_counts(version: Version, column: str, _table: pd.DataFrame) -> Ints:
    """Training rows per bar of a column's own axis."""
    return counts(version, column, (column,), _table, part_of(train(version, _table)))


def categories(version: Version, name: str, table: pd.DataFrame, part: Part | None) -> pd.Series[int]:
    """Rows per value of a category, most first."""
    column = table[name].array
    found = _whole_categories(version, name, table)
    if part is not None:
        own = _of_codes(column.codes[part.places], len(column.categories))
        found = found - own if part.but else own
    return pd.Series(found, column.categories).sort_values(ascending=False, kind="stable")


@st.cache_resource(max_entries=20, show_spinner=False)
def _whole_categories(version: Version, name: str, _table: pd.DataFrame) -> Ints:
    column = _table[name].array
    return _of_codes(column.codes, len(column.categories))


def _of_codes(codes: npt.NDArray[np.int8], size: int) -> Ints:
    return np.bincount(codes[codes >= 0] if codes.min(initial=0) < 0 else codes, minlength=size)
