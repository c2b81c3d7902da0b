"""A person's own question: one read-only SELECT over the view `pairs`, on a connection that may open no file.

It is asked in this process, unlike a condition (where.py), which may come from a link: who asks sits before it and can end it. A process
of its own would take half a second to start, and would have to hold and send an answer that may be as large as the dataset. So the limits
are DuckDB's, which hold between rows and not inside one function.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as arrow_dataset
from duckdb import ColumnExpression, DuckDBPyConnection

from deft_core.errors import InputError
from deft_core.queries.relation import explained, joined, what_if_view
from deft_core.queries.view import View

__all__ = ["locked", "pairs_of", "user_sql"]


def user_sql(view: View, sql: str, *, seconds: float = 60, memory_mb: int = 2048, flipped: pa.Table | None = None) -> pa.Table:
    """One SELECT over `pairs`: every light column, the source's own as extra_<name>, and as texts prompt, chosen (the first best) and
    rejected (the worst).

    The connection reads through tables handed to it and may open no file: since DuckDB 2 a WITH clause can write
    (`WITH a AS (COPY ... TO ...)`), so that being a SELECT is no promise. It stops after `seconds` and keeps within `memory_mb`.
    `flipped` are rows of `pairs` as a person has turned them round (flips.flipped_pairs); they stand in place of their own.
    """
    with explained(view, "a query over the view `pairs`"), locked(view, memory_mb, flipped) as connection:
        _check_one_select(connection, sql)
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.InterruptException:
            raise InputError(
                f"an answer within {seconds:g} seconds", "a query that takes longer", "Narrow it with WHERE, or name fewer columns."
            ) from None
        finally:
            timer.cancel()


def pairs_of(view: View, ids: Sequence[str], *, memory_mb: int = 2048) -> pa.Table:
    """Some rows as `pairs` has them, all its columns, in no certain order."""
    with explained(view), locked(view, memory_mb) as connection:
        return connection.sql("SELECT * FROM pairs WHERE id IN (SELECT unnest(?))", params=[list(ids)]).to_arrow_table()


@contextmanager
def locked(view: View, memory_mb: int, flipped: pa.Table | None = None) -> Iterator[DuckDBPyConnection]:
    """A connection with the view `pairs` that may open no file, and whose settings can no longer be changed."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": False, "temp_directory": ""}) as connection:
        held = [_register(connection, "pairs_file", [view.pairs])]
        if view.parts:
            held.append(_register(connection, "scores_file", view.parts))
        held += [_register(connection, what_if_view(path), [path]) for path in view.what_ifs]
        held += [_register(connection, name, [path]) for name, path in (("noise_file", view.noise), ("margins_file", view.margins)) if path]
        text = "array_to_string(list_transform(prompt, lambda message: message.role || ': ' || message.content), chr(10) || chr(10))"
        bodies = [duckdb.SQLExpression(text).alias("prompt"), duckdb.SQLExpression("responses[1]").alias("chosen")]
        bodies.append(duckdb.SQLExpression("responses[-1]").alias("rejected"))
        joined(connection, view, [*bodies, ColumnExpression("conversation")]).create_view("pairs" if flipped is None else "pairs_as_scored")
        if flipped is not None:
            connection.register("flipped_pairs", flipped)
            others = "SELECT * FROM pairs_as_scored ANTI JOIN flipped_pairs USING (id)"
            connection.sql(f"{others} UNION ALL BY NAME SELECT * FROM flipped_pairs").create_view("pairs")
        connection.execute("SET enable_progress_bar = false")  # on by itself, on standard output, in a Python that runs no file
        connection.execute("SET enable_external_access = false")
        connection.execute("SET memory_limit = ?", [f"{memory_mb}MB"])
        connection.execute("SET lock_configuration = true")
        yield connection
        del held


def _check_one_select(connection: DuckDBPyConnection, sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise InputError("one SELECT over the view `pairs`", found, "For example: SELECT count(*) FROM pairs WHERE reward_margin < 0")


def _register(connection: DuckDBPyConnection, name: str, paths: Sequence[Path]) -> Any:
    dataset = arrow_dataset.dataset([str(path) for path in paths], format="parquet")
    connection.register(name, dataset)
    return dataset
