"""The curves of a run: what is drawn, what to look for in it, and the figures. Pure: Curves in, Plotly figure out.

Of a curve with many steps the lowest and highest of neighbouring ones are drawn (curves.thinned); smoothing comes before that. Figures keep
a person's zoom while their numbers change (`uirevision`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from deft_core.charts import COLOURS, GREY
from deft_core.runs.alerts import Alert
from deft_core.runs.curves import Band, Curves, smoothed, thinned

__all__ = ["PANELS", "RUN", "Line", "Panel", "Part", "Series", "View", "band_lines", "figure", "framed"]

RUN, OTHER = COLOURS["kept"], COLOURS["dropped"]  # the run's own colour, and a second line's
POINTS = 800  # of a line
HEIGHT = 250


@dataclass(frozen=True)
class Series:
    """A column of a run's numbers as a line."""

    name: str  # in the legend
    column: str
    colour: str = RUN
    dash: str = "solid"
    heldout: bool = False  # a figure of the evaluations, with its interval; else a number of each step
    guided: bool = False  # only where there is a guidance term


@dataclass(frozen=True)
class Part:
    """Lines over one axis."""

    unit: str
    series: tuple[Series, ...]
    format: str = ",~g"
    level: float | None = None  # a dotted line, such as chance
    base: bool = False  # a dotted line at the first evaluation, which is the base's
    scale: float = 1.0  # what numbers are multiplied with


@dataclass(frozen=True)
class Panel:
    """One picture: one or two parts, one above the other, over the same steps."""

    title: str
    look_for: str  # in one sentence
    parts: tuple[Part, ...]
    alerts: tuple[str, ...] = ()  # the kinds that are marked in it


def _both(name: str, column: str, colour: str) -> tuple[Series, Series]:
    """On rows held out, and lighter on those that are trained on."""
    return Series(f"{name}, held out", column, colour, heldout=True), Series(f"{name}, training", column, f"{colour}66")


_SIDES = Series("chosen", "implicit_chosen", COLOURS["chosen"]), Series("rejected", "implicit_rejected", COLOURS["rejected"])
PANELS = (
    Panel(
        "Loss and its parts",
        "It should fall and then level off; near 0 the rows are known by heart, and a jump that stays up means too large a learning rate.",
        (
            Part(
                "loss",
                (
                    Series("loss", "loss"),
                    Series("alignment", "loss_align", OTHER, "dash", guided=True),
                    Series("guidance", "loss_guidance", OTHER, "dot", guided=True),
                ),
            ),
        ),
        ("nothing_learned",),
    ),
    Panel(
        "Implicit rewards and margin",
        "The margin should grow; that the chosen reward falls as well is often normal, as long as the rejected one falls faster.",
        (
            Part(
                "reward",
                (Series("chosen", "implicit_chosen", COLOURS["chosen"]), Series("rejected", "implicit_rejected", COLOURS["rejected"])),
            ),
            Part("margin", (*reversed(_both("margin", "margin", RUN)),), level=0.0),
        ),
        ("chosen_logp_falling",),
    ),
    Panel(
        "Accuracy",
        "On rows held out it should rise above 50 % with its band; rising on the training rows alone is learning by heart.",
        (
            Part(
                "share of pairs",
                (
                    Series("training", "accuracy_implicit", f"{OTHER}88"),
                    Series("by log-probability", "accuracy_logp", OTHER, "dash", heldout=True),
                    Series("held out", "accuracy_implicit", RUN, heldout=True),
                ),
                ".0%",
                level=0.5,
            ),
        ),
        ("nothing_learned", "reward_runaway"),
    ),
    Panel(
        "Distribution reward R",
        "R may rise with alignment; rising while held-out accuracy is flat means that the guidance term runs away with the model.",
        (Part("R", (*_both("chosen", "reward_chosen", COLOURS["chosen"]), *_both("rejected", "reward_rejected", COLOURS["rejected"]))),),
        ("reward_runaway",),
    ),
    Panel(
        "KL to the base and entropy",
        "KL grows as the model moves away, above 0.5 nats a token it is far; entropy that halves means repetitive answers.",
        (
            Part(
                "KL, nats",
                (Series("its own answers", "kl_own", OTHER, "dash", heldout=True), Series("held-out answers", "kl", RUN, heldout=True)),
            ),
            Part("entropy, nats", (Series("entropy", "entropy"),)),
        ),
        ("kl_drift", "entropy_collapse"),
    ),
    Panel(
        "Answer length and perplexity",
        "Near the base's is well: length that runs off was taken for quality, perplexity of neutral text that rises is ability lost.",
        (
            Part("tokens", (Series("answer length", "answer_tokens", RUN, heldout=True),), base=True),
            Part("perplexity", (Series("perplexity", "perplexity_neutral", OTHER, heldout=True),), base=True),
        ),
        ("length_drift",),
    ),
    Panel(
        "Gradient norm and learning rate",
        "The norm may be high at first and should calm down; spikes that grow come before a loss that is not finite.",
        (Part("norm", (Series("gradient norm", "grad_norm"),)), Part("rate", (Series("learning rate", "learning_rate", OTHER),), "~e")),
    ),
    Panel(
        "Speed and memory",
        "Both should stay level; memory that creeps up will not last, speed that falls means that something else wants the device.",
        (
            Part("tokens/s", (Series("tokens a second", "tokens_per_second"),)),
            Part("memory, GB", (Series("memory", "memory_bytes", OTHER),), scale=1e-9),
        ),
    ),
)


