"""How columns relate: rank correlation, overlap of their lowest and of their highest rows, and whether a column only measures length.

Ranks stand for everything here: `ranks` once a column, then every pair of columns costs a product of two arrays. Exact: ties share
their average rank, and a pair of columns is compared over the rows in which both have a value, ranked among those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["FRACTION", "Ranks", "Relations", "agreement", "length_ties", "ranks", "relations"]

FRACTION = 0.05  # of the rows, by which the ends of two columns are compared
CHUNK = 65_536  # rows multiplied at once: a few MB
NO_TIE, WEAK_TIE = 0.1, 0.3  # absolute rank correlations; below: hardly tied, weakly
Z_95 = 1.959964  # of the normal distribution, both tails

Numbers = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Relations:
    """One row and one column in each array for each name."""

    names: tuple[str, ...]
    rows: npt.NDArray[np.int64]  # in which both have a value
    correlation: Numbers  # Spearman's; NaN where a column has one value only
    lowest: Numbers  # share of the lowest rows by one column that are among the lowest by the other
    highest: Numbers


def ranks(values: Numbers) -> Ranks:
    """[n]: twice the average rank of each value, so that it is a whole number: 2, 4, ... without ties; 0 where there is no value."""
    there = np.flatnonzero(np.isfinite(values))
    order = np.argsort(values[there])
    ordered = values[there][order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.array([], int)
    counts = np.diff(np.append(starts, len(ordered)))
    twice = np.zeros(len(values), dtype=np.int32)
    twice[there[order]] = np.repeat(2 * starts + counts + 1, counts)  # ranks starts + 1 ... starts + counts
    return twice


def relations(columns: Mapping[str, Ranks], fraction: float = FRACTION) -> Relations:
    """Every column with every other one; `columns` are `ranks` over the same rows."""
    names, size = tuple(columns), len(columns)
    place = {name: index for index, name in enumerate(names)}
    rows = np.zeros((size, size), dtype=np.int64)
    correlation, lowest, highest = np.full((3, size, size), np.nan)
    for one, other in combinations_with_replacement(_alike(columns), 2):
        common = (columns[one[0]] > 0) & (columns[other[0]] > 0)
        if not common.any():
            continue
        left = [_among(columns[name], common) for name in one]
        right = left if one is other else [_among(columns[name], common) for name in other]
        here, there = ([place[name] for name in group] for group in (one, other))
        count = _end_rows(int(common.sum()), fraction)
        found = (_correlations(left, right), _overlaps(left, right, count), _overlaps(_turned(left), _turned(right), count))
        rows[np.ix_(here, there)] = rows[np.ix_(there, here)] = common.sum()
        for array, block in zip((correlation, lowest, highest), found, strict=True):
            array[np.ix_(here, there)], array[np.ix_(there, here)] = block, block.T
    return Relations(names, rows, correlation, lowest, highest)


def agreement(one: Numbers, other: Numbers, fraction: float = FRACTION) -> tuple[float, float]:
    """(rank correlation, share of the highest rows in common) of two columns [n], as `relations` has them; NaN and 0 without rows."""
    common = np.isfinite(one) & np.isfinite(other)
    if not common.any():
        return float("nan"), 0.0
    left, right = [ranks(one[common])], [ranks(other[common])]
    right = left if np.array_equal(left[0], right[0]) else right
    highest, others = _turned(left), _turned(right)
    shares = _overlaps(highest, highest if right is left else others, _end_rows(int(common.sum()), fraction))
    return float(_correlations(left, right)[0, 0]), float(shares[0, 0])


def _end_rows(rows: int, fraction: float) -> int:
    """How many rows an end has: rounded as a rule's fraction is (selection.py), at least one."""
    return max(1, int(fraction * rows + 0.5))


def _alike(columns: Mapping[str, Ranks]) -> list[list[str]]:
    """Groups of columns that have values in the same rows: usually the scores, and what is known of every row."""
    groups: dict[bytes, list[str]] = {}
    for name, twice in columns.items():
        groups.setdefault(np.packbits(twice > 0).tobytes(), []).append(name)
    return list(groups.values())


