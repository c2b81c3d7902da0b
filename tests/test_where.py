"""A person's own condition: which rows it is true for, and that it can be nothing but a condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deft_core.errors import InputError
from deft_core.queries import View, light_table, open_view, user_sql, where_ids
from deft_core.queries.where import rows_where
from deft_core.workspace import Workspace
from tests.score_sets import preferences

ROWS = 60


@pytest.fixture
def view(partly_scored: Workspace) -> View:
    return open_view(partly_scored, "demo")


@pytest.mark.parametrize(
    "condition",
    [
        "reward_margin < 0",
        "reward_margin < 0 -- of those scored",
        "(reward_margin < 0)",
        "-- first\nreward_margin < 0",
        "0 > reward_margin",
    ],
)
def test_it_gives_the_rows_for_which_it_is_true(view: View, condition: str) -> None:
    table = light_table(view)
    assert set(where_ids(view, condition)) == set(table["id"][table["reward_margin"] < 0])  # rows without a score: not true


def test_it_sees_texts_the_sources_columns_and_the_other_rows(view: View) -> None:
    table = light_table(view)
    bodies = [" ".join(response.text for response in made.responses[:1]) for made in preferences(ROWS)]
    assert len(where_ids(view, "chosen ILIKE '%sorry%'")) == sum("sorry" in body for body in bodies)
    assert set(where_ids(view, "extra_topic = 'tea' AND turns = 2")) == set(
        table["id"][(table["extra_topic"] == "tea") & (table["turns"] == 2)]
    )
    lowest = where_ids(view, "id IN (SELECT id FROM pairs WHERE reward_chosen IS NOT NULL ORDER BY reward_chosen LIMIT 5)")
    assert set(lowest) == set(table.nsmallest(5, "reward_chosen")["id"])
    assert np.array_equal(sorted(where_ids(view, "true")), sorted(table["id"])) and len(where_ids(view, "false")) == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "--", "/*", "reward_margin < 0 /*", "(reward_margin < 0", "reward_margin < 0)", "reward_margin <", "true, true", "true AS x"),
        *("true;", "true; DROP VIEW pairs", "pairs; drop", "true) UNION SELECT id FROM pairs WHERE (true", "true) -- ", "true) OR (true"),
        *("true UNION SELECT 'x'", "true GROUP BY id", "true ORDER BY id", "true LIMIT 5", "true USING SAMPLE 3", "true OFFSET 1"),
        *("true QUALIFY row_number() OVER () = 1", "true WINDOW w AS (ORDER BY id)", "id FROM pairs WHERE true", "* FROM pairs"),
        *(
            "SELECT true",
            "DROP VIEW pairs",
            "SET threads = 1",
            "ATTACH 'x.db'",
            "PRAGMA version",
            "COPY pairs TO 'x.csv'",
            "true\0) OR (true",
        ),
        *(
            "true\0) OR (true",
            "id = ?",
            "id = $1",
            "count(*) > 1",
            "row_number() OVER () = 1",
            "unnest([true, false])",
            "(" * 3000 + "true" + ")" * 3000,
        ),
    ],
)
def test_nothing_but_a_condition_is_asked(view: View, text: str) -> None:
    with pytest.raises(InputError, match=r"Expected a condition over the columns of `pairs`; found .* Columns: id, split"):
        rows_where(view, text, 500)


@pytest.mark.parametrize("text", ["reward_margin", "'true'", "NULL", "id"])
def test_a_condition_is_true_or_false(view: View, text: str) -> None:
    with pytest.raises(InputError, match=r"true or false for each row.*For example: reward_margin < 0"):
        rows_where(view, text, 500)


def test_no_condition_reads_or_writes_a_file(view: View, tmp_path: Path) -> None:
    secret, new = tmp_path / "secret.csv", tmp_path / "new.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    before = view.pairs.read_bytes()
    tables = [f"'{secret}'", f"read_csv('{secret}')", f"read_text('{view.pairs}')", f"glob('{tmp_path}/*')", "read_csv('/etc/passwd')"]
    tables += [f"enable_logging(storage = 'file', storage_path = '{new}')", "enable_profiling()", "query('DROP VIEW pairs')"]
    tables += ["sqlite_scan('a.db', 'b')", "parquet_metadata('a.parquet')"]
    writes = [f"COPY (SELECT 1) TO '{new}'", f"COPY (SELECT 1) TO '{view.pairs}'", f"ATTACH '{new}'", "PRAGMA version", "SET threads = 1"]
    for inner in [*(f"SELECT 1 FROM {table}" for table in tables), *(f"WITH a AS ({write}) SELECT 1" for write in writes)]:
        with pytest.raises(InputError, match="a condition over"):
            rows_where(view, f"EXISTS ({inner})", 500)
    assert view.pairs.read_bytes() == before and not new.exists()


def test_a_refusal_comes_back_from_the_process_that_asked(view: View, partly_scored: Workspace) -> None:
    with pytest.raises(InputError, match='Permission Error: Cannot access file "/etc/passwd"'):
        where_ids(view, "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))")
    with pytest.raises(InputError, match=r"rewrd.*Columns: id, split.*extra_topic"):
        where_ids(view, "rewrd < 1")
    with pytest.raises(InputError, match="deft score demo"):
        where_ids(open_view(partly_scored, "demo", None), "reward_chosen < 1")


@pytest.mark.parametrize(
    "forever",
    [
        "(SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3) > turns",
        "levenshtein(repeat('x', 1000000), repeat('y', 1000000)) > turns",  # one call, which no interrupt ends
    ],
)
def test_one_that_takes_too_long_is_stopped(view: View, forever: str) -> None:
    with pytest.raises(InputError, match=r"an answer within 2 seconds; found a condition that takes longer"):
        where_ids(view, forever, seconds=2)


@pytest.mark.parametrize(
    "huge",
    [
        "(SELECT list(a.range) FROM range(100000000) a) IS NULL",
        "list_sum(range(1000000000)) > turns",  # one call, which DuckDB's own limit does not hold
        "length(repeat('x', 3000000000)) > turns",
    ],
)
def test_one_that_needs_too_much_memory_is_stopped(view: View, huge: str) -> None:
    with pytest.raises(InputError, match="a query that fits into memory"):
        where_ids(view, huge, memory_mb=500, seconds=60)


def test_nothing_but_the_answer_is_on_its_standard_output(view: View) -> None:
    assert len(where_ids(view, "NOT current_setting('enable_progress_bar')")) == ROWS  # DuckDB would draw it after two seconds


def test_it_sees_the_columns_a_query_sees(view: View) -> None:
    names = user_sql(view, "SELECT * FROM pairs LIMIT 0").column_names
    assert len(where_ids(view, " AND ".join(f'("{name}" IS NULL OR true)' for name in names))) == ROWS
