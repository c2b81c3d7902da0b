"""Arrow tables as JSON, CSV and Parquet files."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.errors import InputError
from deft_core.workspace import replace_atomically

__all__ = ["FORMATS", "as_json", "format_for", "write", "write_csv"]

FORMATS = ("json", "csv", "parquet")
ENDINGS = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".parquet": "parquet"}


def as_json(value: Any) -> str:
    """One line of strict JSON: NaN and infinities become null, dates ISO text, decimals numbers."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | None) else str(value)


def format_for(path: Path | None, asked: str | None) -> str:
    """The format of a file by its name's ending, which one that is asked for may not gainsay; without a file, what can be printed."""
    if asked not in (None, *FORMATS):
        raise InputError(f"a format among {', '.join(FORMATS)}", repr(asked), "Choose one of them.")
    if path is None:
        if asked == "parquet":
            raise InputError("--out FILE for --format parquet", "no --out", "Name a file, for example --out rows.parquet.")
        return asked or "json"
    named = ENDINGS.get(path.suffix.lower())
    if named is None and asked is None:
        raise InputError(f"a file name that ends in {', '.join(ENDINGS)}", str(path), "Name it like that, or give --format.")
    if named and asked and named != asked:
        raise InputError(f"one format for {path}", f"{named} by its ending, {asked} by --format", "Leave --format out, or change the name.")
    return asked or str(named)


def write(rows: pa.Table, path: Path, format: str) -> None:
    """The rows as a file, in one of FORMATS, that appears whole or not at all."""
    if not path.parent.is_dir():
        raise InputError("a file in a folder that is there", str(path), "Make the folder first.")

    def fill(beside: Path) -> None:
        if format == "parquet":
            pq.write_table(rows, beside)
            return
        with beside.open("w", encoding="utf-8", newline="") as handle:
            if format == "csv":
                write_csv(rows, handle)
            else:
                handle.writelines(as_json(row) + "\n" for row in rows.to_pylist())

    replace_atomically(path, fill)


def write_csv(rows: pa.Table, handle: TextIO) -> None:
    rows.to_pandas().to_csv(handle, index=False)
