"""From a rule and a person's decisions to the rows that are kept. Pure: a table in, a mask over its rows out.

Only training rows take part, and of those only the ones with a value in the column the rule goes by. Nothing depends on the order of
the table's rows: they are ranked by (value, id), and chance is a hash of id and seed. `Ids` and `ranking` are what a page keeps
between two thresholds: with them the kept rows of a million take some ten milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from deft_core.errors import InputError
from deft_core.rule import Rule

__all__ = ["BANDS", "Decisions", "Ids", "Rule", "Subset", "borders", "by_chance", "control", "control_pool", "cuts", "kept", "pool"]
__all__ += ["ranking", "subset"]

BANDS = 5  # of length, with equal numbers of rows

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]


class Decisions(Protocol):
    """What a person decided about single rows: ids."""

    @property
    def kept(self) -> frozenset[str]: ...
    @property
    def dropped(self) -> frozenset[str]: ...


class Ids:
    """The rows' ids in order: they break ties, they are what chance is made of, and rows are found by them."""

    def __init__(self, ids: Iterable[str]) -> None:
        encoded = _bytes(ids)
        self.order: Ints = np.argsort(encoded, kind="stable")  # positions by id
        self._sorted = encoded[self.order]
        self._drawn: tuple[int | None, Hashes] = None, np.empty(0, np.uint64)

    @cached_property
    def hashes(self) -> Hashes:
        """64 bits of each row's id [N]; the same for an id whatever other ids are there."""
        width = -(-max(1, self._sorted.dtype.itemsize) // 8) * 8
        parts = self._sorted.astype(f"S{width}").view("<u8").reshape(len(self._sorted), -1)
        hashes: Hashes = np.empty(len(parts), np.uint64)
        folded = np.zeros(len(parts), np.uint64)
        for part in parts.T:
            folded = np.where(part != 0, _mixed(folded ^ part), folded)  # zeros only pad an id to the longest one's width
        hashes[self.order] = folded
        return hashes

    def keys(self, seed: int) -> Hashes:
        """The rows' order by chance [N] under a seed; the last seed's is kept."""
        if seed != self._drawn[0]:
            self._drawn = seed, _mixed(self.hashes ^ _mixed(np.array([seed], np.int64).view(np.uint64)))
        return self._drawn[1]

    def positions(self, ids: Collection[str]) -> Ints:
        """Where these rows stand, in ascending order; an id that no row has is left out."""
        if not len(ids) or not len(self._sorted):
            return np.empty(0, np.int64)
        wanted = np.array([row.encode() for row in ids], dtype=bytes)
        places = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        found: Ints = np.sort(self.order[places[self._sorted[places] == wanted]])
        return found


def _bytes(ids: Iterable[str]) -> npt.NDArray[np.bytes_]:
    """Texts as bytes of one width, without a Python object for each."""
    texts = pa.array(ids, pa.large_string())
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    width = max(1, pc.max(pc.binary_length(texts)).as_py() or 0)
    if pc.min(pc.binary_length(texts)).as_py() != width:
        return np.array([row.encode() for row in texts.to_pylist()], dtype=bytes)
    first = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset]
    return np.frombuffer(texts.buffers()[2], f"S{width}", len(texts), int(first))