@dataclass(frozen=True)
class View:
    """How somebody looks at the curves."""

    span: int = 1  # steps that smoothing looks back over
    log: bool = False  # of the upper axis, where all that is drawn is above 0
    low: float = -np.inf  # the steps shown
    high: float = np.inf


@dataclass(frozen=True, eq=False)
class Line:
    """Points as they are drawn; with `low` and `high` also a band."""

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[np.floating[Any]]
    colour: str
    dash: str = "solid"
    width: float = 1.6
    points: bool = False
    low: npt.NDArray[np.floating[Any]] | None = None
    high: npt.NDArray[np.floating[Any]] | None = None
    legend: bool = True


def figure(panel: Panel, curves: Curves, view: View) -> go.Figure | None:
    """None where the run has none of its numbers."""
    parts = [(part, _lines(part, curves, view)) for part in panel.parts]
    parts = [(part, lines) for part, lines in parts if lines]
    if not parts:
        return None
    marks = [alert for alert in curves.alerts if alert.kind in panel.alerts]
    return framed(parts, marks, [step for step in curves.starts if step > 0], view)


def _lines(part: Part, curves: Curves, view: View) -> list[Line]:
    found: list[Line] = []
    for series in part.series:
        if series.guided and not curves.omega:
            continue
        found += _evaluated(series, part, curves, view) if series.heldout else _trained(series, part, curves, view)
    return found


def _evaluated(series: Series, part: Part, curves: Curves, view: View) -> list[Line]:
    return band_lines(series.name, curves.band(series.column), series.colour, series.dash, view, part.scale)


def band_lines(name: str, band: Band, colour: str, dash: str, view: View, scale: float = 1.0) -> list[Line]:
    """A figure of the evaluations with its interval."""
    if not len(band.steps):
        return []
    x, value = thinned(band.steps, band.value, POINTS, view.low, view.high)
    places = np.searchsorted(band.steps, x)
    low, high = (end[places] * scale for end in (band.low, band.high))
    known = np.isfinite(low).all() and np.isfinite(high).all()
    return [Line(name, x, value * scale, colour, dash, points=len(x) <= 60, low=low if known else None, high=high if known else None)]


