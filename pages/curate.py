"""Curate: which rows a rule and a person's decisions keep, and what that changes."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from deft_core.errors import DeftError
from pages.shared import (
    amount_bar,
    borderline_tab,
    contrast_tab,
    cut_chart,
    decision_tabs,
    effects,
    export_bar,
    marks,
    noise_tab,
    resources,
    rows_tab,
    rule_bar,
    save_bar,
    state,
    versions_tab,
    widgets,
)
from pages.shared.frame import Frame, open_page, page
from pages.shared.picked import Picked, looked, pick

TABS: dict[str, Callable[[Picked], None]] = {  # in order; only the open one runs
    "Borderline": borderline_tab.draw,
    "Kept": rows_tab.kept,
    "Dropped": rows_tab.dropped,
    "Contrast": contrast_tab.draw,
    "Noise": noise_tab.draw,
    "Decisions": decision_tabs.decisions,
    "Conflicts": decision_tabs.conflicts,
    "Versions": versions_tab.draw,
}


def body(frame: Frame) -> None:
    if frame.dataset is None:
        st.info("There is no dataset yet.")
        if st.button("Bring data", type="primary"):
            st.switch_page(page("datasets.py"))
        return
    if frame.problem:
        raise frame.problem
    look, decided, ids = looked(frame)
    if "reward_chosen" not in look.table:
        st.info("This dataset has no rewards yet: rows can be kept by other columns. Scoring runs on its own.")
        st.button("Score it", type="primary", on_click=resources.start_scoring, args=(frame.workspace, frame.dataset))
    try:
        rule = rule_bar.asked(list(look.table.columns))
    except DeftError as error:
        widgets.problem(error)
        st.button("Start with the usual rule", on_click=_usual_rule)
        return
    rule_bar.draw(rule, look.named("number"))
    if not rule_bar.waiting(rule):
        _picked(pick(frame, look, decided, ids, rule))


def _usual_rule() -> None:
    for name in state.RULE:
        state.put(name)


def _picked(picked: Picked) -> None:
    effects.figures(picked)
    chart, changes = st.columns([7, 5], gap="medium")
    with chart:
        cut_chart.draw(picked)
        amount_bar.draw(picked)
    with changes:
        effects.composition_table(picked)
        effects.overlaps(picked)
    marks.flips(picked.look)
    marks.gone(picked.look)
    save_bar.draw(picked)
    export_bar.draw(picked)
    _tabs(picked)


def _tabs(picked: Picked) -> None:
    names = list(TABS)
    chosen = state.value(state.TAB) if state.value(state.TAB) in names else names[0]
    key = state.mirror("tab", chosen)
    st.segmented_control("Rows", names, key=key, label_visibility="collapsed", on_change=lambda: _open(st.session_state[key] or chosen))
    TABS[chosen](picked)


def _open(tab: str) -> None:
    state.put(state.TAB, tab)
    state.put(state.PAGE)


open_page("curate.py", body)
