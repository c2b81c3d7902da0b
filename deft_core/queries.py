"""The only SQL: one function asks one question of a dataset joined with one of its score sets.

`open_view(workspace, dataset, score_id)` names the files; every other function takes that `View` and opens a DuckDB connection of its
own in memory. Values are bound; a column name from outside goes through DuckDB's expression objects, never into a string of SQL.

For the command: `user_sql(view, sql, seconds=60, memory_mb=2048) -> pyarrow.Table` runs one read-only SELECT over the view `pairs`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as arrow_dataset
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation, Expression, FunctionExpression

from deft_core.errors import InputError, NotFoundError
from deft_core.workspace import Workspace

__all__ = [
    "NEWEST",
    "Column",
    "Refused",
    "ScoredToken",
    "View",
    "check_pattern",
    "columns",
    "light_table",
    "matching_ids",
    "open_view",
    "pairs_version",
    "refused_page",
    "response_scores",
    "texts",
    "token_detail",
    "user_sql",
    "version",
]

NEWEST = "newest"  # instead of a score id: whichever was created last

PAIR_COLUMNS = ("id", "split", "source", "n_responses", "turns", "characters_prompt", "characters_chosen", "characters_rejected")
SCORE_COLUMNS = (
    *("reward_chosen", "reward_rejected", "reward_margin", "reward_mean"),
    *("logp_chosen", "logp_rejected", "logp_margin", "mean_logp_chosen", "mean_logp_rejected", "mean_logp_margin"),
    *("perplexity_chosen", "perplexity_rejected", "tokens_prompt", "tokens_chosen", "tokens_rejected", "truncated_tokens"),
)
CATEGORIES_AT_MOST = 1_000  # a text column with more different values is no category, and is not held in memory
CATEGORY_CHARACTERS = 200

_SQL_TYPES = {"number": "DOUBLE", "boolean": "BOOLEAN"}  # every other kind stays text


@dataclass(frozen=True)
class View:
    """The files behind one look at a dataset; hashable, so that it can be part of a cache key."""

    dataset: str
    score_id: str | None  # None: without scores
    pairs: Path
    parts: tuple[Path, ...]  # of the score set, those written so far
    discrepancy: Path | None  # the token table d comes from
    extra: tuple[tuple[str, str], ...]  # the source's other columns: name, kind


@dataclass(frozen=True)
class Column:
    name: str
    kind: str  # id, number, category or text; text is not in the light table


@dataclass(frozen=True)
class ScoredToken:
    text: bytes  # the token's exact bytes; they may end inside a character
    contribution: float  # r_t = u . h_t; the response's reward is the mean over its tokens
    logp: float
    d: float
    count_chosen: int
    count_rejected: int


@dataclass(frozen=True)
class Refused:
    file: str
    line: int | None
    reason: str  # one of few sentences, by which they are counted
    detail: str | None  # what this row had
    original: str


# which files


def open_view(workspace: Workspace, dataset: str, score_id: str | None = NEWEST) -> View:
    """The dataset with the named score set, the newest one (without scores where there is none), or none at all."""
    info = workspace.dataset_info(dataset)
    if score_id == NEWEST:
        score_id = next(iter(workspace.score_ids(dataset)), None)
    parts, table = _score_files(workspace, dataset, score_id) if score_id else ((), None)
    extra = tuple((str(name), str(kind)) for name, kind in info.get("extra_columns", {}).items())
    return View(dataset, score_id, workspace.pairs(dataset), parts, table, extra)


def _score_files(workspace: Workspace, dataset: str, score_id: str) -> tuple[tuple[Path, ...], Path | None]:
    folder = workspace.score_set(dataset, score_id)
    known = workspace.score_ids(dataset)
    if score_id not in known:
        found = f"no {score_id!r} (there: {', '.join(known) or 'none yet'})"
        raise NotFoundError(f"a score set of {dataset!r} as it is now", found, "Choose one of those, or score the dataset.")
    table = folder / "discrepancy.parquet"
    return tuple(sorted(folder.glob("part-*.parquet"))), table if table.is_file() else None


def version(workspace: Workspace, view: View) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever the data or the parts of the score set do (not with its status, every second); costs one `stat` a file."""
    files = [view.pairs, view.pairs.with_name("dataset.json"), *view.parts]
    if view.score_id:
        folder = workspace.score_set(view.dataset, view.score_id)
        files += [folder / "score.json", folder / "discrepancy.parquet"]
    return tuple(_stamp(path) for path in files if path.exists())


