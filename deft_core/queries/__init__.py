"""The only SQL: one function asks one question of a dataset joined with one of its score sets.

`open_view(workspace, dataset, score_id)` names the files; every other function takes that `View` and opens a DuckDB connection of its
own in memory. Values are bound; a column name from outside goes through DuckDB's expression objects, never into a string of SQL.
tests/test_architecture.py looks for SQL anywhere else.

For the command: `user_sql(view, sql, seconds=60, memory_mb=2048) -> pyarrow.Table` runs one read-only SELECT over the view `pairs`.
"""

from deft_core.queries.relation import SCORE_COLUMNS, Column
from deft_core.queries.rows import Refused, columns, last_turns, light_table, refused_page, texts
from deft_core.queries.search import check_pattern, matching_ids
from deft_core.queries.tokens import ScoredToken, response_scores, rows_with_token, token_detail
from deft_core.queries.user_sql import pairs_of, user_sql
from deft_core.queries.view import NEWEST, View, open_view, pairs_version, version
from deft_core.queries.where import where_ids

__all__ = [
    "NEWEST",
    "SCORE_COLUMNS",
    "Column",
    "Refused",
    "ScoredToken",
    "View",
    "check_pattern",
    "columns",
    "last_turns",
    "light_table",
    "matching_ids",
    "open_view",
    "pairs_of",
    "pairs_version",
    "refused_page",
    "response_scores",
    "rows_with_token",
    "texts",
    "token_detail",
    "user_sql",
    "version",
    "where_ids",
]
