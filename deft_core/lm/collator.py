"""The steps of a run: which rows each takes, in which order, and their micro-batches for each process.

Everything here follows from the rows, the seed and the number of the step, so a resumed run meets the same batches as an
uninterrupted one, and any number of processes share the steps of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from deft_core.lm import prefix_batch
from deft_core.lm.losses import Objective
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainBatch, TrainRow, collate, of_one_step, read_by

__all__ = ["Batching", "StepBatches", "StepsOfRun", "places_of_step"]


@dataclass(frozen=True)
class Batching:
    """How rows become batches."""

    objective: Objective
    end_token: int
    layout: str = "prefix-shared"
    budget: int = 2048  # padded tokens of a micro-batch
    dtype: torch.dtype = torch.float32  # of the mask


@dataclass(frozen=True)
class StepBatches:
    """What one process reads in one step of the optimiser."""

    batches: list[TrainBatch]
    fillers: int  # how many of the last ones have no weight; see `batches_of`
    rows: int  # of the step, over all processes
    tokens: int  # that a model reads in this step without padding, over all processes


def places_of_step(step: int, rows: int, rows_per_step: int, seed: int) -> list[int]:
    """Places of the rows that step 0, 1, ... takes; every epoch is a shuffle of its own, and its last step has what is left over."""
    epoch, within = divmod(step, math.ceil(rows / rows_per_step))
    return _shuffled(rows, seed, epoch)[within * rows_per_step : (within + 1) * rows_per_step]


@lru_cache(maxsize=2)
def _shuffled(rows: int, seed: int, epoch: int) -> list[int]:
    places: list[int] = np.random.default_rng([seed, epoch]).permutation(rows).tolist()
    return places


def batches_of(rows: Sequence[TrainRow], batching: Batching, process: int = 0, processes: int = 1) -> StepBatches:
    """One process's micro-batches of a step over these rows.

    Each process gets as many, because sharded models meet in every forward; where rows run out, the shortest one fills up
    with no weight: its loss and gradients are 0.
    """
    read = sorted((read_by(batching.objective.method, row) for row in rows), key=lambda row: (-row.tokens.input_tokens(), row.id))
    shares = [read[k::processes] for k in range(processes)]
    groups = [prefix_batch.batches([row.tokens for row in share], batching.budget) for share in shares]
    own = [_collate([shares[process][i] for i in group], batching) for group in groups[process]]
    fillers = max(map(len, groups)) - len(own)
    chosen = sum(len(row.tokens.responses[0]) + row.tokens.ended[0] for row in read)
    weighed = of_one_step(own, len(read) / processes, chosen / processes)
    weightless = [replace(_collate(read[-1:], batching), step_rows=math.inf, step_tokens=math.inf)] * fillers
    return StepBatches(weighed + weightless, fillers, len(read), sum(map(TokenRow.input_tokens, (row.tokens for row in read))))


def _collate(rows: Sequence[TrainRow], batching: Batching) -> TrainBatch:
    return collate(rows, batching.objective, batching.end_token, batching.layout, batching.dtype)


class StepsOfRun(Dataset[StepBatches]):
    """The steps of a run, one item each, for one of the processes that share it."""

    def __init__(
        self,
        rows: Sequence[TrainRow],
        steps: int,
        rows_per_step: int,
        seed: int,
        batching: Batching,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.rows, self.steps, self.rows_per_step, self.seed, self.batching = rows, steps, rows_per_step, seed, batching
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> StepBatches:
        places = places_of_step(step, len(self.rows), self.rows_per_step, self.seed)
        return batches_of([self.rows[place] for place in places], self.batching, self.process, self.processes)
