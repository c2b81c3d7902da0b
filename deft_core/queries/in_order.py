"""A dataset's rows once more, in the order of their ids: what the scorer reads its parts from, each in one stretch of the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from deft_core.errors import InputError, first_line
from deft_core.queries.relation import patterns

__all__ = ["write_in_order"]

_ROW_GROUP = 2048  # rows
_MEMORY = "2GB"
_COLUMNS = ("id", "prompt", "responses", "ranks")


def write_in_order(pairs: Path, path: Path, rows: int) -> None:
    """The first `rows` by id to `path`, as Parquet in row groups of 2,048; more than 2 GB of them wait on the disk beside it."""
    spill = path.with_name(f"{path.name}.spill")
    try:
        with duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "temp_directory": str(spill)}) as connection:
            ordered = connection.read_parquet(patterns([pairs])).select(*_COLUMNS).order("id").limit(rows)
            ordered.write_parquet(str(path), compression="zstd", row_group_size=_ROW_GROUP)
    except duckdb.Error as error:
        raise InputError(f"the rows of {pairs}", first_line(error), "Import the dataset again, or make room on the disk.") from None
    finally:
        shutil.rmtree(spill, ignore_errors=True)
