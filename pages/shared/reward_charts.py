"""Explore's charts: which measure, which side a box is about, and any further columns."""

from __future__ import annotations

import streamlit as st

from deft_core import charts
from pages.shared import brushing, resources, state, widgets
from pages.shared.brushing import Look
from pages.shared.count_resources import categories, tally

PAIRED = {
    "reward": "reward",
    "mean_logp": "log-probability per token",
    "logp": "log-probability",
    "perplexity": "perplexity",
    "tokens": "length",
}
SINGLE = ("reward_margin", "reward_mean", "logp_margin", "mean_logp_margin")
SIDES = ("rejected", "chosen")
MORE_CHARTS = ("reward_margin", "turns", "source")
NO_CHARTS = "none"


def pickers(look: Look) -> None:
    measure, brush = st.columns([3, 2])
    with measure:
        widgets.pick("Measure", state.MEASURE, _measures(look), _measure(look), format_func=_words)
    with brush:
        widgets.pick("A box filters", state.BRUSHED, ["chosen", "rejected"], _brushed())


def draw(look: Look) -> None:
    measure, side = _measure(look), _brushed()
    what_if = measure in _what_ifs(look)
    reward = {"chosen": measure, "rejected": f"{measure}_rejected"} if what_if else {name: f"reward_{name}" for name in SIDES}
    left, right = st.columns(2, gap="medium")
    with left:
        if what_if:
            brushing.histogram(look, {name: reward[name] for name in SIDES}, reward[side], _words(measure), brushing.HEIGHT)
        elif measure in PAIRED:
            names = {name: f"{measure}_{name}" for name in SIDES}
            brushing.histogram(look, names, f"{measure}_{side}", PAIRED[measure], brushing.HEIGHT)
        else:
            brushing.histogram(look, {"mean": measure}, measure, charts.title(measure), brushing.HEIGHT)
    with right:
        brushing.scatter(look, f"tokens_{side}", reward[side], side)


def draw_more(look: Look) -> None:
    """Charts of any columns, three in a line; a column that is the same in all rows is said in words."""
    offered = [*look.named("number"), *look.named("category")]
    asked = state.values(state.CHARTS) or list(MORE_CHARTS)
    shown = [name for name in dict.fromkeys(asked) if name in offered]
    same = {name: words for name in shown if (words := _same(look, name))}
    if same:
        st.html(" · ".join(f"<b>{widgets.html(charts.title(name))}</b>: {words}" for name, words in same.items()))
    drawn = [name for name in shown if name not in same]
    for start in range(0, len(drawn), 3):
        for place, name in zip(st.columns(3), drawn[start : start + 3], strict=False):
            with place:
                if name in look.named("category"):
                    brushing.bars(look, name)
                else:
                    brushing.histogram(look, {"mean": name}, name, charts.title(name))
    key = state.mirror("charts", shown)
    changed = state.changed(key, lambda chosen: state.put(state.CHARTS, *(chosen or [NO_CHARTS])))
    st.multiselect("More charts", offered, shown, key=key, on_change=changed, wrap=True)


def _same(look: Look, name: str) -> str:
    """What all rows have in a column, as HTML; nothing where they differ."""
    if name in look.named("category"):
        counts = categories(look.version, name, look.table, None)
        rows, value = int(counts.sum()), str(counts.index[0]) if len(counts) else ""
        differ = int((counts > 0).sum()) > 1
    else:
        every = tally(look.version, name, look.table, None)
        rows, value = every.rows, f"{every.mean:,.6g}" if every.mean is not None else ""
        differ = len(resources.axis(look.version, (name,), look.table).edges) > 2
    if differ:
        return ""
    if not rows:
        return "no row has a value"
    which = "" if rows == len(look.table) else " that have a value"
    return f"{widgets.html(value or '(none)')} in all {rows:,} rows{which}"


def _measures(look: Look) -> list[str]:
    paired, single = (name for name in PAIRED if f"{name}_chosen" in look.table), (name for name in SINGLE if name in look.table)
    return [*paired, *_what_ifs(look), *single]


def _what_ifs(look: Look) -> list[str]:
    """The rewards under another d that are saved beside the score set's own."""
    return [path.stem for path in look.view.what_ifs]


def _measure(look: Look) -> str:
    asked = state.value(state.MEASURE)
    return asked if asked in _measures(look) else "reward"


def _words(name: str) -> str:
    if name in SINGLE:
        return charts.TITLES[name]
    return f"{PAIRED.get(name, f'reward under {name}')}, chosen over rejected"


def _brushed() -> str:
    return "rejected" if state.value(state.BRUSHED) == "rejected" else "chosen"
