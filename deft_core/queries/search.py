"""Rows whose texts contain or match a pattern."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import duckdb
import pandas as pd

from deft_core.errors import InputError, first_line
from deft_core.queries.relation import connected, explained, frame_of
from deft_core.queries.view import View

__all__ = ["check_pattern", "matching_ids"]


_MESSAGES = "list_transform(prompt, lambda message: message.content)"
_BODIES = {  # the texts of a row that a search of a field reads
    "all": f"list_concat({_MESSAGES}, responses)",
    "prompt": _MESSAGES,
    "chosen": "list_filter(responses, lambda response, place: ranks[place] = 1)",
    "rejected": "list_filter(responses, lambda response, place: ranks[place] > 1)",
}

_TURNED = """
    SELECT id, prompt, ranks, CASE WHEN id IN (SELECT unnest(?::VARCHAR[]))
        THEN list_concat(responses[-1:], responses[2:-2], responses[:1]) ELSE responses END AS responses
    FROM pairs_file
"""


def matching_ids(view: View, pattern: str, *, regular: bool = False, field: str = "all", flipped: Collection[str] = ()) -> pd.Index[Any]:
    """Rows of which a text contains `pattern`, whatever its case, or matches it as a regular expression (RE2).

    `field`: all, prompt, chosen (every response of the top rank) or rejected (every other one). In `flipped` rows the first best and the
    worst response have changed places.
    """
    test = "regexp_matches(text, ?, 'i')" if regular else "contains(lower(text), lower(?))"
    question = f"SELECT DISTINCT id FROM (SELECT id, unnest({_BODIES[field]}) AS text FROM ({_TURNED})) WHERE {test}"
    if regular:
        check_pattern(pattern)
    with explained(view), connected(view) as connection:
        found = frame_of(connection.sql(question, params=[list(flipped), pattern]))
    index: pd.Index[Any] = pd.Index(found["id"])
    return index


def check_pattern(pattern: str) -> None:
    """Whether it is a regular expression, before it becomes a filter."""
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        raise InputError("a regular expression", f"{pattern!r} ({first_line(error)})", "Mend it, or search for the plain text.") from None
