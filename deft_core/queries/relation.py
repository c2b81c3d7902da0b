"""Connections of one's own in memory, the dataset joined with its score set in them, and their errors in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation, Expression, FunctionExpression

from deft_core.errors import InputError, first_line
from deft_core.noise import stored
from deft_core.queries import damage
from deft_core.queries.view import View
from deft_core.runs import margins

__all__ = [
    "SCORE_COLUMNS",
    "Column",
    "column_kinds",
    "column_names",
    "connected",
    "explained",
    "frame_of",
    "joined",
    "patterns",
    "too_large",
    "what_if_columns",
    "what_if_view",
]

PAIR_COLUMNS = ("id", "split", "source", "n_responses", "turns", "characters_prompt", "characters_chosen", "characters_rejected")
SCORE_COLUMNS = (
    *("reward_chosen", "reward_rejected", "reward_margin", "reward_mean"),
    *("logp_chosen", "logp_rejected", "logp_margin", "mean_logp_chosen", "mean_logp_rejected", "mean_logp_margin"),
    *("perplexity_chosen", "perplexity_rejected", "tokens_prompt", "tokens_chosen", "tokens_rejected", "truncated_tokens"),
)
SOURCE_SCORES = {  # of the answers, where the source has them
    "score_chosen": "scores[1]",
    "score_rejected": "list_avg(list_filter(scores, lambda score, place: ranks[place] > 1))",
}
SOURCE_SCORES["score_margin"] = " - ".join(SOURCE_SCORES.values())
CATEGORIES_AT_MOST = 1_000  # a text column with more different values is no category, and is not held in memory
CATEGORY_CHARACTERS = 200

ROW_NUMBER = "file_row_number"  # DuckDB's name for a row's place in its file
_SQL_TYPES = {"number": "DOUBLE", "boolean": "BOOLEAN"}  # every other kind stays text


@dataclass(frozen=True)
class Column:
    name: str
    kind: str  # id, number, category or text; text is not in the light table


@contextmanager
def connected(view: View) -> Iterator[DuckDBPyConnection]:
    """A connection with the view `pairs_file`, its rows numbered, and where there are such: scores, one a what-if, noise, margins."""
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        connection.read_parquet(patterns([view.pairs]), file_row_number=True).create_view("pairs_file")
        if view.parts:
            connection.read_parquet(patterns(view.parts)).create_view("scores_file")
        for path in view.what_ifs:
            connection.read_parquet(patterns([path])).create_view(what_if_view(path))
        if view.noise:
            connection.read_parquet(patterns([view.noise])).create_view("noise_file")
        if view.margins:
            connection.read_parquet(patterns([view.margins])).create_view("margins_file")
        yield connection


def frame_of(relation: DuckDBPyRelation) -> pd.DataFrame:
    frame: pd.DataFrame = relation.to_arrow_table().to_pandas()
    return frame


def patterns(paths: Sequence[Path]) -> list[str]:
    """DuckDB takes a path for a pattern: a folder called [a] must be asked for as [[]a]."""
    return ["".join(f"[{c}]" if c in "[*?" else c for c in str(path)) for path in paths]


def joined(connection: DuckDBPyConnection, view: View, more: Sequence[Expression] = ()) -> DuckDBPyRelation:
    """All light columns, then one column for each of the source's own, then `more`."""
    rows, names = connection.view("pairs_file"), list(PAIR_COLUMNS)
    if connection.sql("SELECT 1 FROM pairs_file WHERE list_count(scores) > 0 LIMIT 1").fetchall():
        rows = rows.select(duckdb.StarExpression(), *(duckdb.SQLExpression(sql).alias(name) for name, sql in SOURCE_SCORES.items()))
        names += SOURCE_SCORES
    if view.parts:
        scores = connection.view("scores_file")
        kept = [name for name in SCORE_COLUMNS if name in scores.columns]
        rows = rows.join(scores.select(*(ColumnExpression(name) for name in ("id", *kept))), "id", how="left")
        names += kept
    for path in view.what_ifs:
        rows = rows.join(connection.view(what_if_view(path)), "id", how="left")
        names += what_if_columns(path)
    if view.noise:
        rows = rows.join(connection.view("noise_file"), "id", how="left")
        names += stored.COLUMNS
    if view.margins:
        rows = rows.join(connection.view("margins_file"), "id", how="left")
        names += margins.COLUMNS
    own = [_extra_value(name, kind).alias(alias) for alias, (name, kind) in own_columns(view).items()]
    return rows.select(*(ColumnExpression(name) for name in names), *own, *more)


