"""Rows of a training step as batches: which responses a method reads, how good each is, and what the reference gave it.

A step is a fixed number of rows in shuffled order; batches by length or by tokens would weigh short rows more and bias the
gradient. Within a step rows may be put together by length into micro-batches: each divides by the rows and tokens of
the whole step, so their losses and gradients add up to the step's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from deft_core.errors import InputError
from deft_core.lm import prefix_batch
from deft_core.lm.losses import Objective, levels
from deft_core.lm.prefix_batch import Batch
from deft_core.lm.tokens import TokenRow

__all__ = ["TrainBatch", "TrainRow", "collate", "micro_batches", "of_one_step", "read_by"]


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One preference of a run; every list is over its responses, best first."""

    id: str
    tokens: TokenRow
    ranks: list[int]  # dense, 1 is best
    scores: list[float | None]  # the source's own
    reference: list[float] | None = None  # lp of each response under the base model


@dataclass(frozen=True)
class TrainBatch:
    """R rows with up to n responses; grids are [R, n], best response first."""

    ids: tuple[str, ...]
    tokens: Batch  # the J responses as the model reads them
    response_tokens: list[int]  # [J] without the end token
    slots: Tensor  # [J] the place of each response in a flattened grid
    lengths: Tensor  # [R, n] predictions, the end token included; 1 where there is no response
    ranks: Tensor  # [R, n] 0 where there is no response
    levels: Tensor  # [R, n] see losses.levels
    reference: Tensor | None  # [R, n]
    step_rows: float  # rows of the whole step
    step_tokens: float  # predictions of chosen responses in the whole step

    def __len__(self) -> int:
        return len(self.ids)

    def grid(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Values of the J responses as [R, n]."""
        flat = values.new_full((self.lengths.numel(),), fill)
        return flat.scatter(0, self.slots, values).view(self.lengths.shape)

    def to(self, device: torch.device) -> TrainBatch:
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor | Batch)}
        return replace(self, **moved)


def read_by(method: str, row: TrainRow) -> TrainRow:
    """The row with the responses that a method reads: the best, the best and the worst, or all of them."""
    places = {"sft": [0], "pro": list(range(len(row.ranks)))}.get(method, [0, len(row.ranks) - 1])
    tokens = replace(row.tokens, responses=[row.tokens.responses[k] for k in places], ended=[row.tokens.ended[k] for k in places])
    reference = None if row.reference is None else [row.reference[k] for k in places]
    return TrainRow(row.id, tokens, [row.ranks[k] for k in places], [row.scores[k] for k in places], reference)


def collate(
    rows: Sequence[TrainRow], objective: Objective, end_token: int, layout: str = "prefix-shared", dtype: torch.dtype = torch.float32
) -> TrainBatch:
    """These rows as one batch that is a step of its own."""
    rows = [_checked(read_by(objective.method, row), objective) for row in rows]
    tokens = prefix_batch.build([row.tokens for row in rows], end_token, layout, dtype)
    lengths = [[len(ids) + ended for ids, ended in zip(row.tokens.responses, row.tokens.ended, strict=True)] for row in rows]
    n = max(map(len, lengths))
    references = [row.reference for row in rows if row.reference is not None]
    return TrainBatch(
        ids=tuple(row.id for row in rows),
        tokens=tokens,
        response_tokens=[len(rows[place].tokens.responses[k]) for place, k in tokens.owners],
        slots=torch.tensor([place * n + k for place, k in tokens.owners]),
        lengths=_grid(lengths, n, fill=1),
        ranks=_grid([row.ranks for row in rows], n),
        levels=_grid([levels(row.ranks, row.scores, objective.gap)[0] for row in rows], n),
        reference=_grid(references, n) if len(references) == len(rows) else None,
        step_rows=len(rows),
        step_tokens=sum(own[0] for own in lengths),
    )


def _grid(rows: Sequence[Sequence[float]], n: int, fill: float = 0) -> Tensor:
    return torch.tensor([[*row, *[fill] * (n - len(row))] for row in rows], dtype=torch.float32)


def micro_batches(
    rows: Sequence[TrainRow],
    budget: int,
    objective: Objective,
    end_token: int,
    layout: str = "prefix-shared",
    dtype: torch.dtype = torch.float32,
) -> list[TrainBatch]:
    """The rows of one step in micro-batches of at most `budget` padded tokens (or one row), longest first."""
    read = [read_by(objective.method, row) for row in rows]
    groups = prefix_batch.batches([row.tokens for row in read], budget)
    return of_one_step([collate([read[i] for i in group], objective, end_token, layout, dtype) for group in groups])


def of_one_step(batches: Sequence[TrainBatch], rows: float | None = None, tokens: float | None = None) -> list[TrainBatch]:
    """The batches as parts of one step that has so many rows and chosen predictions; by default, as many as they have.

    Where processes share a step, give the sums over all of them divided by their number, because gradients are averaged.
    """
    rows = sum(batch.step_rows for batch in batches) if rows is None else rows
    tokens = sum(batch.step_tokens for batch in batches) if tokens is None else tokens
    return [replace(batch, step_rows=rows, step_tokens=tokens) for batch in batches]


def _checked(row: TrainRow, objective: Objective) -> TrainRow:
    if not all(row.tokens.responses) or not row.tokens.prompt:
        raise InputError("a prompt and responses of at least one token", f"none in row {row.id}", "Leave the row out of the selection.")
    if objective.needs_reference and row.reference is None:
        remedy = "Compute the base model's log-probabilities first."
        raise InputError(f"reference log-probabilities for {objective.method}", f"none for row {row.id}", remedy)
    return row
