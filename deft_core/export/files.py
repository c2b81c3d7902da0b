"""Records as a file: JSON lines, one JSON array, either of them as gzip, or Parquet in row groups."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write_json_rows", "write_parquet"]

GROUP_ROWS = 2_000

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}  # that some readers of lines break at


def write_json_rows(path: Path, records: Iterable[dict[str, Any]], ending: str) -> None:
    """`ending` is one of .jsonl, .json (an array) and these with .gz."""
    array = ending.startswith(".json") and not ending.startswith(".jsonl")
    with ExitStack() as stack:
        plain: BinaryIO = stack.enter_context(path.open("wb"))
        if ending.endswith(".gz"):  # without name and time: the same rows give the same bytes
            plain = stack.enter_context(gzip.GzipFile("", "wb", 6, plain, mtime=0))  # type: ignore[assignment]
        handle = stack.enter_context(io.TextIOWrapper(plain, encoding="utf-8", newline="\n"))
        handle.write("[\n" if array else "")
        for place, record in enumerate(records):
            line = _ENCODER.encode(record)
            handle.write((",\n" if place else "") * array + (line if line.isascii() else line.translate(_LINE_ENDS)) + "\n" * (not array))
        handle.write("\n]\n" if array else "")


def write_parquet(path: Path, records: Iterable[dict[str, Any]], schema: pa.Schema) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = iter(records)
        while group := list(islice(rows, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema))
