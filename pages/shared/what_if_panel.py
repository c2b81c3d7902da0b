"""What if d were another one: without some tokens, smoothed, of one source, of the rows a selection keeps; no model takes part."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from deft_core import charts, reliability, selections, what_if
from deft_core.discrepancy import moved_tokens
from deft_core.errors import DeftError
from deft_core.token_masks import KINDS
from deft_core.what_if import Change
from pages.shared import d_resources, resources, state, widgets
from pages.shared.d_resources import Tried
from pages.shared.frame import page
from pages.shared.token_panel import Counted

KIND_WORDS = dict(zip(KINDS, ("punctuation", "stop words", "digits"), strict=True))
ALL = ""
OFFERED, MOVED = 40, 9  # tokens offered for masking on each side; tokens listed
HEIGHT = 300


def draw(counted: Counted) -> None:
    if not counted.view.parts:
        st.info("No row is scored yet: what another d would change shows as soon as the first ones are.")
        return
    try:
        change = _asked()
    except DeftError as error:
        widgets.problem(error)
        change = Change()
    _settings(counted, change)
    if change == Change():
        st.info("Change something: the rewards of all scored rows follow, without the model.")
    else:
        _tried(counted, change)
    _saved(counted)


def _asked() -> Change:
    kinds = [kind for kind in state.values(state.MASK) if kind in KINDS]
    smooth = pd.to_numeric(state.value(state.SMOOTH, "0"), errors="coerce")
    source, kept = state.value(state.ONLY_SOURCE), state.value(state.ONLY_KEPT)
    return Change((*kinds, *state.values(state.WITHOUT)), float(smooth) if smooth >= 0 else 0.0, source or None, kept or None)


def _settings(counted: Counted, change: Change) -> None:
    kinds, tokens, smooth = st.columns([3, 4, 2])
    with kinds:
        _several("Leave out", state.MASK, list(KINDS), [name for name in change.mask if name in KINDS], format_func=KIND_WORDS.__getitem__)
    with tokens:
        _tokens(counted, [name for name in change.mask if name not in KINDS])
    with smooth:
        key = state.mirror(state.SMOOTH, change.smooth)
        st.number_input(
            "Smooth by",
            min_value=0.0,
            value=change.smooth,
            step=1.0,
            key=key,
            on_change=state.changed(key, lambda number: state.put(state.SMOOTH, f"{number or 0:g}")),
            help="So many tokens are added to both counts of every token that occurs: rare ones weigh less.",
        )
    source, kept = st.columns(2)
    with source:
        sources = sorted(str(name) for name in _pairs(counted)["source"].dropna().unique())
        _one("Count one source alone", state.ONLY_SOURCE, sources, change.source, "all sources")
    with kept:
        listed = selections.listing(counted.workspace, counted.view.dataset)
        names = [f"{one.name}@{one.version}" for one in listed if one.about]
        _one("Count what a selection keeps alone", state.ONLY_KEPT, names, change.kept, "all training rows")


def _pairs(counted: Counted) -> pd.DataFrame:
    return resources.light_table(resources.version(counted.view), counted.view)


def _several(label: str, name: str, options: list[str], chosen: list[str], **more: object) -> None:
    key = state.mirror(name, chosen)
    changed = {"key": key, "on_change": state.changed(key, lambda chosen: state.put(name, *chosen))}
    st.multiselect(label, options, chosen, wrap=True, **changed, **more)  # type: ignore[call-overload]


def _tokens(counted: Counted, chosen: list[str]) -> None:
    """The tokens with the largest d by id; any other by its text."""
    names = dict(zip(counted.table["token_id"].astype(str), counted.table["token"], strict=True))
    tops = reliability.top_tokens(counted.table, counted.sure.drawn, OFFERED)
    offered = [str(token_id) for side in zip(*(one["token_id"] for one in tops), strict=False) for token_id in side]
    any_other = "Any other can be typed: sorry is every token of that word, ␣sorry the one with a space before it."
    more = {"accept_new_options": True, "format_func": lambda one: str(names.get(one, one))}
    more["help"] = f"The tokens with the largest d are offered. {any_other}"
    _several("Leave out these tokens", state.WITHOUT, list(dict.fromkeys([*offered, *chosen])), chosen, **more)


def _one(label: str, name: str, options: Sequence[str], chosen: str | None, nothing: str) -> None:
    offered = [ALL, *dict.fromkeys([*options, *([chosen] if chosen else [])])]
    widgets.pick(label, name, offered, chosen or ALL, format_func=lambda one: one or nothing)


def _tried(counted: Counted, change: Change) -> None:
    try:
        found = d_resources.tried(d_resources.scored(counted.view), change, counted.view, counted.workspace, _pairs(counted))
    except DeftError as error:
        widgets.problem(error)
        return
    answer = found.answer
    with widgets.figures("what-if"):
        st.metric(
            "rank correlation",
            f"{answer.rank_correlation:.3f}",
            help="Spearman, of the chosen answers' rewards before and after, over the training rows.",
            width="content",
        )
        st.metric(
            "same of the highest 5 %",
            f"{answer.kept_overlap:.0%}",
            help="Of the training rows with the highest rewards as scored.",
            width="content",
        )
        st.metric("tokens left out", f"{answer.masked_tokens:,}", width="content")
    left, right = st.columns([6, 5], gap="medium")
    with left:
        _histogram(counted, found)
    with right:
        moved = moved_tokens(counted.table, answer.d, MOVED)
        st.html("<b>The tokens whose d moved most</b>, in 1,000")
        shown = pd.DataFrame({"token": moved["token"], "as scored": 1000 * moved["d"], "what-if": 1000 * moved["other"]})
        st.dataframe(
            shown, hide_index=True, column_config={name: st.column_config.NumberColumn(format="%.3f") for name in shown.columns[1:]}
        )
    _save(counted, change, answer)


def _histogram(counted: Counted, found: Tried) -> None:
    series = {"as scored": resources.numbers(_pairs(counted), "reward_chosen"), "what-if": found.answer.rewards["reward_chosen"]}
    bars = {name: charts.binned(values, found.axis) for name, values in series.items()}
    figure = charts.histogram(bars, found.axis, charts.title("reward_chosen")).update_layout(height=HEIGHT, dragmode=False)
    st.plotly_chart(figure, key="what-if", config={"displayModeBar": False}, alt="Rewards as scored and under the other d")


def _save(counted: Counted, change: Change, answer: what_if.Answer) -> None:
    def save() -> None:
        try:
            pooled, _ = d_resources.states(d_resources.scored(counted.view), counted.view)
            name = state.typed(state.COLUMN)
            what_if.save(counted.view, pooled, name, change, answer)
            state.set_typed(state.COLUMN, "")
            state.set_saved(f"Saved as the column {name}, with {name}_rejected, {name}_margin and {name}_mean.")
        except DeftError as error:
            state.set_failure(error)

    with st.form("save-what-if", border=False), st.container(horizontal=True, vertical_alignment="bottom"):  # Enter saves, too
        st.text_input("Save as a column called", key=state.COLUMN, placeholder="without_stop_words", width=320)
        st.form_submit_button("Save", type="primary", on_click=save)
    if done := state.take_saved():
        st.success(widgets.plain(str(done)))
    if error := state.take_failure():
        widgets.problem(error)


def _saved(counted: Counted) -> None:
    names = [path.stem for path in counted.view.what_ifs]
    if names:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html("<b>Saved</b>, for charts, filters, rules and queries:")
            for name in names:
                where = {state.DATASET: counted.view.dataset, state.SCORES: counted.view.score_id or "", state.CHARTS: name}
                st.page_link(page("explore.py"), label=widgets.plain(name), icon=":material/bar_chart:", query_params=where)
