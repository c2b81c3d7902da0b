"""A condition in SQL: typed here it is run at once and becomes a filter; one that cannot work stays, with what is wrong with it."""

from __future__ import annotations

import re

import streamlit as st

from deft_core.errors import DeftError
from deft_core.filters import Where
from deft_core.queries import View
from pages.shared import resources, state, widgets
from pages.shared.brushing import Look

TEXT = "condition"
TEXTS = ("prompt", "chosen", "rejected")
EXAMPLE = "reward_margin < 0 AND chosen ILIKE '%sorry%'"


def ask_condition(look: Look) -> None:
    with st.expander("SQL condition"):
        with st.form("condition-form", border=False):
            st.text_area("Rows for which this is true", key=TEXT, height=80, placeholder=EXAMPLE)
            st.form_submit_button("Narrow to these rows", on_click=_run, args=(look,))
        error = state.refused()
        if error and state.typed(TEXT):
            remedy = "Mend it; the columns are listed below." if error.remedy.startswith("Columns:") else error.remedy
            widgets.problem(DeftError(error.expected, error.found, remedy))
        names = ", ".join(widgets.html(name) for name in _names(look.view))
        lines = ["What stands after WHERE, in the SQL of DuckDB.", f"<b>Columns</b> {names}", f"<b>For example</b> <code>{EXAMPLE}</code>"]
        st.html(f'<div style="font-size:.85rem;opacity:.8;overflow-wrap:anywhere">{"<br>".join(lines)}</div>')


def _names(view: View) -> list[str]:
    """As they are written in a condition."""
    names = [column.name for column in resources.columns(resources.version(view), view)]
    return [name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (*names, *TEXTS)]


def _run(look: Look) -> None:
    sql = state.typed(TEXT)
    state.set_refused(None)
    if not sql:
        return
    rule = Where(sql)
    try:
        resources.rows_where(look.version, rule, look.view, look.table)
    except DeftError as error:
        state.set_refused(error)
        return
    state.allow(sql)
    state.set_filters([*state.filters(), rule])
    state.set_typed(TEXT, "")
