"""Log-probabilities of a run's responses under the model before training: from reference.parquet, else computed once and put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.errors import InputError
from deft_core.lm.scoring import Scorer
from deft_core.lm.train_batch import TrainRow
from deft_core.workspace import replace_atomically

__all__ = ["compute_references", "read_references", "with_references", "write_references"]

_SCHEMA = pa.schema([("id", pa.string()), ("logps", pa.list_(pa.float64()))])


def read_references(folder: Path) -> dict[str, list[float]]:
    """Row id -> summed log-probability of each response, best first, the end token included; empty where nothing is known."""
    path = folder / "reference.parquet"
    if not path.is_file():
        return {}
    try:
        columns = pq.read_table(path, columns=["id", "logps"]).to_pydict()
    except (OSError, pa.ArrowException) as error:
        found = str(error).strip().splitlines()[0]
        raise InputError(f"reference log-probabilities in {path}", found, "Remove the file; they are computed again.") from None
    return dict(zip(columns["id"], columns["logps"], strict=True))


def write_references(folder: Path, references: Mapping[str, Sequence[float]]) -> None:
    table = pa.Table.from_pydict({"id": list(references), "logps": list(references.values())}, schema=_SCHEMA)
    replace_atomically(folder / "reference.parquet", lambda path: pq.write_table(table, path))


def compute_references(scorer: Scorer, rows: Sequence[TrainRow], say: Callable[[int], None]) -> dict[str, list[float]]:
    """Of these rows, by the scorer's own forward; `say` hears how many are done and may raise to stop."""
    found: dict[str, list[float]] = {}
    for indices, scores in scorer.score_batches([row.tokens for row in rows]):
        found |= {rows[i].id: [score.logp for score in own] for i, own in zip(indices, scores, strict=True)}
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
