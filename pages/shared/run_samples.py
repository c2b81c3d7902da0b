"""What the model answers at a step, beside its base."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from deft_core.runs.curves import Curves
from pages.shared import run_resources, state, widgets

HELP = "The same held-out prompts at every evaluation, answered greedily: look for answers that repeat themselves, grow long, or refuse."


def draw(folder: Path, curves: Curves) -> None:
    st.markdown("**Samples**", help=HELP)
    reader = run_resources.samples(folder)
    steps = reader.steps(curves.evaluations.steps.tolist())
    if not steps:
        st.caption("None so far: they come with each evaluation.")
        return
    asked = state.value(state.SAMPLES_AT)
    shown = int(asked) if asked.isdecimal() and int(asked) in steps else steps[-1]
    if len(steps) > 1:
        key = state.mirror(state.SAMPLES_AT, shown, tuple(steps))
        newest = steps[-1]
        st.select_slider(
            "at step",
            steps,
            shown,
            key=key,
            format_func=lambda step: f"{step:,}",
            on_change=state.changed(key, lambda step: state.put(state.SAMPLES_AT, "" if step == newest else step)),
        )
    for sample in reader.at(shown):
        with st.container(border=True, gap="small"):
            widgets.text_box(sample.prompt, heading="prompt", height_rem=6)
            base, now = st.columns(2, gap="small")
            with base:
                widgets.text_box(sample.base, heading="base", height_rem=12)
            with now:
                widgets.text_box(sample.tuned, heading=f"at step {shown:,}", height_rem=12)
