"""Curate: which rows a rule and a person's decisions keep, and what that changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st

from deft_core import uncertainty
from deft_core.errors import DeftError
from deft_core.rule import Rule
from pages.shared import (
    activity,
    amount_bar,
    borderline_tab,
    certainty,
    contrast_tab,
    cut_chart,
    decision_tabs,
    effects,
    export_bar,
    job_resources,
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
from pages.shared.brushing import Look
from pages.shared.frame import Frame, lacks_data, open_page
from pages.shared.picked import Picked, looked, pick

LIVE_ROWS = 20_000  # up to so many, the draws of d are asked without being asked to

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
    if lacks_data(frame):
        return
    look, decided, ids = looked(frame)
    if "reward_chosen" not in look.table:
        _no_scores(frame)
    try:
        rule = rule_bar.asked(list(look.table.columns))
    except DeftError as error:
        widgets.problem(error)
        st.button("Start with the usual rule", on_click=_usual_rule)
        return
    rule_bar.draw(rule, look)
    _partly_scored(frame, look, rule)
    if not rule_bar.waiting(rule):
        _picked(_with_probability(pick(frame, look, decided, ids, rule)))


def _no_scores(frame: Frame) -> None:
    assert frame.dataset
    if job_resources.being_scored(frame.workspace, frame.dataset):
        st.info("Scoring has begun: until the first rewards are there, rows can be kept by other columns.")
        return
    st.info("This dataset has no rewards yet: rows can be kept by other columns. Scoring runs on its own.")
    st.button("Score it", type="primary", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset))


def _partly_scored(frame: Frame, look: Look, rule: Rule) -> None:
    """That a selection is made from the rows scored so far, where they are not all."""
    if "reward_chosen" not in look.table:
        return
    train = resources.train(look.version, look.table)
    rows, scored = int(train.sum()), int((train & np.isfinite(resources.numbers(look.table, "reward_chosen"))).sum())
    if scored == rows:
        return
    own = next((one for one in activity.score_states(frame.workspace, look.view.dataset) if one.score_id == look.view.score_id), None)
    by_scores = rule.by in look.table and bool(np.isnan(resources.numbers(look.table, rule.by)[train]).any())
    goes_on = " so far; the selection changes as scoring goes on" if own and own.running else ""
    rest = "; the others take no part" if by_scores else ""
    st.caption(f":material/incomplete_circle: {scored:,} of {rows:,} training rows are scored{goes_on}{rest}.")


def _with_probability(picked: Picked) -> Picked:
    """With the rows' places under other draws of d: at once where the rows are few, else when somebody asks."""
    if certainty.lacks_counts(picked.look):
        certainty.missing(picked.look)
        return picked
    few = picked.pool.sum() <= LIVE_ROWS
    if not uncertainty.can_tell(picked.rule) or not (few or state.value(state.PLACES)):
        return picked
    try:
        return replace(picked, probability=certainty.probability(picked))
    except DeftError as error:  # counts or pooled states are missing: everything else can be shown
        st.caption(f"Places under other draws of d: {widgets.plain(error.found)}. {widgets.prose(error.remedy)}")
        return picked


def _usual_rule() -> None:
    state.put_all(dict.fromkeys(state.RULE, ()))


def _picked(picked: Picked) -> None:
    effects.figures(picked)
    chart, changes = st.columns([7, 5], gap="medium")
    with chart:
        cut_chart.draw(picked)
        amount_bar.draw(picked)
    with changes:
        effects.composition_table(picked)
        effects.overlaps(picked)
    marks.flips(picked.look.decided)
    marks.gone(picked.look)
    save_bar.draw(picked)
    export_bar.draw(picked)
    _tabs(picked)


def _tabs(picked: Picked) -> None:
    names = list(TABS)
    first = "Borderline" if picked.rule.has_cut else "Kept"
    chosen = state.value(state.TAB) if state.value(state.TAB) in names else first
    key = state.mirror("tab", chosen)
    counts = {"Decisions": len(picked.decisions.done), "Conflicts": len(picked.subset.conflicts)}

    def label(name: str) -> str:
        return f"{name} ({counts[name]:,})" if counts.get(name) else name

    def opened(tab: str | None) -> None:
        state.put(state.TAB, tab or chosen)
        state.put(state.PAGE)

    more = {"format_func": label, "label_visibility": "collapsed", "on_change": state.changed(key, opened)}
    st.segmented_control("Rows", names, default=chosen, key=key, **more)  # type: ignore[call-overload]
    with st.container():  # in which a row that is read can stand first
        TABS[chosen](picked)


open_page("curate.py", body)
