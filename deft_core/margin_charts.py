"""Margins of rows before and after a run, as a figure: numbers in, Plotly figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from deft_core.charts import COLOURS, GREY, framed

__all__ = ["TITLES", "margins"]

TITLES = {
    "logp_margin_before": "log-probability, chosen minus rejected, before",
    "logp_margin_after": "the same after training",
    "implicit_margin": "implicit margin: what training added, times beta",
}
REACH = 0.05  # of the range, beyond the outermost points
SIDES = ("dropped", "kept")  # kept ones above

Numbers = npt.NDArray[np.float64]


def margins(before: Numbers, after: Numbers, kept: npt.NDArray[np.bool_], outline: tuple[tuple[float, float], ...] = ()) -> go.Figure:
    """A point a row; above the diagonal the margin grew, right of the upright line the base already preferred the chosen answer."""
    traces = [_points(name, before[rows], after[rows]) for name, rows in zip(SIDES, (~kept, kept), strict=True)]
    if outline:
        corners = np.array([*outline, outline[0]])
        line = {"color": COLOURS["kept"], "width": 2}
        traces.append(
            {"type": "scatter", "x": corners[:, 0], "y": corners[:, 1], "mode": "lines", "line": line, "hoverinfo": "skip"}
            | {"selected": {}, "unselected": {}, "showlegend": False}
        )
    low, high = _range(np.concatenate([before, after]))
    steady = {
        "type": "line",
        "x0": low,
        "y0": low,
        "x1": high,
        "y1": high,
        "line": {"color": COLOURS["dropped"], "width": 1, "dash": "dot"},
    }
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "y domain", "line": {"color": GREY, "width": 2}}
    note = {"x": high, "y": high, "text": "as before", "showarrow": False, "xanchor": "right", "yanchor": "bottom", "font": {"size": 12}}
    names = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    layout = {
        "shapes": [zero | {"layer": "below"}, steady | {"layer": "below"}],
        "annotations": [note],
        "showlegend": True,
        "legend": names,
    }
    x, y = ({"title": {"text": TITLES[f"logp_margin_{side}"]}} for side in ("before", "after"))
    return framed(traces, x | {"range": [low, high]}, y, layout, left=56)


def _points(name: str, x: Numbers, y: Numbers) -> dict[str, Any]:
    marker = {"color": COLOURS[name], "size": 6, "opacity": 0.65}
    points = {"type": "scattergl", "mode": "markers", "x": x.astype(np.float32), "y": y.astype(np.float32), "name": f"{name} ({len(x):,})"}
    return points | {"marker": marker, "hovertemplate": f"{name}: %{{x:.4~g}} before, %{{y:.4~g}} after<extra></extra>"}


def _range(values: Numbers) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return -1.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = REACH * (high - low) or 1.0
    return low - room, high + room