def column_names(view: View) -> list[str]:
    """Every column that the view `pairs` has or could have, without opening a file."""
    what_ifs = [name for path in view.what_ifs for name in what_if_columns(path)]
    scores = [*SCORE_COLUMNS, *what_ifs] if view.parts else []
    more = [*(stored.COLUMNS if view.noise else ()), *(margins.COLUMNS if view.margins else ())]
    return [*PAIR_COLUMNS, *SOURCE_SCORES, *scores, *more, *own_columns(view), "prompt", "chosen", "rejected", "conversation"]


def what_if_view(path: Path) -> str:
    return f"what_if_{path.stem}"


def what_if_columns(path: Path) -> list[str]:
    """The reward columns in the file of a saved what-if, by its name."""
    return [path.stem, *(f"{path.stem}_{side}" for side in ("rejected", "margin", "mean"))]


def own_columns(view: View) -> dict[str, tuple[str, str]]:
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


def column_kinds(view: View, rows: DuckDBPyRelation) -> list[Column]:
    """The columns of a joined relation, in its order."""
    own = own_columns(view)
    texts = [alias for alias, (_, kind) in own.items() if kind not in _SQL_TYPES]
    categories = _categories(rows, texts) | {"split", "source"} | {alias for alias in own if own[alias][1] == "boolean"}
    categories |= {name for name, kind in (*stored.COLUMNS.items(), *margins.COLUMNS.items()) if kind == "category"}
    kinds = {"id": "id"} | dict.fromkeys(texts, "text") | dict.fromkeys(categories, "category")
    return [Column(name, kinds.get(name, "number")) for name in rows.columns]


def _categories(rows: DuckDBPyRelation, texts: Sequence[str]) -> set[str]:
    """Those text columns that have few and short values."""
    if not texts:
        return set()
    longest = [FunctionExpression("max", FunctionExpression("length", ColumnExpression(name))) for name in texts]
    different = [FunctionExpression("approx_count_distinct", ColumnExpression(name)) for name in texts]
    found = rows.aggregate([*longest, *different]).fetchall()[0]
    figures = zip(texts, found[: len(texts)], found[len(texts) :], strict=True)
    return {name for name, characters, values in figures if (characters or 0) <= CATEGORY_CHARACTERS and values <= CATEGORIES_AT_MOST}


@contextmanager
def explained(view: View, asked: str | None = None) -> Iterator[None]:
    """DuckDB's and Arrow's errors in our three parts; `asked` says what a person has asked, None where the question is ours."""
    try:
        yield
    except (duckdb.OutOfMemoryException, MemoryError):
        raise too_large() from None
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        found, path = first_line(error), damage.damaged_file(view)
        if asked is None or path:
            path = path or next((one for one in damage.files(view) if str(one) in found), None)
            found = found if path is None or str(path) in found else f"{path}: {found}"
            raise InputError(f"readable files of {view.dataset!r}", found, damage.remedy(view, path)) from error
        raise InputError(asked, found, _remedy(view, str(error))) from None


def too_large() -> InputError:
    return InputError("a query that fits into memory", "one that does not", "Ask for less at once: fewer columns, or fewer rows.")


def _remedy(view: View, message: str) -> str:
    if not view.parts and any(name in message for name in SCORE_COLUMNS):
        return f"The dataset has no scores yet: run `deft score {view.dataset}`."
    return "Columns: " + ", ".join(column_names(view))