def _mixed(bits: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output's."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def ranking(values: Floats, ids: Ids) -> Ints:
    """Positions of all rows sorted by (value, id), rows without a value last."""
    order: Ints = ids.order[np.argsort(values[ids.order], kind="stable")]
    return order


# what a rule keeps


def pool(table: pd.DataFrame, rule: Rule, where: Mask | None = None) -> Mask:
    """The rows that take part: training rows with a value of `rule.by` that pass `where`, the mask of the rule's own condition."""
    mask = np.asarray(table["split"] == "train") & ~np.isnan(_numbers(table, rule.by))
    return mask if where is None else mask & where


def kept(
    table: pd.DataFrame,
    rule: Rule,
    where: Mask | None = None,
    *,
    ids: Ids | None = None,
    members: Mask | None = None,
    ranked: Ints | None = None,
) -> Mask:
    """The rows [N] that the rule keeps of a light table; `ids`, `members` (the pool) and `ranked` (it, by `rule.by`) where they are known.

    fraction: of the rows that take part, rounded half up, at least one; a count beyond them: all of them. highest, lowest: the end of the
    ranking by (value, id). middle: those whose rank is nearest to the median rank (n + 1) / 2, of two equally near ones the lower.
    stratified: each stratum's share of the count is proportional to its rows, largest remainders rounded up.
    """
    members, values = pool(table, rule, where) if members is None else members, _numbers(table, rule.by)
    match rule.keep:
        case "range":
            low, high = (-np.inf if rule.low is None else rule.low), (np.inf if rule.high is None else rule.high)
            return members & (values >= low) & (values <= high)
        case "highest" if rule.value is not None:
            return members & (values >= rule.value)
        case "lowest" if rule.value is not None:
            return members & (values <= rule.value)
    ids = ids or Ids(table["id"])
    count = _count(rule, int(members.sum()))
    if not count:
        return members
    if rule.keep == "random":
        return _random(members, ids, rule.seed, count)
    if rule.keep == "stratified" and rule.within == "random":
        taken = _stratified(table, rule, members, None, ids, count)
    else:
        if ranked is None:
            order = ranking(values, ids)
            ranked = order[members[order]]
        taken = _stratified(table, rule, members, ranked, ids, count) if rule.keep == "stratified" else _end(ranked, rule.keep, count)
    mask: Mask = np.zeros(len(table), dtype=bool)
    mask[taken] = True
    return mask


def cuts(rule: Rule, values: Floats) -> list[float]:
    """Where the values of the rows that the rule keeps begin and end; one end or both, and none for rules by chance or strata."""
    if rule.keep == "range":
        return [end for end in (rule.low, rule.high) if end is not None]
    if rule.value is not None:
        return [rule.value]
    if not rule.has_cut or not len(values):
        return []
    low, high = float(values.min()), float(values.max())
    return {"highest": [low], "lowest": [high]}.get(rule.keep, [low, high])


def borders(rule: Rule, values: Floats, ranked: Ints, count: int) -> list[int]:
    """Places in the ranking of the pool before which kept turns into dropped, or dropped into kept; `count` rows are kept, side by side."""
    if not rule.has_cut or not count:
        return []
    if rule.keep == "range":
        start = 0 if rule.low is None else bisect_left(ranked, rule.low, key=lambda place: values[place])
    else:
        start = {"lowest": 0, "middle": (len(ranked) - count) // 2}.get(rule.keep, len(ranked) - count)
    return [place for place in (start, start + count) if 0 < place < len(ranked)]


def _numbers(table: pd.DataFrame, name: str) -> Floats:
    if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
        known = ", ".join(table.select_dtypes("number").columns)
        raise InputError("a column of numbers to go by", repr(name), f"Choose one of: {known}.")
    return table[name].to_numpy(dtype=float)


def _count(rule: Rule, rows: int) -> int:
    if rule.count is not None:
        return min(rule.count, rows)
    assert rule.fraction is not None
    return min(max(1, int(rule.fraction * rows + 0.5)), rows)


def _end(ranked: Ints, which: str, count: int) -> Ints:
    start = {"lowest": 0, "middle": (len(ranked) - count) // 2}.get(which, len(ranked) - count)
    return ranked[start : start + count]


def _random(members: Mask, ids: Ids, seed: int, count: int) -> Mask:
    """The rows with the smallest keys; two of a million share a key about once in 30 million draws."""
    if not count:
        return np.zeros_like(members)
    keys = ids.keys(seed)
    largest = np.partition(keys[members], count - 1)[count - 1]
    return np.asarray(members & (keys <= largest))


def _stratified(table: pd.DataFrame, rule: Rule, members: Mask, ranked: Ints | None, ids: Ids, count: int) -> Ints:
    """Positions from every stratum: an end of its part of the ranking or, without one, the smallest keys of chance."""
    strata = _sources(table) if rule.strata == "source" else _bands(table, members)
    there = np.flatnonzero(members) if ranked is None else ranked
    grouped = there[np.argsort(strata[there], kind="stable")]
    sizes = np.bincount(strata[there])
    parts = list(zip(np.split(grouped, np.cumsum(sizes)[:-1]), _shares(sizes, count), strict=True))
    if ranked is not None:
        return np.concatenate([_end(part, rule.within, share) for part, share in parts])
    keys = ids.keys(rule.seed)
    return np.concatenate([part[np.argpartition(keys[part], share - 1)[:share]] for part, share in parts if share])


def _shares(sizes: Ints, count: int) -> list[int]:
    """`count` in proportion to `sizes`; what rounding down leaves goes to the largest remainders, of equal ones to the first."""
    exact = count * sizes  # over the sum of sizes: whole numbers, so that equal remainders are equal
    shares, remainders = np.divmod(exact, sizes.sum())
    shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
    return [int(share) for share in shares]


def _sources(table: pd.DataFrame) -> npt.NDArray[np.int16]:
    """A number for each row's source, by the sources' names; 0 where it has none."""
    column = table["source"].astype("category")
    by_name = np.argsort(np.argsort(column.cat.categories.astype(str).to_numpy())) + 1
    return np.append(by_name, 0).astype(np.int16)[column.cat.codes.to_numpy()]


def _bands(table: pd.DataFrame, members: Mask) -> npt.NDArray[np.int16]:
    """Which fifth of the members' lengths each row is in, by the quantiles; one more for a row without a length."""
    name = "tokens_chosen" if "tokens_chosen" in table else "characters_chosen"
    lengths = _numbers(table, name)
    there = lengths[members & ~np.isnan(lengths)]
    edges = np.quantile(there, np.arange(1, BANDS) / BANDS) if len(there) else np.empty(0)
    bands = np.zeros(len(lengths), np.int16)
    for edge in edges:
        bands += lengths > edge
    bands[np.isnan(lengths)] = BANDS
    return bands


# what a person decided beside it


@dataclass(frozen=True)
class Subset:
    """Rule and decisions together; positions of training rows, ascending."""

    mask: Mask  # [N] the rows kept in the end
    added: Ints  # the rule drops them, a decision keeps them
    removed: Ints  # the rule keeps them, a decision drops them

    @property
    def conflicts(self) -> Ints:
        """Where rule and decision disagree."""
        return np.sort(np.concatenate([self.added, self.removed]))


def subset(table: pd.DataFrame, kept: Mask, decisions: Decisions, *, ids: Ids | None = None) -> Subset:
    """What the rule keeps, with the training rows kept by hand, without the rows dropped by hand."""
    ids = ids or Ids(table["id"])
    by_hand, dropped = ids.positions(decisions.kept), ids.positions(decisions.dropped)
    added = by_hand[np.asarray(table["split"].iloc[by_hand] == "train") & ~kept[by_hand]]
    removed = dropped[kept[dropped]]
    mask = kept.copy()
    mask[added], mask[removed] = True, False
    return Subset(mask, added, removed)


def control_pool(members: Mask, decisions: Decisions, ids: Ids) -> Mask:
    """What a random control is drawn from: the rule's own pool (`members`, its flips turned round) without the rows dropped by hand.

    A row kept by hand is in it only where it is in the rule's pool, with the same chance as the others.
    """
    left = members.copy()
    left[ids.positions(decisions.dropped)] = False
    return left


def control(members: Mask, ids: Ids, count: int, seed: int = 0) -> Mask:
    """`count` rows of the control's pool by chance, or all where there are fewer."""
    return _random(members, ids, seed, min(count, int(members.sum())))


def by_chance(members: Mask, ids: Ids, seed: int = 0) -> Ints:
    """Positions of the control's pool in the order of chance: the first `count` of them are what `control` draws."""
    there = np.flatnonzero(members)
    order: Ints = there[np.argsort(ids.keys(seed)[there], kind="stable")]
    return order