def _among(twice: Ranks, rows: npt.NDArray[np.bool_]) -> Ranks:
    """Ranks among some of the rows, without sorting again."""
    kept = twice[rows]
    if len(kept) == np.count_nonzero(twice):
        return kept
    counts = np.bincount(kept)
    return np.asarray((2 * (np.cumsum(counts) - counts) + counts + 1)[kept], dtype=np.int32)


def _turned(columns: Sequence[Ranks]) -> list[Ranks]:
    """Ranks from the other end."""
    return [np.asarray(2 * len(twice) + 2 - twice, dtype=np.int32) for twice in columns]


def _correlations(left: Sequence[Ranks], right: Sequence[Ranks]) -> Numbers:
    """[left, right]: correlation of ranks without gaps."""
    middle, products = len(left[0]) + 1.0, np.zeros((len(left), len(right)))
    for start in range(0, len(left[0]), CHUNK):
        part = slice(start, start + CHUNK)
        ones = np.array([twice[part] for twice in left]) - middle
        others = ones if right is left else np.array([twice[part] for twice in right]) - middle
        products += ones @ others.T
    left_norms, right_norms = (np.array([np.linalg.norm(twice - middle) for twice in columns]) for columns in (left, right))
    with np.errstate(invalid="ignore"):  # a column of one value: 0 / 0
        return np.asarray(np.clip(products / np.outer(left_norms, right_norms), -1, 1))


def _overlaps(left: Sequence[Ranks], right: Sequence[Ranks], count: int) -> Numbers:
    """[left, right]: share of the `count` lowest rows in common. Of the rows tied at the end as many take part as by lot on average."""
    ends = [_lowest(twice, count) for twice in left]
    shares, taken = np.zeros((len(left), len(right))), np.zeros(len(left[0]))
    for column, twice in enumerate(right):
        rows, weights = ends[column] if right is left else _lowest(twice, count)
        taken[rows] = weights
        shares[:, column] = [mine @ taken[there] / count for there, mine in ends]
        taken[rows] = 0.0
    if right is left:
        np.fill_diagonal(shares, 1.0)
    return shares


def _lowest(twice: Ranks, count: int) -> tuple[npt.NDArray[np.int64], Numbers]:
    """The rows up to the `count`-th rank, and how much of each takes part: all of it, or a share where it is tied at the end."""
    end = np.partition(twice, count - 1)[count - 1]
    rows = np.flatnonzero(twice <= end)
    below = np.count_nonzero(twice < end)
    return rows, np.where(twice[rows] < end, 1.0, (count - below) / (len(rows) - below))


def length_ties(found: Relations, length: str) -> pd.DataFrame:
    """Every column's rank correlation with the column `length`, the strongest first: column, rows, correlation, low, high (95 %), reading.

    Interval: Fisher's z with the variance (1 + r²/2) / (n - 3) (Bonett and Wright, Psychometrika 65, 2000).
    """
    at = found.names.index(length)
    table = pd.DataFrame({"column": found.names, "rows": found.rows[at], "correlation": found.correlation[at]})
    table = table[table["column"] != length].sort_values("correlation", key=lambda r: -r.abs(), kind="stable", ignore_index=True)
    r = table["correlation"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):  # r = 1; fewer than four rows
        reach = Z_95 * np.sqrt((1 + r**2 / 2) / (table["rows"].to_numpy(dtype=float) - 3))
        table["low"], table["high"] = np.tanh(np.arctanh(r) - reach), np.tanh(np.arctanh(r) + reach)
    table["reading"] = [_reading(*row) for row in table[["correlation", "low", "high"]].to_numpy()]
    return table


def _reading(r: float, low: float, high: float) -> str:
    if np.isnan([r, low, high]).any():
        return "too little to say"
    if low <= 0 <= high:
        return "no tie to length seen"
    if abs(r) < NO_TIE:
        return "hardly tied to length"
    weakly = " weakly" if abs(r) < WEAK_TIE else ""
    return f"{'rises' if r > 0 else 'falls'}{weakly} with length"
