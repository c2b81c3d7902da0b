"""Explore: how the rewards are distributed, and which rows stand behind any part of the picture."""

from __future__ import annotations

import streamlit as st

from deft_core import charts
from deft_core.filters import Filter, OneOf, Search, from_text, to_text, words
from deft_core.preferences import SPLITS
from deft_core.queries import open_view
from deft_core.status import duration
from pages.shared import activity, brushing, inspector, resources, rows, state, widgets
from pages.shared.brushing import Look
from pages.shared.frame import Frame, open_page, page

PAIRED = {
    "reward": "reward",
    "mean_logp": "log-probability per token",
    "logp": "log-probability",
    "perplexity": "perplexity",
    "tokens": "length",
}
MORE_CHARTS = ("reward_margin", "turns", "source")
NO_CHARTS, ALL_SPLITS = "none", "all splits"


def body(frame: Frame) -> None:
    if frame.dataset is None:
        st.info("There is no dataset yet.")
        if st.button("Bring data", type="primary"):
            st.switch_page(page("datasets.py"))
        return
    view = open_view(frame.workspace, frame.dataset, frame.score_id)
    version = resources.version(view)
    look = Look(view, version, resources.light_table(version, view), resources.columns(version, view), state.filters())
    states = activity.score_states(frame.workspace, frame.dataset)
    scoring = next((one for one in states if one.score_id and one.score_id == frame.score_id), None)
    _figures(look, scoring)
    if scoring and scoring.state in ("stopped", "failed", "lost") and not resources.scorer_lives(frame.workspace, frame.dataset):
        _unfinished(frame, scoring)
    _tools(look)
    if "reward_chosen" in look.table:
        _reward_charts(look)
    else:
        _no_scores(frame, states)
    _more_charts(look)
    _rows(look)


def _figures(look: Look, scoring: activity.ScoreState | None) -> None:
    with st.container(horizontal=True, gap="large"):
        _figure("rows", f"{look.left.sum():,}", f"of {len(look.table):,}")
        if "reward_chosen" in look.table:
            margin = look.values("reward_margin")
            above = (margin > 0).mean() + (margin == 0).mean() / 2 if len(margin) else 0.0
            for side in ("chosen", "rejected"):
                rewards = look.values(f"reward_{side}")
                _figure(f"mean reward, {side}", f"{rewards.mean():.4f}" if len(rewards) else "–", f"{len(rewards):,} scored")
            _figure("chosen above rejected", f"{above:.1%}" if len(margin) else "–", "ties count half")
        if scoring and scoring.running:
            left = f"{duration(scoring.seconds_left)} left" if scoring.seconds_left is not None else scoring.phase
            rate = f"{scoring.pairs_per_second:,.1f} rows/s" if scoring.pairs_per_second else "–"
            _figure(f"scoring, {scoring.done:,} of {scoring.total:,}", rate, left)
        if scoring and scoring.truncated:
            _figure("cut to fit", f"{scoring.truncated:,}", "rows")


def _unfinished(frame: Frame, scoring: activity.ScoreState) -> None:
    words = {"stopped": "was stopped", "failed": "failed", "lost": "ended without a word: its process is gone"}[scoring.state]
    why = f" ({widgets.plain(scoring.message)})" if scoring.state == "failed" and scoring.message else ""
    st.warning(f"Scoring {words} at {scoring.done:,} of {scoring.total:,} rows{why}. What is scored is kept.")
    st.button("Go on scoring", on_click=resources.start_scoring, args=(frame.workspace, frame.dataset, scoring.model))


def _figure(label: str, value: str, below: str) -> None:
    st.metric(label, value, delta=below, delta_color="off", delta_arrow="off", width="content")


# filters


def _tools(look: Look) -> None:
    search, split, measure, brush = st.columns([3, 2, 3, 2])
    with search:
        st.text_input("Search", key="search", placeholder="in all texts; /…/ is a pattern", on_change=_search)
    with split:
        current = next((rule.values[0] for rule in look.rules if isinstance(rule, OneOf) and rule.column == "split"), ALL_SPLITS)
        widgets.pick("Split", "split-picker", [ALL_SPLITS, *SPLITS], current, on_change=_choose_split)
    if "reward_chosen" in look.table:
        with measure:
            widgets.pick("Measure", state.MEASURE, _measures(look), state.value(state.MEASURE, "reward"), format_func=_measure_words)
        with brush:
            widgets.pick("A box filters", state.BRUSHED, ["chosen", "rejected"], _brushed())
    _chips(look)


