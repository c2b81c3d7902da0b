"""Data: bring preferences in, see how they are read before they are, and read every row that was refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from deft_core import DEFAULT_MODEL, queries
from deft_core.queries import Refused
from deft_core.reading import excerpt
from deft_core.workspace import Workspace
from pages.shared import activity, bring, job_resources, state, widgets
from pages.shared.frame import Frame, open_page, page

REFUSED_ROWS = 20
EXCERPT_CHARACTERS = 160  # of a refused row in the list
ALL_REASONS = "all reasons"


def body(frame: Frame) -> None:
    infos, damaged = activity.dataset_infos(frame.workspace)
    with st.expander("Bring data", expanded=not infos or bool(state.value(state.SOURCE)), icon=":material/add:"):
        bring.draw(frame.workspace)
    bring.draw_job(frame.workspace)
    widgets.damaged(damaged)
    if infos:
        _list(infos)
    if frame.dataset and frame.dataset not in damaged:
        _one(frame.workspace, frame.dataset)


def _list(infos: list[dict[str, Any]]) -> None:
    keys = {"name": "dataset", "rows_kept": "rows", "train": "train", "heldout": "held out", "judge": "judge", "rows_refused": "refused"}
    rows = [{title: info.get(key) for key, title in keys.items()} for info in infos]
    st.subheader("Datasets")
    widgets.figures_table(pd.DataFrame(rows))


def _one(workspace: Workspace, name: str) -> None:
    info = workspace.dataset_info(name)
    st.subheader(name)
    when = f"imported {str(info.get('created', ''))[:16].replace('T', ' ')} UTC"
    origin = f"{info.get('format', '')} · {info.get('source', '')} · {when}"
    st.html(f'<div style="opacity:.8;overflow-wrap:anywhere">{widgets.html(origin)}</div>')
    with st.form("score", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.text_input(
            "Score with the model", value=DEFAULT_MODEL, key="model", width=340, help="The default model, a local folder or a Hub id"
        )
        if st.form_submit_button("Score"):
            job_resources.start_scoring(workspace, name, model.strip() or DEFAULT_MODEL)
            state.put(state.SCORES)  # the newest, which this one will be
            st.rerun()
    if st.button("See its rows and rewards"):
        st.switch_page(page("explore.py"), query_params={state.DATASET: name})
    _refused(workspace, name, info.get("reasons", {}))


def _refused(workspace: Workspace, name: str, reasons: dict[str, int]) -> None:
    total = sum(reasons.values())
    st.markdown(f"**{widgets.count(total, 'refused row')}**")
    if not total:
        st.text("Every row was usable.")
        return
    counts = {ALL_REASONS: total} | dict(sorted(reasons.items(), key=lambda item: -item[1]))
    current = state.value(state.REASON, ALL_REASONS)
    current = current if current in counts else ALL_REASONS
    widgets.pick(
        "Reason", state.REASON, list(counts), current, on_change=_choose_reason, format_func=lambda reason: f"{reason} ({counts[reason]:,})"
    )
    pages = -(-counts[current] // REFUSED_ROWS)
    at = min(state.number(state.REFUSED_PAGE), pages - 1) * REFUSED_ROWS
    shown = queries.refused_page(workspace.refused(name), at, REFUSED_ROWS, None if current == ALL_REASONS else current)
    _list_and_row(shown, at)
    if pages > 1:
        widgets.pager(state.REFUSED_PAGE, pages, widgets.count(counts[current], "row"))


def _list_and_row(shown: Sequence[Refused], at: int) -> None:
    """The rows of a page, and beside them the one that is read. `at`: the place of the first among all of its reason."""
    asked = state.value(state.REFUSED_ROW)
    opened = int(asked) - at if asked.isdecimal() and 0 <= int(asked) - at < len(shown) else None
    if opened is None:
        _table(shown, at, None)
        return
    left, right = st.columns([5, 7], gap="medium")
    with left:
        _table(shown, at, opened)
    with right, st.container(border=True, key=widgets.OPEN):
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.html(f"<b>{widgets.html(_place(shown[opened]))}</b><br>{widgets.html(_reason(shown[opened]))}", width="content")
            st.button("close", key="refused-close", on_click=state.put, args=(state.REFUSED_ROW,), shortcut="Esc")
        widgets.text_box(_laid_out(shown[opened].original))


def _table(shown: Sequence[Refused], at: int, opened: int | None) -> None:
    key = state.drawing_key("refused", at, *shown)

    def picked() -> None:
        for place, _ in state.take_drawing("refused", key).get("cells", [])[:1]:
            state.put(state.REFUSED_ROW, at + place)

    st.caption("Click a cell to read its row.")
    rows = [(_place(row), _reason(row), excerpt(row.original, EXCERPT_CHARACTERS)) for row in shown]
    listed = pd.DataFrame(rows, columns=["where", "why", "text"])
    if opened is not None:
        listed.insert(0, "open", ["▶" if place == opened else "" for place in range(len(rows))])
    st.dataframe(
        listed,
        key=key,
        on_select=picked,
        selection_mode="single-cell",
        hide_index=True,
        column_config={"open": st.column_config.TextColumn("", width=20), "text": st.column_config.TextColumn(width="large")},
        height=35 * (len(rows) + 1) + 3,
    )


def _place(row: Refused) -> str:
    return f"{row.file}, line {row.line:,}" if row.line is not None else row.file


def _reason(row: Refused) -> str:
    return f"{row.reason}: {row.detail}" if row.detail else row.reason


def _laid_out(original: str) -> str:
    """A JSON object with a line for each of its fields; any other text as it is."""
    try:
        row = json.loads(original)
        text = json.dumps(row, indent=2, ensure_ascii=False)
        text.encode()  # half of a surrogate pair is written as an escape alone
    except (ValueError, RecursionError):
        return original
    return text if isinstance(row, dict) else original


def _choose_reason(reason: str) -> None:
    state.put(state.REASON, "" if reason == ALL_REASONS else reason)
    state.put(state.REFUSED_PAGE)
    state.put(state.REFUSED_ROW)


open_page("datasets.py", body)
