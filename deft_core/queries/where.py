"""A person's own condition: the text after WHERE over the view `pairs`, answered with the rows for which it is true.

The text may come from a link, so it is asked in a process of its own. DuckDB's limits hold between rows, not inside one function:
`list_sum(range(1000000000))` goes past both its memory limit and its interrupt (seen with 2.0.0). A process that the system
stops takes nothing along.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from duckdb import DuckDBPyConnection

from deft_core.errors import InputError
from deft_core.queries.relation import explained, too_large
from deft_core.queries.user_sql import locked
from deft_core.queries.view import View

__all__ = ["answer", "rows_where", "where_ids"]

EXAMPLE = "For example: reward_margin < 0 AND tokens_chosen > 20"
OVERHEAD_MB = 1024  # Python, Arrow and the threads' stacks, beside what DuckDB counts as its own
FAULT, REFUSED = 1, 3  # exit codes: Python's own; the three parts of an error are on standard output


def where_ids(view: View, sql: str, *, seconds: float = 10, memory_mb: int = 2048, flipped: pa.Table | None = None) -> pd.Index[Any]:
    """Ids of the rows for which `sql`, one condition over the columns of `pairs`, is true; no order is promised.

    It sees what a query of `user_sql` sees, subqueries over `pairs` included, and opens no file. After `seconds`, or past
    `memory_mb`, it is stopped and refused. `flipped`: as for `user_sql`.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from deft_core.queries.where import answer; answer()"],
        input=pickle.dumps((view, sql, seconds, memory_mb, flipped)),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    if done.returncode == 0:
        with pa.ipc.open_stream(done.stdout) as stream:
            ids: pd.Index[Any] = pd.Index(stream.read_all().column("id").to_pandas())
        return ids
    if done.returncode == REFUSED:
        raise InputError(*json.loads(done.stdout))
    if done.returncode == -signal.SIGALRM:
        raise InputError(f"an answer within {seconds:g} seconds", "a condition that takes longer", "Ask for less in it.")
    if done.returncode == FAULT:
        raise RuntimeError(done.stderr.decode())
    raise too_large()


def answer() -> None:
    """The process of one question: read from standard input, answered on standard output."""
    view, sql, seconds, memory_mb, flipped = pickle.load(sys.stdin.buffer)
    signal.setitimer(signal.ITIMER_REAL, seconds)  # nobody handles it: the system ends the process, whatever it is in
    most = (memory_mb + OVERHEAD_MB) * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        rows = rows_where(view, sql, memory_mb, flipped)
    except InputError as error:
        sys.stdout.write(json.dumps(error.args))
        sys.exit(REFUSED)
    with pa.ipc.new_stream(sys.stdout.buffer, rows.schema) as stream:
        stream.write_table(rows)


def rows_where(view: View, sql: str, memory_mb: int, flipped: pa.Table | None = None) -> pa.Table:
    """The column `id` of the rows for which `sql` is true, asked in this process: it may take its time, and more memory than that."""
    with explained(view, "a condition over the columns of `pairs`"), locked(view, memory_mb, flipped) as connection:
        _check_one_condition(connection, sql)
        return connection.sql(f"SELECT id FROM pairs WHERE {sql}\n").to_arrow_table()  # the line's end also ends a comment


def _check_one_condition(connection: DuckDBPyConnection, sql: str) -> None:
    """Whether it is an expression and nothing else, of true or false: not `1 = 1) UNION ... (1 = 1`, `1 = 1 LIMIT 5` or `1 = 1; ...`.

    As it stands its brackets must close; in brackets it may be nothing but an expression. Only what passes both is put into a query.
    """
    for text in (sql, f"({sql}\n)"):
        connection.extract_statements(f"SELECT id FROM pairs WHERE {text}\n")
    kinds = connection.view("pairs").select(duckdb.SQLExpression(sql)).types
    if any(kind != "BOOLEAN" for kind in kinds):
        raise InputError("a condition that is true or false for each row", f"values of type {kinds[0]}", EXAMPLE)
