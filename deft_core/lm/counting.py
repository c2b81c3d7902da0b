"""Counts the tokens of a dataset's training split, batch by batch, and meanwhile picks the rows that the layout is checked on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deft_core.errors import InputError, ModelError
from deft_core.group_counts import GroupCounter, GroupCounts
from deft_core.lm.tokens import TokenRow, token_rows

__all__ = ["Tally", "count", "training_conversations"]

_BATCH_ROWS = 2048  # tokenised at a time
_COLUMNS = ["split", "conversation", "prompt", "responses", "ranks"]

Columns = dict[str, list[Any]]


class Tally:
    """What has been counted so far, and of which rows."""

    def __init__(self, vocabulary: int) -> None:
        self.counter = GroupCounter(vocabulary)
        self.rows = 0
        self._sample: list[TokenRow] = []  # of the first batch
        self._longest = self._widest = TokenRow([], [[]], [True])

    def add(self, columns: Columns, rows: list[TokenRow]) -> None:
        """A batch: its columns as lists, and the same rows as tokens."""
        self._add_training_rows(columns, rows)
        by_length = sorted(rows, key=TokenRow.input_tokens)
        self._picked(by_length[:: max(1, len(rows) // 3)], rows)
        self.rows += len(rows)

    def absorb(self, other: Tally) -> None:
        """What another one counted in other rows."""
        self.counter.absorb(other.counter)
        self._picked(other._sample, [other._longest, other._widest])
        self.rows += other.rows

    def sample(self) -> list[TokenRow]:
        """Rows for the self-check: the longest in all, the one with the longest sequence, a few others."""
        return [self._longest, self._widest, *self._sample[:3]]

    def counts(self, conversations: int) -> GroupCounts:
        """Of the training split, which has so many conversations; refused where either side has no token."""
        counts = self.counter.counts(conversations)
        if not all(side.any() for side in counts.totals()):
            raise InputError("training rows to count tokens in", "none", "Import with smaller --heldout and --judge fractions.")
        return counts

    def _picked(self, few: list[TokenRow], rows: list[TokenRow]) -> None:
        self._sample = self._sample or few
        self._longest = max([self._longest, *rows], key=TokenRow.input_tokens)
        self._widest = max([self._widest, *rows], key=TokenRow.longest_sequence)  # the first to feel a sliding window

    def _add_training_rows(self, columns: Columns, rows: list[TokenRow]) -> None:
        conversations: list[str] = []
        sides: tuple[list[list[int]], list[list[int]]] = ([], [])  # of each row: tokens of its top-ranked responses, of all others
        for split, conversation, ranks, row in zip(columns["split"], columns["conversation"], columns["ranks"], rows, strict=True):
            if split == "train":
                conversations.append(conversation)
                for side, is_top in zip(sides, (True, False), strict=True):
                    ids = [t for rank, response in zip(ranks, row.responses, strict=True) if (rank == 1) == is_top for t in response]
                    side.append(_known(ids, self.counter.vocabulary))
        self.counter.add(conversations, *sides)


def count(
    pairs: Path,
    tokenizer: Any,
    vocabulary: int,
    max_length: int,
    told: Callable[[int, int], None] = lambda *_: None,
    row_groups: list[int] | None = None,
) -> Tally:
    """Token counts of top-ranked and other responses over the whole training split, or over its part in some row groups of the file.

    `told` hears how many of how many rows are done.
    """
    with pq.ParquetFile(pairs) as file:
        tally, total = Tally(vocabulary), file.metadata.num_rows
        for batch in file.iter_batches(_BATCH_ROWS, row_groups, columns=_COLUMNS):
            columns = batch.to_pydict()
            tally.add(columns, token_rows(tokenizer, columns["prompt"], columns["responses"], max_length))
            told(tally.rows, total)
    tally.counter.settle()
    return tally


def training_conversations(pairs: Path) -> int:
    """How many there are; a conversation is a hash of 64 bits in hexadecimal, and is held as that."""
    hashes = [np.empty(0, np.uint64)]
    with pq.ParquetFile(pairs) as file:
        for batch in file.iter_batches(columns=["split", "conversation"]):
            of_training = batch["conversation"].filter(pc.equal(batch["split"], "train"))
            hashes.append(np.frombuffer(bytes.fromhex("".join(of_training.to_pylist())), np.uint64))
    ordered = np.sort(np.concatenate(hashes))  # np.unique takes hundreds of times as long for numbers like these
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(1, len(ordered))


def _known(ids: list[int], vocabulary: int) -> list[int]:
    if ids and max(ids) >= vocabulary:
        found = f"token {max(ids)} for a model of {vocabulary}"
        raise ModelError("a tokenizer whose tokens the model has logits for", found, "Use the tokenizer the model was trained with.")
    return ids
