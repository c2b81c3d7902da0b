"""The histogram of the rule's column: kept rows coloured, the cut between them; a range drawn on it becomes the rule."""

from __future__ import annotations

import numpy as np
import streamlit as st

from deft_core import charts, uncertainty
from pages.shared import resources, rule_bar, state
from pages.shared.count_resources import Part, counts, train_counts
from pages.shared.picked import Picked

HEIGHT = 270
_CHART = "kept"
_TOOLS = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"],
    "showAxisRangeEntryBoxes": False,
}


def draw(picked: Picked) -> None:
    rule, look = picked.rule, picked.look

    key = state.drawing_key(_CHART, *look.shows, rule)

    def drawn() -> None:
        for box in state.take_drawing(_CHART, key).get("box", [])[:1]:
            low, high = map(rule_bar.short, sorted(box["x"]))
            rule_bar.change(rule, keep="range", low=low, high=high)

    axis = resources.axis(look.version, (rule.by,), look.table)
    kept = counts(look.version, rule.by, (rule.by,), look.table, Part(picked.places))
    dropped = train_counts(look.version, rule.by, look.table) - kept
    figure = charts.kept_bars({"kept": kept, "dropped": dropped}, axis, charts.title(rule.by), picked.cuts, _band(picked))
    figure.update_layout(height=HEIGHT)
    alt = f"Histogram of {charts.title(rule.by)}: kept and dropped rows"
    st.plotly_chart(figure, key=key, on_select=drawn, selection_mode="box", config=_TOOLS, alt=alt)


def _band(picked: Picked) -> tuple[float, float] | None:
    """The values between which nine in ten of the rows are whose place is uncertain."""
    if picked.probability is None:
        return None
    values = picked.values()[uncertainty.uncertain(np.nan_to_num(picked.probability))]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)
