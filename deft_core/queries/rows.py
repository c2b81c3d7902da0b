"""Rows: the light columns of all of them, the texts of a few, and those an import refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression

from deft_core.queries.relation import (
    ROW_NUMBER,
    Column,
    column_kinds,
    connected,
    explained,
    frame_of,
    joined,
)
from deft_core.queries.view import View

TEXT_COLUMNS = ("split", "source", "prompt", "responses", "ranks", "scores", "extra")

__all__ = ["Refused", "columns", "last_turns", "light_table", "refused_page", "texts"]


@dataclass(frozen=True)
class Refused:
    file: str
    line: int | None
    reason: str  # one of few sentences, by which they are counted
    detail: str | None  # what this row had
    original: str


def columns(view: View) -> list[Column]:
    """The columns a chart, a filter or a sort may name, in the order they are offered."""
    with explained(view), connected(view) as connection:
        return column_kinds(view, joined(connection, view))


def light_table(view: View) -> pd.DataFrame:
    """Every row, in the order of the file, with all columns that are numbers or categories: no texts, no lists; about 150 bytes a row."""
    with explained(view), connected(view) as connection:
        whole = joined(connection, view, [ColumnExpression(ROW_NUMBER)])
        kinds = {column.name: column.kind for column in column_kinds(view, whole) if column.kind != "text"}
        table = whole.select(*(ColumnExpression(name) for name in kinds)).to_arrow_table()
    order = np.argsort(table.column(ROW_NUMBER).to_numpy())  # a join has its rows in whatever order its threads end
    columns = {name: _in_order(table.column(name), order, kind) for name, kind in kinds.items() if name != ROW_NUMBER}
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame


def _in_order(values: pa.ChunkedArray, order: npt.NDArray[np.int64], kind: str) -> pa.Array:
    """In one piece: Arrow puts pieces together again each time a few of their rows are asked for."""
    if kind == "category":  # a flag becomes the words true and false
        values = values.cast(pa.string()).dictionary_encode()
    elif kind == "id":
        values = values.cast(pa.large_string())
    whole: pa.Array = values.combine_chunks().take(pa.array(order))
    return whole


def texts(view: View, ids: Sequence[str], columns: Sequence[str] = TEXT_COLUMNS) -> pd.DataFrame:
    """Id and prompt, responses, ranks, the source's scores (or only some columns) of a few rows, in the order asked for.

    First where the rows are in the file, then the rows of those places: DuckDB reads the texts of no other group of rows.
    """
    with explained(view), connected(view) as connection:
        found = connection.execute("SELECT file_row_number FROM pairs_file WHERE id IN (SELECT unnest(?))", [list(ids)]).fetchall()
        places, numbered = [ConstantExpression(place) for (place,) in found], connection.view("pairs_file")
        rows = numbered.filter(ColumnExpression(ROW_NUMBER).isin(*places)) if places else numbered.limit(0)
        frame = frame_of(rows.select(*(ColumnExpression(name) for name in ("id", *columns))))
    order = {row: place for place, row in enumerate(ids)}
    return frame.sort_values("id", key=lambda column: column.map(order)).reset_index(drop=True)


def last_turns(view: View, characters: int) -> pa.Table:
    """Id and how the prompt ends (its last turn, from its beginning) of every row, by id."""
    with explained(view), connected(view) as connection:
        sql = "SELECT id, left(prompt[-1].content, ?) AS text FROM pairs_file ORDER BY id"
        table = connection.sql(sql, params=[characters]).to_arrow_table()
    return table.cast(pa.schema([("id", pa.large_string()), ("text", pa.large_string())]))


def refused_page(path: Path, offset: int, limit: int, reason: str | None = None) -> list[Refused]:
    """Some of the rows an import could not use, in the order they were met; `path` is the dataset's refused.jsonl."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as handle:
        rows = (json.loads(line) for line in handle if line.endswith("\n"))
        chosen = (row for row in rows if reason is None or row["reason"] == reason)
        return [_refused(row) for row in islice(chosen, offset, offset + limit)]


def _refused(row: dict[str, Any]) -> Refused:
    original = row["original"] if isinstance(row["original"], str) else json.dumps(row["original"], ensure_ascii=False, indent=1)
    return Refused(row["file"], row["line"], row["reason"], row.get("detail"), original)
