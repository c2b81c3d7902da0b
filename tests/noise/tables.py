"""Tables of preferences for the signals, and what the signals say about them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from deft_core.noise.batch import Batch
from deft_core.noise.workbench import columns

SENTENCE = "the kettle boils while rain runs down the window and a slow train leaves for the coast with nobody aboard"


def row(prompt: str = "hello", *responses: str, split: str = "train", ranks: list[int] | None = None, role: str = "user") -> dict:
    texts = list(responses) or ["yes", "no"]
    return {
        "split": split,
        "prompt": [{"role": role, "content": prompt}],
        "responses": texts,
        "ranks": ranks or list(range(1, len(texts) + 1)),
    }


def table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows)


def column(scratch: Path, name: str, rows: list[dict], batch_rows: int = 2) -> list:
    """A signal's column over the rows, read in small batches as the workbench reads large ones."""
    batches = [Batch.of(table(rows[start : start + batch_rows])) for start in range(0, len(rows), batch_rows)]
    found, _ = columns(batches, scratch / name)
    return found[f"noise_{name}"].to_pylist()


def notes(scratch: Path, rows: list[dict]) -> dict[str, str]:
    return columns([Batch.of(table(rows))], scratch / "notes")[1]
