"""The stored noise columns of a dataset: noise.parquet beside its pairs, with the data and the code it was computed by in its metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.workspace import Workspace, replace_atomically

__all__ = ["COLUMNS", "VERSION", "NoiseFile", "current", "first_ids", "found", "write"]

VERSION = 1  # of what the signals compute; columns of another one are computed again
COLUMNS = {  # and whether each holds numbers or categories
    "noise_exact_duplicate": "number",
    "noise_near_duplicate": "number",
    "noise_same_sides": "number",
    "noise_leak": "number",
    "noise_wrong_language": "category",
    "noise_personal_data": "category",
    "noise_length": "number",
}
_KEY = b"deft_noise"


@dataclass(frozen=True)
class NoiseFile:
    path: Path
    state: str  # current, stale (of other data or other code), damaged or missing
    notes: dict[str, str]  # by signal: what was found out about the whole set
    seconds: float  # the computation took
    created: str


def found(workspace: Workspace, dataset: str) -> NoiseFile:
    """What there is of the dataset as it is now."""
    path = workspace.noise(dataset)
    if not path.is_file():
        return NoiseFile(path, "missing", {}, 0.0, "")
    try:
        about: dict[str, Any] = json.loads((pq.read_schema(path).metadata or {})[_KEY])
        same = (about["fingerprint"], about["version"]) == (workspace.dataset_info(dataset)["fingerprint"], VERSION)
        return NoiseFile(path, "current" if same else "stale", about["notes"], about["seconds"], about["created"])
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return NoiseFile(path, "damaged", {}, 0.0, "")


def current(workspace: Workspace, dataset: str) -> Path | None:
    """The file where it is of the dataset as it is now; queries join it by id."""
    file = found(workspace, dataset)
    return file.path if file.state == "current" else None


def first_ids(path: Path, column: str) -> pd.Index[Any]:
    """The first row of every group, in the order of the data: the one the others are alike to."""
    rows = pq.read_table(path, columns=["id", column]).to_pandas().dropna(subset=column)
    firsts: pd.Index[Any] = pd.Index(rows.drop_duplicates(column)["id"])
    return firsts


def write(path: Path, table: pa.Table, about: dict[str, Any]) -> None:
    """`table`: id and one column a signal, in the order of the pairs; `about`: fingerprint, notes, seconds, created."""
    described = table.replace_schema_metadata({_KEY: json.dumps(about | {"version": VERSION})})
    replace_atomically(path, lambda beside: pq.write_table(described, beside, compression="zstd"))
