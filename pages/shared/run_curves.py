"""The curves of a run, and how somebody looks at them: smoothing, log scale, a range of steps."""

from __future__ import annotations

import numpy as np
import streamlit as st

from deft_core.run_charts import PANELS, View, figure
from deft_core.runs.curves import Curves
from pages.shared import curve_chart, state

SPANS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)


def draw(run_id: str, curves: Curves, of: int) -> None:
    if not len(curves.training.steps) and not len(curves.evaluations.steps):
        st.info("No step is done yet: curves begin with the first one.")
        return
    view = _controls(of)
    with st.container(key="run-curves"):
        for panel in PANELS:
            drawn = figure(panel, curves, view)
            if drawn is not None:
                with st.container(border=True, gap="small"):
                    st.markdown(f"**{panel.title}**", help=panel.look_for)
                    curve_chart.draw(drawn, f"curve-{panel.title}", f"{run_id} {view.low} {view.high}", panel.title)


def _controls(of: int) -> View:
    spans = [span for span in SPANS if span == 1 or span <= max(5, of // 4)]
    usual = max(span for span in spans if span == 1 or span <= of / 16)
    asked = int(state.value(state.SPAN) or usual) if (state.value(state.SPAN) or "0").isdecimal() else usual
    span = asked if asked in spans else usual
    smoothing, steps, log = st.columns([3, 4, 3], gap="medium", vertical_alignment="bottom")
    with smoothing:
        key = state.mirror(state.SPAN, span, tuple(spans))
        st.select_slider(
            "Smoothing",
            spans,
            span,
            key=key,
            format_func=lambda span: "none" if span == 1 else f"about {span:,} steps",
            on_change=state.changed(key, lambda span: state.put(state.SPAN, span)),
            help="A mean that looks back over about so many steps, computed on all of them; the numbers themselves stand faintly behind.",
        )
    low, high = _steps(of)
    with steps:
        if of > 1:
            key = state.mirror(state.STEPS, (low, high), of)
            st.slider(
                "Steps",
                0,
                of,
                (low, high),
                key=key,
                on_change=state.changed(key, lambda ends: state.put(state.STEPS, "" if ends == (0, of) else f"{ends[0]}-{ends[1]}")),
                help="A part of a long run, with all its detail. Drag in a chart to zoom, click twice to come back.",
            )
    with log:
        wanted = bool(state.value(state.LOG))
        key = state.mirror(state.LOG, wanted)
        st.toggle("Log scale", wanted, key=key, on_change=state.changed(key, lambda on: state.put(state.LOG, "on" if on else "")))
    whole = (low, high) == (0, of)
    return View(span, wanted, -np.inf if whole else low, np.inf if whole else high)


def _steps(of: int) -> tuple[int, int]:
    """The range in the address; all of them where it says nothing that fits."""
    low, _, high = state.value(state.STEPS).partition("-")
    if low.isdecimal() and high.isdecimal() and int(low) < int(high) <= of:
        return int(low), int(high)
    return 0, of
