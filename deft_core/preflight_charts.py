"""Numbers of a run that is about to be started, as a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from deft_core import charts
from deft_core.charts import COLOURS, Axis

__all__ = ["lengths"]

FEW_ROWS = 4  # in a bar: each has its own line
NEAR = 0.6  # of the limit: rows that come this close to it are shown beside it


def lengths(tokens: npt.NDArray[np.float64], cut: npt.NDArray[np.bool_], limit: int) -> go.Figure:
    """Rows by the tokens [N] of their prompt and longest answer; rows that were cut to the limit stand out, by a pattern and by name."""
    axis = _axis(tokens, limit)
    centres, widths = (axis.edges[:-1] + axis.edges[1:]) / 2, np.diff(axis.edges)
    traces = [_bars(name, tokens[mask], axis, centres, widths) for name, mask in (("read whole", ~cut), ("cut", cut)) if mask.any()]
    layout: dict[str, Any] = {"barmode": "stack", "bargap": 0, "dragmode": False, "height": 250}
    if axis.edges[-1] >= limit:
        line = {"type": "line", "xref": "x", "yref": "y domain", "x0": limit, "x1": limit, "y0": 0, "y1": 1}
        words = f"limit {limit:,}" + (f": {int(cut.sum()):,} rows lose tokens" if cut.any() else "")
        note = {"x": limit, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "right", "showarrow": False, "text": words}
        layout |= {"shapes": [line | {"line": {"color": COLOURS["rejected"], "width": 2, "dash": "dot"}}], "annotations": [note]}
    x = {"title": {"text": "tokens, prompt and longest answer"}, "range": [0, float(axis.edges[-1])]}
    most = max(int(np.max(trace["y"])) for trace in traces)
    y = {"title": {"text": "rows"}, "rangemode": "tozero"} | ({"dtick": 1} if most <= FEW_ROWS else {})
    return charts.framed(traces, x, y, layout, top=30)


def _axis(tokens: npt.NDArray[np.float64], limit: int) -> Axis:
    """From 0 to the longest row, or to the limit where rows come near it."""
    most = float(tokens.max(initial=1))
    last = limit if most >= NEAR * limit else most
    step = max(1, int(np.ceil(last / charts.BINS)))
    return Axis(np.arange(0, last + step + 1, step) - 0.5, True, 0)


def _bars(
    name: str, tokens: npt.NDArray[np.float64], axis: Axis, centres: npt.NDArray[np.float64], widths: npt.NDArray[np.float64]
) -> dict[str, Any]:
    marker: dict[str, Any] = {"color": COLOURS["kept"], "line": {"width": 0}}
    if name == "cut":
        marker |= {"color": COLOURS["rejected"], "pattern": {"shape": "/"}}
    place = {"x": centres, "y": np.histogram(tokens, axis.edges)[0], "width": widths}
    return {
        "type": "bar",
        "name": name,
        "marker": marker,
        "hovertemplate": f"{name}, %{{x:,.0f}} tokens: %{{y:,}} rows<extra></extra>",
    } | place