def pairs_version(view: View) -> tuple[str, int, int]:
    """Changes whenever the texts do, whatever becomes of their scores."""
    return _stamp(view.pairs)


def _stamp(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


# what is in them


def columns(view: View) -> list[Column]:
    """The columns a chart, a filter or a sort may name, in the order they are offered."""
    with _explained(view), _connected(view) as connection:
        return _columns(view, _joined(connection, view))


def light_table(view: View) -> pd.DataFrame:
    """Every row with all columns that are numbers or categories: no texts, no lists; about 150 bytes a row."""
    with _explained(view), _connected(view) as connection:
        joined = _joined(connection, view)
        kinds = {column.name: column.kind for column in _columns(view, joined) if column.kind != "text"}
        table = joined.select(*(ColumnExpression(name) for name in kinds)).to_arrow_table()
        for index, (name, kind) in enumerate(kinds.items()):
            if kind == "category":  # a flag becomes the words true and false
                table = table.set_column(index, name, table.column(name).cast(pa.string()).dictionary_encode())
        frame: pd.DataFrame = table.to_pandas()
    return frame


def texts(view: View, ids: Sequence[str]) -> pd.DataFrame:
    """Prompt, responses, ranks and the source's scores of a few rows, in the order asked for."""
    with _explained(view), _connected(view) as connection:
        question = "SELECT id, split, source, prompt, responses, ranks, scores, extra FROM pairs_file WHERE id IN (SELECT unnest(?))"
        found = _frame(connection.sql(question, params=[list(ids)]))
    order = {row: place for place, row in enumerate(ids)}
    return found.sort_values("id", key=lambda column: column.map(order)).reset_index(drop=True)


def matching_ids(view: View, pattern: str, *, regular: bool = False) -> pd.Index[Any]:
    """Rows whose prompt or any response contains `pattern`, whatever its case; or matches it as a regular expression."""
    test = "regexp_matches(text, ?, 'i')" if regular else "contains(lower(text), lower(?))"
    messages = "list_transform(prompt, lambda message: message.content)"
    question = f"SELECT DISTINCT id FROM (SELECT id, unnest(list_concat({messages}, responses)) AS text FROM pairs_file) WHERE {test}"
    if regular:
        check_pattern(pattern)
    with _explained(view), _connected(view) as connection:
        found = _frame(connection.sql(question, params=[pattern]))
    index: pd.Index[Any] = pd.Index(found["id"])
    return index


def check_pattern(pattern: str) -> None:
    """Whether it is a regular expression, before it becomes a filter."""
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        raise InputError(
            "a regular expression", f"{pattern!r} ({str(error).splitlines()[0]})", "Mend it, or search for the plain text."
        ) from None


def response_scores(view: View, row_id: str) -> pd.DataFrame:
    """Reward, log-probability (end token included) and length of every response of a row; empty where it has no scores yet."""
    if not view.parts:
        return pd.DataFrame(columns=["reward", "logp", "tokens"])
    question = "SELECT unnest(rewards) AS reward, unnest(logps) AS logp, unnest(tokens) AS tokens FROM scores_file WHERE id = ?"
    with _explained(view), _connected(view) as connection:
        return _frame(connection.sql(question, params=[row_id]))


def token_detail(view: View, row_id: str) -> list[list[ScoredToken]]:
    """The tokens of every response of a row, as they were scored; empty where the row has no scores yet."""
    if not view.parts or view.discrepancy is None:
        return []
    question = """
        WITH responses AS (
            SELECT generate_subscripts(token_ids, 1) AS response, unnest(token_ids) AS ids, unnest(token_rewards) AS rewards,
                   unnest(list_transform(token_logps, lambda logps, i: logps[1:len(token_ids[i])])) AS logps
            FROM scores_file WHERE id = ?
        ), tokens AS (
            SELECT response, generate_subscripts(ids, 1) AS place, unnest(ids) AS token_id,
                   unnest(rewards) AS contribution, unnest(logps) AS logp
            FROM responses
        )
        SELECT response - 1, coalesce(bytes, ?), contribution, logp, coalesce(d, 0), coalesce(count_chosen, 0), coalesce(count_rejected, 0)
        FROM tokens LEFT JOIN tokens_file USING (token_id) ORDER BY response, place
    """
    with _explained(view), _connected(view) as connection:
        connection.read_parquet(_patterns([view.discrepancy])).create_view("tokens_file")
        rows = connection.execute(question, [row_id, "�".encode()]).fetchall()
        responses = connection.execute("SELECT len(token_ids) FROM scores_file WHERE id = ?", [row_id]).fetchone()
    detail: list[list[ScoredToken]] = [[] for _ in range(responses[0] if responses else 0)]  # one without tokens has no row above
    for row in rows:
        detail[row[0]].append(ScoredToken(*row[1:]))
    return detail


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


# a person's own question


def user_sql(view: View, sql: str, *, seconds: float = 60, memory_mb: int = 2048) -> pa.Table:
    """One SELECT over `pairs`: every light column, the source's own as extra_<name>, and as texts prompt, chosen (the first best) and
    rejected (the worst).

    The connection reads through tables handed to it and may open no file: since DuckDB 2 a WITH clause can write
    (`WITH a AS (COPY ... TO ...)`), so that being a SELECT is no promise. It stops after `seconds` and keeps within `memory_mb`.
    """
    with (
        _explained(view, sql),
        duckdb.connect(":memory:", config={"python_enable_replacements": False, "temp_directory": ""}) as connection,
    ):
        _check_one_select(connection, sql)
        pairs = _register(connection, "pairs_file", [view.pairs])
        if view.parts:
            _register(connection, "scores_file", view.parts)
        text = "array_to_string(list_transform(prompt, lambda message: message.role || ': ' || message.content), chr(10) || chr(10))"
        bodies = [duckdb.SQLExpression(text).alias("prompt"), duckdb.SQLExpression("responses[1]").alias("chosen")]
        bodies.append(duckdb.SQLExpression("responses[-1]").alias("rejected"))
        _joined(connection, view, [*bodies, ColumnExpression("conversation")]).create_view("pairs")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET memory_limit = ?", [f"{memory_mb}MB"])
        connection.execute("SET lock_configuration = true")
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
            del pairs


def _check_one_select(connection: DuckDBPyConnection, sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise InputError("one SELECT over the view `pairs`", found, "For example: SELECT count(*) FROM pairs WHERE reward_margin < 0")


def _register(connection: DuckDBPyConnection, name: str, paths: Sequence[Path]) -> Any:
    dataset = arrow_dataset.dataset([str(path) for path in paths], format="parquet")
    connection.register(name, dataset)
    return dataset


# connections and relations


@contextmanager
def _connected(view: View) -> Iterator[DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        connection.read_parquet(_patterns([view.pairs])).create_view("pairs_file")
        if view.parts:
            connection.read_parquet(_patterns(view.parts)).create_view("scores_file")
        yield connection


def _frame(relation: DuckDBPyRelation) -> pd.DataFrame:
    frame: pd.DataFrame = relation.to_arrow_table().to_pandas()
    return frame


def _patterns(paths: Sequence[Path]) -> list[str]:
    """DuckDB takes a path for a pattern: a folder called [a] must be asked for as [[]a]."""
    return ["".join(f"[{c}]" if c in "[*?" else c for c in str(path)) for path in paths]


def _joined(connection: DuckDBPyConnection, view: View, more: Sequence[Expression] = ()) -> DuckDBPyRelation:
    """All light columns, then one column for each of the source's own, then `more`."""
    rows, names = connection.view("pairs_file"), list(PAIR_COLUMNS)
    if view.parts:
        scores = connection.view("scores_file")
        kept = [name for name in SCORE_COLUMNS if name in scores.columns]
        rows = rows.join(scores.select(*(ColumnExpression(name) for name in ("id", *kept))), "id", how="left")
        names += kept
    own = [_extra_value(name, kind).alias(alias) for alias, (name, kind) in _extra_columns(view).items()]
    return rows.select(*(ColumnExpression(name) for name in names), *own, *more)


def _extra_columns(view: View) -> dict[str, tuple[str, str]]:
    """Our name of each of the source's own columns. DuckDB takes Score and score for the same name: the second becomes extra_score_2."""
    named: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for name, kind in view.extra:
        alias, count = f"extra_{name}", 1
        while alias.lower() in taken:
            count += 1
            alias = f"extra_{name}_{count}"
        taken.add(alias.lower())
        named[alias] = (name, kind)
    return named


def _extra_value(name: str, kind: str) -> Expression:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")  # RFC 6901: any name is safe in it
    value = FunctionExpression("json_extract_string", ColumnExpression("extra"), ConstantExpression(pointer))
    return value.try_cast(_SQL_TYPES[kind]) if kind in _SQL_TYPES else value


def _columns(view: View, joined: DuckDBPyRelation) -> list[Column]:
    own = _extra_columns(view)
    texts = [alias for alias, (_, kind) in own.items() if kind not in _SQL_TYPES]
    categories = _categories(joined, texts) | {"split", "source"} | {alias for alias in own if own[alias][1] == "boolean"}
    kinds = {"id": "id"} | dict.fromkeys(texts, "text") | dict.fromkeys(categories, "category")
    return [Column(name, kinds.get(name, "number")) for name in joined.columns]


def _categories(joined: DuckDBPyRelation, texts: Sequence[str]) -> set[str]:
    """Those text columns that have few and short values."""
    if not texts:
        return set()
    longest = [FunctionExpression("max", FunctionExpression("length", ColumnExpression(name))) for name in texts]
    different = [FunctionExpression("approx_count_distinct", ColumnExpression(name)) for name in texts]
    found = joined.aggregate([*longest, *different]).fetchall()[0]
    figures = zip(texts, found[: len(texts)], found[len(texts) :], strict=True)
    return {name for name, characters, values in figures if (characters or 0) <= CATEGORY_CHARACTERS and values <= CATEGORIES_AT_MOST}


@contextmanager
def _explained(view: View, sql: str | None = None) -> Iterator[None]:
    """DuckDB's and Arrow's errors in our three parts."""
    try:
        yield
    except (duckdb.OutOfMemoryException, MemoryError):
        raise InputError(
            "a query that fits into memory", "one that does not", "Name fewer columns, narrow it with WHERE, or add LIMIT."
        ) from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        found = str(error).strip().splitlines()[0]
        if sql is None:
            remedy = f"Import {view.dataset!r} again, or remove the damaged score set."
            raise InputError(f"readable files of {view.dataset!r}", found, remedy) from error
        raise InputError("a query over the view `pairs`", found, _remedy(view, str(error))) from None


def _remedy(view: View, message: str) -> str:
    if not view.parts and any(name in message for name in SCORE_COLUMNS):
        return f"The dataset has no scores yet: run `deft score {view.dataset}`."
    return "Columns: " + ", ".join(
        (*PAIR_COLUMNS, *(SCORE_COLUMNS if view.parts else ()), *_extra_columns(view), "prompt", "chosen", "rejected")
    )
