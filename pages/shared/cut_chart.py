"""The histogram of the rule's column: kept rows coloured, the cut between them; a range drawn on it becomes the rule."""

from __future__ import annotations

import numpy as np
import streamlit as st

from deft_core import charts, selection
from pages.shared import resources, rule_bar, state
from pages.shared.picked import Picked

HEIGHT = 270
_CHART = "kept"
_TOOLS = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    "showAxisRangeEntryBoxes": False,
}


def draw(picked: Picked, band: tuple[float, float] | None = None) -> None:
    rule, look = picked.rule, picked.look

    def drawn() -> None:
        boxes = state.take_drawing(_CHART).get("box") or []
        if boxes:
            low, high = (float(f"{end:.6g}") for end in sorted(boxes[0]["x"]))
            rule_bar.change(rule, keep="range", low=low, high=high)

    axis = resources.axis(look.version, (rule.by,), look.table)
    numbers = resources.bins(look.version, rule.by, look.table, axis)
    size = len(axis.edges) - 1
    kept, train = (np.bincount(numbers[rows], minlength=size + 1)[:size].astype(float) for rows in (picked.subset.mask, picked.train))
    cuts = selection.cuts(rule, picked.values(), picked.kept)
    figure = charts.kept_bars({"kept": kept, "dropped": train - kept}, axis, charts.title(rule.by), cuts, band)
    figure.update_layout(height=HEIGHT)
    key = state.drawing_key(_CHART)
    alt = f"Histogram of {charts.title(rule.by)}: kept and dropped rows"
    st.plotly_chart(figure, key=key, on_select=drawn, selection_mode="box", config=_TOOLS, alt=alt)