def _chips(look: Look) -> None:
    if look.rules:
        texts = [to_text(rule) for rule in look.rules]
        key = state.mirror("chips", texts)

        def changed() -> None:
            state.set_filters([from_text(text) for text in st.session_state[key]])

        st.multiselect("Filters", texts, key=key, on_change=changed, format_func=lambda text: words(from_text(text)))


def _search() -> None:
    text = st.session_state["search"].strip()
    st.session_state["search"] = ""
    if text:
        pattern = len(text) > 2 and text.startswith("/") and text.endswith("/")
        state.set_filters([*state.filters(), Search(text[1:-1], True) if pattern else Search(text)])


def _choose_split(split: str) -> None:
    def is_split(rule: Filter) -> bool:
        return isinstance(rule, OneOf) and rule.column == "split"

    state.replace_filter(is_split, None if split == ALL_SPLITS else OneOf("split", (split,)))


# charts


def _measures(look: Look) -> list[str]:
    single = [name for name in ("reward_margin", "reward_mean", "logp_margin", "mean_logp_margin") if name in look.table]
    return [*(name for name in PAIRED if f"{name}_chosen" in look.table), *single]


def _measure_words(name: str) -> str:
    return f"{PAIRED[name]}, chosen over rejected" if name in PAIRED else charts.TITLES[name]


def _brushed() -> str:
    return "rejected" if state.value(state.BRUSHED) == "rejected" else "chosen"


def _reward_charts(look: Look) -> None:
    chosen = state.value(state.MEASURE, "reward")
    measure, side = chosen if chosen in _measures(look) else "reward", _brushed()
    left, right = st.columns(2, gap="medium")
    with left:
        if measure in PAIRED:
            names = {name: f"{measure}_{name}" for name in ("rejected", "chosen")}
            brushing.histogram(look, names, f"{measure}_{side}", PAIRED[measure], brushing.HEIGHT)
        else:
            brushing.histogram(look, {"mean": measure}, measure, charts.title(measure), brushing.HEIGHT)
    with right:
        brushing.scatter(look, f"tokens_{side}", f"reward_{side}", side)


def _no_scores(frame: Frame, states: list[activity.ScoreState]) -> None:
    assert frame.dataset
    last = states[0] if states else None
    if (last and last.running) or resources.scorer_lives(frame.workspace, frame.dataset):
        st.info(f"Scoring has begun ({last.phase if last else 'starting'}): the rewards appear here as they come.")
        return
    if last and last.message:
        st.warning(f"Scoring {last.state}: {widgets.plain(last.message)}")
    st.info("This dataset has no rewards yet. Scoring runs on its own; you may close this page.")
    st.button("Score it", type="primary", on_click=resources.start_scoring, args=(frame.workspace, frame.dataset))


def _more_charts(look: Look) -> None:
    offered = [*look.named("number"), *look.named("category")]
    asked = state.values(state.CHARTS) or list(MORE_CHARTS)
    shown = [name for name in dict.fromkeys(asked) if name in offered]
    for start in range(0, len(shown), 3):
        for place, name in zip(st.columns(3), shown[start : start + 3], strict=False):
            with place:
                if name in look.named("category"):
                    brushing.bars(look, name)
                else:
                    brushing.histogram(look, {"mean": name}, name, charts.title(name))
    key = state.mirror("charts", shown)
    st.multiselect("More charts", offered, key=key, on_change=lambda: state.put(state.CHARTS, *(st.session_state[key] or [NO_CHARTS])))


def _rows(look: Look) -> None:
    positions, row_id = rows.ordered(look), state.value(state.ROW)
    if not row_id:
        rows.table(look, positions, "")
        return
    left, right = st.columns([5, 7], gap="medium")
    with left:
        rows.table(look, positions, row_id)
    with right, st.container(border=True):
        inspector.inspect(look, row_id, positions)


open_page("explore.py", body)
