"""Parquet and Arrow files as a stream of rows. A row's line is its number; it has no text of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.preferences import RowRefused
from deft_core.readers.rows import Row

__all__ = ["arrow_rows", "numbered", "parquet_rows"]

BATCH_ROWS = 1_000


def parquet_rows(file: Path | BinaryIO) -> Iterator[Row]:
    with pq.ParquetFile(file) as table:
        yield from _batch_rows(table.iter_batches(BATCH_ROWS))


def arrow_rows(files: Iterable[Path]) -> Iterator[Row]:
    """The stream files of a dataset that the `datasets` library has saved, one after the other."""
    yield from _batch_rows(batch for file in files for batch in _batches(file))


def numbered(records: Iterable[Any]) -> Iterator[Row]:
    return (Row(number, dict(record), None) for number, record in enumerate(records, start=1))


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
        for batch in stream:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


def _batch_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[Row]:
    before = 1
    for batch in batches:
        for offset, record in enumerate(_records(batch)):
            yield Row(before + offset, record, None, None if record is not None else RowRefused("a cell cannot be read", "not UTF-8"))
        before += batch.num_rows


def _records(batch: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """The rows as objects; None for those that hold bytes which are not the text their column promises."""
    try:
        return list(batch.to_pylist())
    except ValueError:
        return [None] if batch.num_rows == 1 else [record for i in range(batch.num_rows) for record in _records(batch.slice(i, 1))]
