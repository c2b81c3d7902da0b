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

from deft_core.errors import InputError
from deft_core.workspace import replace_atomically

__all__ = ["GROUPS", "GroupCounter", "GroupCounts", "group_of", "read_counts", "write_counts"]

GROUPS = 2048
_LOOSE = 2_000_000  # entries held beside the sorted ones before they are merged into them

_SCHEMA = pa.schema([("group", pa.int16()), ("token_id", pa.int32()), ("chosen", pa.int64()), ("rejected", pa.int64())])

Ints = NDArray[np.int64]


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
        self._sorted = _Entries.of([], [])
        self._loose: list[_Entries] = []

    def add(self, conversations: Sequence[str], chosen: Sequence[Iterable[int]], rejected: Sequence[Iterable[int]]) -> None:
        """Some rows: the conversation of each, its top-ranked responses' token ids and all others'."""
        groups = [group_of(conversation) for conversation in conversations]
        self._loose.append(_Entries.of(_keys(groups, chosen), _keys(groups, rejected)))
        if sum(len(entries.keys) for entries in self._loose) > _LOOSE:
            self._merge()

    def counts(self, conversations: int) -> GroupCounts:
        """Of all rows added, which came from so many conversations."""
        self._merge()
        tokens, groups = np.divmod(self._sorted.keys, GROUPS)
        sides = self._sorted.chosen, self._sorted.rejected
        return GroupCounts(groups.astype(np.int16), tokens.astype(np.int32), *sides, self.vocabulary, conversations)

    def _merge(self) -> None:
        self._sorted = _Entries.merged([self._sorted, *self._loose])
        self._loose = []


@dataclass(frozen=True, eq=False)
class _Entries:
    keys: Ints  # token * GROUPS + group, sorted, each once
    chosen: Ints
    rejected: Ints

    @staticmethod
    def of(chosen: Sequence[int] | Ints, rejected: Sequence[int] | Ints) -> _Entries:
        keys, places = np.unique(np.concatenate([np.asarray(chosen, np.int64), np.asarray(rejected, np.int64)]), return_inverse=True)
        sides = places[: len(chosen)], places[len(chosen) :]
        return _Entries(keys, *(np.bincount(side, minlength=len(keys)) for side in sides))

    @staticmethod
    def merged(parts: list[_Entries]) -> _Entries:
        keys = np.concatenate([part.keys for part in parts])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        if not len(starts):
            return parts[0]
        sides = (np.concatenate([getattr(part, side) for part in parts])[order] for side in ("chosen", "rejected"))
        return _Entries(keys[starts], *(np.add.reduceat(side, starts) for side in sides))


def _keys(groups: Sequence[int], token_ids: Sequence[Iterable[int]]) -> Ints:
    rows = [np.fromiter(ids, np.int64) * GROUPS + group for group, ids in zip(groups, token_ids, strict=True)]
    return np.concatenate(rows) if rows else np.zeros(0, np.int64)


def write_counts(folder: Path, counts: GroupCounts) -> None:
    columns = [counts.groups, counts.token_ids, counts.chosen, counts.rejected]
    about = {"vocabulary": str(counts.vocabulary), "conversations": str(counts.conversations)}
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA.with_metadata(about))
    replace_atomically(folder / "counts.parquet", lambda path: pq.write_table(table, path, compression="zstd"))


def read_counts(folder: Path) -> GroupCounts:
    """The counts of a score set's folder."""
    path = folder / "counts.parquet"
    if not path.is_file():
        raise _unreadable(path, "no such file")
    try:
        table = pq.read_table(path)
        about = [int(table.schema.metadata[name]) for name in (b"vocabulary", b"conversations")]
        return GroupCounts(*(table[name].to_numpy() for name in _SCHEMA.names), *about)
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise _unreadable(path, f"a damaged file ({error})") from None


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(f"token counts by conversation in {path}", found, f"Remove the folder {path.parent} and score the dataset again.")
