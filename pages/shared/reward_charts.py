"""Explore's charts: which measure, which side a box is about, and any further columns."""

from __future__ import annotations

import streamlit as st

from deft_core import charts
from pages.shared import brushing, state, widgets
from pages.shared.brushing import Look

PAIRED = {
    "reward": "reward",
    "mean_logp": "log-probability per token",
    "logp": "log-probability",
    "perplexity": "perplexity",
    "tokens": "length",
}
SINGLE = ("reward_margin", "reward_mean", "logp_margin", "mean_logp_margin")
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
    left, right = st.columns(2, gap="medium")
    with left:
        if measure in PAIRED:
            names = {name: f"{measure}_{name}" for name in ("rejected", "chosen")}
            brushing.histogram(look, names, f"{measure}_{side}", PAIRED[measure], brushing.HEIGHT)
        else:
            brushing.histogram(look, {"mean": measure}, measure, charts.title(measure), brushing.HEIGHT)
    with right:
        brushing.scatter(look, f"tokens_{side}", f"reward_{side}", side)


def draw_more(look: Look) -> None:
    """Charts of any columns, three in a line."""
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


def _measures(look: Look) -> list[str]:
    return [*(name for name in PAIRED if f"{name}_chosen" in look.table), *(name for name in SINGLE if name in look.table)]


def _measure(look: Look) -> str:
    asked = state.value(state.MEASURE)
    return asked if asked in _measures(look) else "reward"


def _words(name: str) -> str:
    return f"{PAIRED[name]}, chosen over rejected" if name in PAIRED else charts.TITLES[name]


def _brushed() -> str:
    return "rejected" if state.value(state.BRUSHED) == "rejected" else "chosen"