def _trained(series: Series, part: Part, curves: Curves, view: View) -> list[Line]:
    """Smoothed, with the numbers themselves faintly behind."""
    steps, values = curves.training.steps, curves.training.column(series.column)
    if not np.isfinite(values).any():
        return []
    lines = []
    if view.span > 1:
        x, y = thinned(steps, values, POINTS // 2, view.low, view.high)
        lines.append(Line(series.name, x, y * part.scale, f"{series.colour[:7]}26", width=1, legend=False))
    x, y = thinned(steps, smoothed(values, view.span), POINTS, view.low, view.high)
    return [*lines, Line(series.name, x, y * part.scale, series.colour, series.dash, 1.6 if len(series.colour) == 7 else 1.2)]


# figures


def framed(parts: Sequence[tuple[Part, Sequence[Line]]], marks: Iterable[Alert], resumed: Iterable[int], view: View) -> go.Figure:
    """Parts one above the other over one axis of steps, alerts on their step. Given whole: Plotly's update_* calls cost milliseconds."""
    traces: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = [_upright(step, GREY, "dash") for step in resumed]
    notes: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    for number, (part, lines) in enumerate(parts):
        name = "y" if number == 0 else f"y{number + 1}"
        traces += [trace | {"yaxis": name} for line in lines for trace in _traces(line, part.format)]
        shapes += [_across(level, name, colour) for level, colour in _levels(part, lines)]
        axes[name.replace("y", "yaxis")] = _axis(part, lines, number, len(parts), view)
    for mark in marks:
        shapes.append(_upright(mark.step, COLOURS["rejected"], "dot"))
        hover = {"hovertext": f"step {mark.step:,}: {mark.kind.replace('_', ' ')}", "captureevents": False}
        notes.append(
            {
                "x": mark.step,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "text": "⚠",
                "showarrow": False,
                "font": {"color": COLOURS["rejected"]},
            }
            | hover
        )
    across = {"gridcolor": GREY, "zeroline": False, "tickformat": ",~g", "anchor": "y" if len(parts) == 1 else f"y{len(parts)}"}
    if np.isfinite(view.low) and np.isfinite(view.high):
        across |= {"range": [view.low, view.high]}
    layout = {"height": HEIGHT, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "dragmode": "zoom", "hovermode": "x unified"}
    layout |= {"legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 11}}, "showlegend": True}
    layout |= {"uirevision": f"{view.low} {view.high} {view.log}", "separators": ".,", "shapes": shapes, "annotations": notes}
    layout |= {"hoverlabel": {"font": {"size": 11}, "namelength": -1}, "xaxis": across}
    return go.Figure({"data": traces, "layout": layout | axes})


def _axis(part: Part, lines: Sequence[Line], number: int, parts: int, view: View) -> dict[str, Any]:
    domain = [0, 1] if parts == 1 else [[0.56, 1], [0, 0.44]][number]
    axis: dict[str, Any] = {"gridcolor": GREY, "zeroline": False, "automargin": True, "tickformat": part.format, "domain": domain}
    axis |= {"title": {"text": part.unit, "standoff": 10, "font": {"size": 11}}, "nticks": 6 if parts == 1 else 4}
    drawn = np.concatenate([line.y for line in lines])
    return axis | ({"type": "log"} if view.log and np.nanmin(drawn) > 0 else {})


def _levels(part: Part, lines: Sequence[Line]) -> Iterable[tuple[float, str]]:
    if part.level is not None:
        yield part.level, OTHER
    if part.base and lines[0].x[0] == 0:
        yield float(lines[0].y[0]), COLOURS["base"]


def _across(level: float, axis: str, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": axis, "y0": level, "y1": level, "line": line, "layer": "below"}


def _upright(step: int, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return {"type": "line", "xref": "x", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}


def _traces(line: Line, number: str) -> Iterable[dict[str, Any]]:
    if line.low is not None and line.high is not None:
        x, y = np.concatenate([line.x, line.x[::-1]]), np.concatenate([line.high, line.low[::-1]])
        plain = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        yield plain | {"x": _compact(x), "y": _compact(y), "fill": "toself", "fillcolor": f"{line.colour[:7]}2E"}
    yield {
        "type": "scatter",
        "mode": "lines+markers" if line.points else "lines",
        "x": _compact(line.x),
        "y": _compact(line.y),
        "name": line.name,
        "line": {"color": line.colour, "width": line.width, "dash": line.dash},
        "marker": {"size": 5},
        "showlegend": line.legend,
        "connectgaps": False,
        "hovertemplate": f"%{{y:{number}}}" if line.legend else None,
        "hoverinfo": None if line.legend else "skip",
    }


def _compact(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Four bytes a number on the wire."""
    return values.astype(np.int32 if np.issubdtype(values.dtype, np.integer) else np.float32)
