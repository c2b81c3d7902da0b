"""Token counts of the training split by group of conversations: what d's reliability is computed from. NumPy, no torch.

A conversation (all rows of one first user turn) is in one of 2,048 groups by hash, so the counts stay small however long the set is
and whatever is drawn again is drawn by whole conversations. Written by the scorer as counts.parquet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.workspace import replace_atomically

__all__ = ["GROUPS", "GroupCounter", "GroupCounts", "group_of", "read_counts", "write_counts"]

GROUPS = 2048
_LOOSE = 4_000_000  # tokens held before they are counted

_SCHEMA = pa.schema([("group", pa.int16()), ("token_id", pa.int32()), ("chosen", pa.int64()), ("rejected", pa.int64())])

Ints = NDArray[np.int64]
_Short = NDArray[np.uint32]


def group_of(conversation: str) -> int:
    """The group, 0 to 2,047, of a conversation's hash; another hash than the one that splits the data."""
    return int.from_bytes(blake2b(conversation.encode(), digest_size=4).digest()) % GROUPS


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """One entry a token and group in which it occurs, sorted by token, then by group."""

    groups: NDArray[np.int16]
    token_ids: NDArray[np.int32]
    chosen: Ints
    rejected: Ints
    vocabulary: int  # V
    conversations: int  # of the training split; several may share a group

    def totals(self) -> tuple[Ints, Ints]:
        """Counts of chosen and of rejected tokens over all groups, each [V]."""
        totals = np.zeros((2, self.vocabulary), dtype=np.int64)
        np.add.at(totals[0], self.token_ids, self.chosen)
        np.add.at(totals[1], self.token_ids, self.rejected)
        return totals[0], totals[1]


class GroupCounter:
    """Adds up tokens row by row; what is held is one entry a token and group, however many rows there are."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self._sorted = _Entries.of(*np.zeros((2, 0), np.uint32))
        self._loose: list[tuple[_Short, _Short]] = []  # keys of chosen and rejected tokens, not yet counted

    def add(self, conversations: Sequence[str], chosen: Sequence[Iterable[int]], rejected: Sequence[Iterable[int]]) -> None:
        """Some rows: the conversation of each, its top-ranked responses' token ids and all others'."""
        groups = [group_of(conversation) for conversation in conversations]
        self._loose.append((_keys(groups, chosen), _keys(groups, rejected)))
        if sum(len(keys) for sides in self._loose for keys in sides) > _LOOSE:
            self.settle()

    def absorb(self, other: GroupCounter) -> None:
        """What another counter has counted."""
        other.settle()
        self._sorted = self._sorted.with_added(other._sorted)

    def counts(self, conversations: int) -> GroupCounts:
        """Of all rows added, which came from so many conversations."""
        self.settle()
        tokens, groups = np.divmod(self._sorted.keys, GROUPS)
        sides = self._sorted.chosen.astype(np.int64), self._sorted.rejected.astype(np.int64)
        return GroupCounts(groups.astype(np.int16), tokens.astype(np.int32), *sides, self.vocabulary, conversations)

    def settle(self) -> None:
        """Counts what has been added, so that nothing larger than the counts is held."""
        if self._loose:
            self._sorted = self._sorted.with_added(_Entries.of(*map(np.concatenate, zip(*self._loose, strict=True))))
        self._loose = []


@dataclass(frozen=True, eq=False)
class _Entries:
    """In 12 bytes each: a vocabulary has fewer than 2^21 tokens, a group fewer than 2^32 of one."""

    keys: _Short  # token * GROUPS + group, sorted, each once
    chosen: _Short
    rejected: _Short

    @staticmethod
    def of(chosen: _Short, rejected: _Short) -> _Entries:
        keys, places = np.unique(np.concatenate([chosen, rejected]), return_inverse=True)
        sides = places[: len(chosen)], places[len(chosen) :]
        return _Entries(keys, *(np.bincount(side, minlength=len(keys)).astype(np.uint32) for side in sides))

    def with_added(self, more: _Entries) -> _Entries:
        """What is here is added to in place; only the keys that are new are moved in between."""
        places = np.searchsorted(self.keys, more.keys)
        known = np.zeros(len(places), dtype=bool)
        within = places < len(self.keys)
        known[within] = self.keys[places[within]] == more.keys[within]
        self.chosen[places[known]] += more.chosen[known]
        self.rejected[places[known]] += more.rejected[known]
        at, new = places[~known], (column[~known] for column in (more.keys, more.chosen, more.rejected))
        return _Entries(*(np.insert(column, at, fresh) for column, fresh in zip((self.keys, self.chosen, self.rejected), new, strict=True)))


def _keys(groups: Sequence[int], token_ids: Sequence[Iterable[int]]) -> _Short:
    rows = [np.fromiter(ids, np.uint32) * np.uint32(GROUPS) + np.uint32(group) for group, ids in zip(groups, token_ids, strict=True)]
    return np.concatenate(rows) if rows else np.zeros(0, np.uint32)


def write_counts(folder: Path, counts: GroupCounts) -> None:
    columns = [counts.groups, counts.token_ids, counts.chosen, counts.rejected]
    about = {"vocabulary": str(counts.vocabulary), "conversations": str(counts.conversations)}
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA.with_metadata(about))
    replace_atomically(folder / file_names.COUNTS, lambda path: pq.write_table(table, path, compression="zstd"))


OLDER = "An older version scored this set: score the dataset again with another --max-length, which makes a score set beside this one."


def read_counts(folder: Path) -> GroupCounts:
    """The counts of a score set's folder."""
    path = folder / file_names.COUNTS
    if not path.is_file():
        raise InputError(f"token counts by conversation in {path}", "no such file", OLDER)
    try:
        table = pq.read_table(path)
        about = [int(table.schema.metadata[name]) for name in (b"vocabulary", b"conversations")]
        return GroupCounts(*(table[name].to_numpy() for name in _SCHEMA.names), *about)
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise _unreadable(path, f"a damaged file ({error})") from None


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(f"token counts by conversation in {path}", found, f"Remove the folder {path.parent} and score the dataset again.")
