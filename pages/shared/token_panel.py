"""The tokens that separate chosen from rejected: bars with intervals, a search, and the rows that a token decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import charts, reliability
from deft_core.discrepancy import find_tokens
from deft_core.queries import View
from deft_core.workspace import Workspace
from pages.shared import d_resources, state, widgets
from pages.shared.d_resources import Sure
from pages.shared.frame import page
from pages.shared.turn_resources import last_turns

TOPS = ("10", "20", "40")
ORDERS = {"size": "size of d", "sure": "how sure: d in standard errors"}
BAR_HEIGHT = 24  # pixels, of one bar
FOUND = 20  # tokens listed of those a search finds
ROWS, PAGE_ROWS = 1_000, 25  # rows listed of those that have a token


@dataclass(frozen=True)
class Counted:
    """What the page draws from."""

    workspace: Workspace
    view: View
    table: pd.DataFrame  # of all tokens
    sure: Sure


def draw(counted: Counted) -> None:
    left, right = st.columns([6, 5], gap="medium")
    with left:
        _bars(counted)
    with right:
        widgets.entry("Search a token", state.FIND, placeholder="a word or a part of one")
        if state.value(state.FIND):
            _found(counted)
        token = state.value(state.TOKEN)
        if token.isdecimal() and int(token) < len(counted.table):
            _token(counted, int(token))
        elif not state.value(state.FIND):
            st.info("Click a bar, or search a token, to list the rows it decides.")


def _bars(counted: Counted) -> None:
    asked = state.value(state.TOP)
    top = asked if asked in TOPS else TOPS[0]
    order = state.value(state.ORDER) if state.value(state.ORDER) in ORDERS else "size"
    with st.container(key=f"{widgets.SHORT}-tokens"):
        each, by = st.columns([2, 3])
    with each:
        widgets.pick("Tokens on each side", state.TOP, TOPS, top)
    with by:
        widgets.pick("The first by", state.ORDER, list(ORDERS), order, format_func=ORDERS.__getitem__)
    preferred, dispreferred = reliability.top_tokens(counted.table, counted.sure.drawn, int(top), surest=order == "sure")
    tokens = pd.concat([preferred, dispreferred[::-1]], ignore_index=True)

    key = state.drawing_key("tokens", list(tokens["token_id"]))

    def clicked() -> None:
        for point in state.take_drawing("tokens", key).get("points", [])[:1]:
            _open(str(point["customdata"]))

    blue, orange = (f'<span style="color:{charts.COLOURS[side]}">■</span> more in {side}' for side in ("chosen", "rejected"))
    st.html(f"{blue} &nbsp; {orange} &nbsp; pale: the 95 % interval includes 0 &nbsp; ␣ space, ⏎ line break")
    figure = charts.token_bars(tokens).update_layout(height=BAR_HEIGHT * len(tokens) + 80)
    config = {"displayModeBar": False}
    st.plotly_chart(figure, key=key, on_select=clicked, selection_mode="points", config=config, alt="d by token")


def _open(token: str) -> None:
    state.put(state.TOKEN, token)
    state.put(state.TOKEN_PAGE)


def _found(counted: Counted) -> None:
    found = find_tokens(counted.table, state.value(state.FIND))
    if found.empty:
        st.info("No token of the training rows contains this. A longer word may be cut into several tokens: search for a part of it.")
        return
    listed = reliability.intervals(counted.table, counted.sure.drawn, found["token_id"].head(FOUND).to_numpy())
    listed = listed.merge(counted.table[["token_id", "token", "count_chosen", "count_rejected"]], on="token_id")

    key = state.drawing_key("found", list(listed["token_id"]))

    def picked() -> None:
        for row, _ in state.take_drawing("found", key).get("cells", [])[:1]:
            _open(str(listed["token_id"].iloc[row]))

    more = f" of {len(found):,}" if len(found) > FOUND else ""
    st.html(f"<b>{widgets.count(len(listed), 'token')}</b>{more} · d in 1,000 · click one to list its rows")
    shown = pd.DataFrame({"token": listed["token"]} | {name: 1000 * listed[name] for name in ("d", "low", "high")})
    shown = shown.assign(chosen=listed["count_chosen"], rejected=listed["count_rejected"])
    _table(shown, key, picked)


def _table(shown: pd.DataFrame, key: str, picked: Callable[[], None] | Literal["rerun"]) -> dict[str, Any]:
    """A table whose cells can be clicked; what is selected comes back."""
    numbers = {column: "localized" if shown[column].dtype.kind == "i" else "%.3f" for column in shown.select_dtypes("number")}
    formats = {str(column): st.column_config.NumberColumn(format=form) for column, form in numbers.items()}
    formats |= {"last turn": st.column_config.TextColumn(width=170)}
    return dict(
        st.dataframe(shown, key=key, on_select=picked, selection_mode="single-cell", hide_index=True, column_config=formats)["selection"]
    )


def _token(counted: Counted, token_id: int) -> None:
    one = counted.table.iloc[token_id]
    ends = reliability.intervals(counted.table, counted.sure.drawn, np.array([token_id])).iloc[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f'<span style="font:600 1.3rem monospace">{widgets.html(str(one["token"]))}</span>')
        st.button("close", key="token-close", type="tertiary", icon=":material/close:", on_click=_open, args=("",))
    st.html(
        f"d {1000 * one['d']:+.3f} in 1,000 (95 % {1000 * ends['low']:+.3f} … {1000 * ends['high']:+.3f}) · "
        f"{one['count_chosen']:,} times chosen, {one['count_rejected']:,} times rejected in training"
    )
    scored = d_resources.scored(counted.view)
    rows, total = d_resources.token_rows(scored, token_id, ROWS, counted.view)
    if not total:
        st.info("No row scored so far has this token.")
        return
    pages = -(-len(rows) // PAGE_ROWS)
    at = min(state.number(state.TOKEN_PAGE), pages - 1) * PAGE_ROWS
    listed = f"the {len(rows):,} whose margin it moves most" if len(rows) < total else "those whose margin it moves most first"
    st.html(f"<b>{widgets.count(total, 'scored row')}</b>, exact · {listed} · click one to read it on Explore")
    _rows(counted, rows.iloc[at : at + PAGE_ROWS])
    if pages > 1:
        widgets.pager(state.TOKEN_PAGE, pages, f"rows {at + 1:,} to {min(at + PAGE_ROWS, len(rows)):,}")


def _rows(counted: Counted, rows: pd.DataFrame) -> None:
    ids = list(rows["id"])
    turns = last_turns(counted.view, ids)
    shown = pd.DataFrame({"last turn": turns, "in chosen": list(rows["in_chosen"]), "in rejected": list(rows["in_rejected"])})
    shown = shown.assign(**{"its part": list(rows["moved"]), "margin": list(rows["margin"])})

    cells = _table(shown, state.drawing_key("token-rows", ids), "rerun").get("cells")
    if cells:
        state.renew("drawn-token-rows")
        where = {state.DATASET: counted.view.dataset, state.SCORES: counted.view.score_id or "", state.ROW: ids[cells[0][0]]}
        st.switch_page(page("explore.py"), query_params=where)
