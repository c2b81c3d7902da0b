"""The table of rows: 25 a page, sorted by any column over all rows; a click on a cell opens the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from deft_core.filters import Between, OneOf
from deft_core.ordered import Ordered
from deft_core.reading import excerpt
from deft_core.selection import Ints, Mask
from pages.shared import certainty, resources, state, turn_resources, widgets
from pages.shared.brushing import Look
from pages.shared.count_resources import tally

PAGE_ROWS = 25
SHOWN = ("split", "source", "turns", "reward_chosen", "reward_rejected", "reward_margin", "tokens_chosen", "tokens_rejected")
UNSCORED = ("characters_prompt", "characters_chosen", "characters_rejected")  # instead of tokens, which a score set has


def ordered(look: Look, left: Mask | None) -> Ordered:
    """The rows that a mask leaves, in the order asked for."""
    column, descending = sorting(look)
    version = (*look.version, look.decided.through) if column in resources.MARKS else look.version
    return Ordered(resources.order(version, column, descending, look.table), left)


def sorting(look: Look) -> tuple[str, bool]:
    """Column and direction; the address has the column with a minus for descending."""
    text = state.value(state.SORT, "-reward_chosen" if "reward_chosen" in look.table else "id")
    column = text.removeprefix("-")
    return (column, text.startswith("-")) if column in look.table else ("id", False)


def table(look: Look, listed: Ordered, open_row: str) -> None:
    column, descending = sorting(look)
    total = f"{len(listed):,} of {widgets.count(len(look.table), 'row')}"
    way = f"sorted by {widgets.html(column)} {'↓' if descending else '↑'}"
    st.html(f"<b>{total}</b>, exact · {way} · click a cell to read its row, a heading to sort")
    if not len(listed):
        st.info("No row passes all filters. Remove one of them above.")
        return
    pages = -(-len(listed) // PAGE_ROWS)
    at = min(state.number(state.PAGE), pages - 1) * PAGE_ROWS
    some = listed.some(at, PAGE_ROWS)
    _draw(look, some, open_row)
    if pages > 1:
        widgets.pager(state.PAGE, pages, f"rows {at + 1:,} to {at + len(some):,}")


def _page(look: Look, positions: Ints, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of some rows; taken column by column, since pandas copies all of a table to take a few."""
    return pd.DataFrame({name: look.table[name].iloc[positions] for name in names if name in look.table})


def _draw(look: Look, positions: Ints, open_row: str) -> None:
    column, descending = sorting(look)
    names = _names(look, column)
    ids = look.table["id"].iloc[positions].tolist()

    key = state.drawing_key("table", ids)

    def picked() -> None:
        selection = state.take_drawing("table", key)
        for row, _ in selection.get("cells", [])[:1]:
            state.put(state.ROW, ids[row])
        for name in selection.get("columns", [])[:1]:
            if name in look.table:
                order = name if name == column and descending else f"-{name}"
                state.put_all({state.SORT: (order,), state.PAGE: ()})

    shown = _words(_page(look, positions, names))
    if certainty.PLACE in look.table:
        shown.insert(names.index("reward_chosen") + 1, "±", certainty.reaches(look, ids))
    shown.insert(0, "open", ["▶" if row == open_row else "" for row in ids])
    shown.insert(1, "last turn", turn_resources.last_turns(look.view, ids))
    st.dataframe(
        shown,
        key=key,
        on_select=picked,
        selection_mode=["single-cell", "single-column"],
        hide_index=True,
        placeholder="",
        column_config=_formats(shown),
        height=36 * (len(shown) + 1) + 3 if len(shown) < 15 else 560,
    )


def short(look: Look, positions: Ints, name: str, columns: Sequence[str], turns: Sequence[str]) -> None:
    """A few rows as a list of their own, in the order given; a click on a cell opens the row. `turns`: how their prompts end."""
    page = _page(look, positions, ["id", *dict.fromkeys((*columns, *resources.MARKS))])
    ids = page["id"].tolist()

    key = state.drawing_key(name, ids)

    def picked() -> None:
        for row, _ in state.take_drawing(name, key).get("cells", [])[:1]:
            state.put(state.ROW, ids[row])

    marks = [mark for mark, word in resources.MARKS.items() if (page[mark] != word).any()]
    shown = _words(page[[column for column in dict.fromkeys((*columns, *marks)) if column in page]])
    shown.insert(0, "open", ["▶" if row == state.value(state.ROW) else "" for row in ids])
    shown.insert(1, "last turn", list(turns))
    width = 190 if shown.shape[1] < 6 else 130  # two such lists stand side by side
    formats = _formats(shown) | {"last turn": st.column_config.TextColumn(width=width)}
    if certainty.PROBABILITY in formats:
        formats[certainty.PROBABILITY] |= {"label": "kept in"}
    st.dataframe(
        shown,
        key=key,
        on_select=picked,
        selection_mode="single-cell",
        hide_index=True,
        placeholder="",
        column_config=formats,
        height=35 * (len(shown) + 1) + 3,
    )


def last_turns(look: Look, positions: Ints) -> list[str]:
    """How the prompts of these rows end."""
    return turn_resources.last_turns(look.view, list(look.table["id"].iloc[positions]))


def _words(shown: pd.DataFrame) -> pd.DataFrame:
    """Categories as short texts; nothing where nothing was decided."""
    for name in shown.select_dtypes("category"):
        unmarked = resources.MARKS.get(str(name))
        shown[name] = [None if pd.isna(value) or value == unmarked else excerpt(str(value), 60) for value in shown[name]]
    return shown


def _names(look: Look, sorted_by: str) -> list[str]:
    """The usual columns that have a value in any row, and those that the sort or a filter is about."""
    marks = [name for name, word in resources.MARKS.items() if (look.table[name].cat.categories != word).any()]
    filtered = [rule.column for rule in look.rules if isinstance(rule, Between | OneOf)]
    asked = [certainty.PLACE, sorted_by, certainty.PROBABILITY, *marks, *filtered]
    what_ifs = [path.stem for path in look.view.what_ifs]
    lengths = SHOWN[6:] if "tokens_chosen" in look.table else UNSCORED
    usual = [name for name in (*SHOWN[:6], *what_ifs, *lengths) if name in look.table and _has_values(look, name)]
    return [name for name in dict.fromkeys((*asked, *usual)) if name in look.table and name != "id"]


def _has_values(look: Look, name: str) -> bool:
    """Whether any row has one; while the first rows are scored, none may."""
    return name not in look.named("number") or tally(look.version, name, look.table, None).rows > 0


def _formats(shown: pd.DataFrame) -> dict[str, Any]:
    numbers = [str(name) for name in shown.select_dtypes("number")]
    formats: dict[str, Any] = {name: st.column_config.NumberColumn(format=_format(name, shown[name])) for name in numbers}
    if certainty.PROBABILITY in formats:
        help = "In which share of 200 draws of d the rule keeps the row."
        formats[certainty.PROBABILITY] = st.column_config.NumberColumn(format="percent", help=help)
    if "±" in formats:
        formats["±"] = st.column_config.NumberColumn(format="%.4f", help="Half of the 95 % interval of reward_chosen, from the draws of d.")
    return formats | {"open": st.column_config.TextColumn("", width=20), "last turn": st.column_config.TextColumn(width=260)}


def _format(name: str, values: pd.Series[float]) -> str:
    if name.startswith(("reward", "mean_logp")):
        return "%.4f"
    if (values.dropna() % 1 == 0).all():
        return "localized"
    return "%.4f" if values.abs().max() < 1 else "%.4g"
