"""Runs: all of them, one of them as it goes on, or several beside one another."""

from __future__ import annotations

import streamlit as st

from pages.shared import compare_view, run_list, run_view, state
from pages.shared.frame import Frame, open_page


def body(frame: Frame) -> None:
    compared = state.values(state.COMPARE)
    if len(compared) > 1:
        st.button("All runs", icon=":material/arrow_back:", on_click=state.open_run, args=("",))
        compare_view.draw(frame.workspace, compared)
    elif run_id := state.value(state.RUN):
        run_view.draw(frame.workspace, run_id)
    else:
        run_list.draw(frame.workspace)


open_page("runs.py", body)
