"""Explore: how the rewards are distributed, and which rows stand behind any part of the picture."""

from __future__ import annotations

import math

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from deft_core.filters import Between
from deft_core.status import duration
from pages.shared import (
    activity,
    certainty,
    decide,
    filter_bar,
    inspector,
    job_resources,
    marks,
    resources,
    reward_charts,
    rows,
    run_rows,
    state,
    widgets,
)
from pages.shared.activity import ScoreState
from pages.shared.brushing import Look
from pages.shared.certainty import Placed
from pages.shared.condition_box import ask_condition
from pages.shared.count_resources import tally
from pages.shared.frame import Frame, lacks_data, open_page
from pages.shared.relation_panel import draw_relations

CUT = "truncated_tokens"


def body(frame: Frame) -> None:
    if lacks_data(frame):
        return
    assert frame.dataset
    figures = st.container()
    run_id = run_rows.asked(frame)
    placed = certainty.placed(frame, marks.look_at(frame, state.filters(), run_id))
    look = placed.look
    states = activity.score_states(frame.workspace, frame.dataset)
    scoring = next((one for one in states if one.score_id and one.score_id == frame.score_id), None)
    _tools(frame, look)
    deciding = st.container()
    ended = _ended(frame, scoring)
    if "reward_chosen" not in look.table and not ended:  # else there is a button already
        _no_scores(frame, states)
    with figures:  # on top, but drawn after the tools: a filter that cannot work ends the page here, and can be removed
        d = _figures(look, scoring, placed)
        if scoring:
            _unusual(frame, look, scoring, ended)
        marks.flips(look.decided)
        marks.gone(look)
        certainty.problem(placed)
    if not filter_bar.waiting():  # else the rows are not those that the filters name
        with deciding:
            decide.whole(look)
    if "reward_chosen" in look.table:
        reward_charts.draw(look)
    run_rows.draw(look)
    reward_charts.draw_more(look)
    draw_relations(look)
    inspector.list_and_row(look, rows.ordered(look, look.shown()))
    if "reward_chosen" in look.table:
        with d:  # last: the first time, the conversations are drawn again
            certainty.verdict(look)
    look.forget()


def _tools(frame: Frame, look: Look) -> None:
    with st.container(key=f"{widgets.SHORT}-tools"):
        left, right = st.columns([4, 3], gap="medium")
    with left:
        filter_bar.pickers()
    with right:
        if "reward_chosen" in look.table:
            reward_charts.pickers(look)
    run_rows.picker(frame)
    ask_condition(look)
    filter_bar.chips()


def _figures(look: Look, scoring: ScoreState | None, placed: Placed) -> DeltaGenerator:
    """The place that is left for the figure of d comes back."""
    rows = f"{look.left.sum():,}"
    with widgets.figures("rows"):
        widgets.figure("rows", rows, f"of {len(look.table):,}")
        if "reward_chosen" in look.table:
            margin = look.tally("reward_margin")
            above = (margin.above + margin.at / 2) / max(1, margin.rows)
            for side in ("chosen", "rejected"):
                rewards = look.tally(f"reward_{side}")
                mean = "–" if rewards.mean is None else f"{rewards.mean:.4f}"
                widgets.figure(f"mean reward, {side}", mean, f"{rewards.rows:,} scored")
            widgets.figure("chosen above rejected", f"{above:.1%}" if margin.rows else "–", "ties count half")
            certainty.figures(placed)
            _cut(look)
        d = st.container(width="content", gap=None)
        if scoring and scoring.running:
            left = f"{duration(scoring.seconds_left)} left" if scoring.seconds_left is not None else scoring.phase
            rate = f"{scoring.pairs_per_second:,.1f} rows/s" if scoring.pairs_per_second else "–"
            widgets.figure(f"scoring, {scoring.done:,} of {scoring.total:,}", rate, left)
    return d


def _cut(look: Look) -> None:
    """Of all rows, those that were longer than the model was given; a click lists them."""
    rows = resources.rows_above(look.version, CUT, 1.0, look.table)
    if rows:
        with st.container(width="content", gap=None):
            st.metric("cut to fit", f"{rows:,}", width="content")
            st.button("list these rows", icon=":material/filter_alt:", type="tertiary", on_click=_list_cut)


def _list_cut() -> None:
    state.replace_filter(lambda rule: isinstance(rule, Between) and rule.column == CUT, Between(CUT, 1.0, math.inf))


def _ended(frame: Frame, scoring: ScoreState | None) -> str:
    """How scoring ended early, in words; nothing where it did not, or goes on again."""
    if scoring is None or job_resources.scorer_lives(frame.workspace, frame.dataset):
        return ""
    words = {"stopped": "was stopped", "failed": "failed", "lost": "ended without a word: its process is gone"}
    return words.get(scoring.state, "")


def _unusual(frame: Frame, look: Look, scoring: ScoreState, ended: str) -> None:
    """That a slower layout is used, that scoring ended early."""
    if scoring.layout_reason:
        st.caption(f"Scored in a slower layout, which is exact for this model: {widgets.plain(scoring.layout_reason)}")
    if scoring.state == "damaged":
        st.warning(widgets.plain(scoring.message or ""))
    if ended:
        kept = tally(look.version, "reward_chosen", look.table, None).rows if "reward_chosen" in look.table else 0  # as the files say
        why = f" ({widgets.plain(scoring.message)})" if scoring.state == "failed" and scoring.message else ""
        st.warning(f"Scoring {ended} at {kept:,} of {scoring.total:,} rows{why}. What is scored is kept.")
        same = {"max_length": scoring.max_length, "batch_tokens": scoring.batch_tokens}
        st.button("Go on scoring", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset, scoring.model), kwargs=same)


def _no_scores(frame: Frame, states: list[ScoreState]) -> None:
    assert frame.dataset
    last = states[0] if states else None
    if job_resources.being_scored(frame.workspace, frame.dataset):
        st.info(f"Scoring has begun ({last.phase if last else 'starting'}): the rewards appear here as they come.")
        return
    if last and last.message:
        st.warning(f"Scoring {last.state}: {widgets.plain(last.message)}")
    st.info("This dataset has no rewards yet. Scoring runs on its own; you may close this page.")
    st.button("Score it", type="primary", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset))


open_page("explore.py", body)
