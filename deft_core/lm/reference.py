"""Log-probabilities of a run's responses under the model before training: from reference.parquet, else computed once and put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from deft_core import file_names
from deft_core.errors import InputError, first_line
from deft_core.lm import prefix_batch
from deft_core.lm.collator import Batching
from deft_core.lm.losses import Objective
from deft_core.lm.train_batch import TrainRow, collate
from deft_core.lm.train_step import TrainStep
from deft_core.workspace import replace_atomically

__all__ = ["compute_references", "read_references", "with_references", "write_references"]

_SCHEMA = pa.schema([("id", pa.string()), ("logps", pa.list_(pa.float64()))])


def read_references(folder: Path) -> dict[str, list[float]]:
    """Row id -> summed log-probability of each response, best first, the end token included; empty where nothing is known."""
    path = folder / file_names.REFERENCE
    if not path.is_file():
        return {}
    try:
        columns = pq.read_table(path, columns=["id", "logps"]).to_pydict()
    except (OSError, pa.ArrowException) as error:
        found = first_line(error)
        raise InputError(f"reference log-probabilities in {path}", found, "Remove the file; they are computed again.") from None
    return dict(zip(columns["id"], columns["logps"], strict=True))


def write_references(folder: Path, references: Mapping[str, Sequence[float]]) -> None:
    table = pa.Table.from_pydict({"id": list(references), "logps": list(references.values())}, schema=_SCHEMA)
    replace_atomically(folder / file_names.REFERENCE, lambda path: pq.write_table(table, path))


@torch.no_grad()
def compute_references(step: TrainStep, rows: Sequence[TrainRow], batching: Batching, say: Callable[[int], None]) -> dict[str, list[float]]:
    """Of these rows, by the forward that training takes, so that log-ratios begin at 0.

    `say` hears how many are done and may raise to stop.
    """
    found: dict[str, list[float]] = {}
    for indices in prefix_batch.batches([row.tokens for row in rows], batching.budget):
        own = [rows[i] for i in indices]
        batch = collate(own, Objective("pro"), batching.end_token, batching.layout, batching.dtype)  # PRO reads every response
        lp = step.read(batch.to(step.d.device)).lp.tolist()  # [R, n]
        found |= {row.id: values[: len(row.ranks)] for row, values in zip(own, lp, strict=True)}
        say(len(found))
    return found


def with_references(rows: Sequence[TrainRow], references: Mapping[str, list[float]]) -> list[TrainRow]:
    """The rows with what is known of each; a row of another number of responses means a file of another run."""
    found = [replace(row, reference=references.get(row.id)) for row in rows]
    for row in found:
        if row.reference is not None and len(row.reference) != len(row.ranks):
            counts = f"{len(row.reference)} for row {row.id} of {len(row.ranks)}"
            raise InputError("a reference log-probability for each response", counts, "Remove reference.parquet; it is computed again.")
    return found
