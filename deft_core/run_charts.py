"""The curves of a run: what is drawn, and what to look for in it. Pure: Curves in, a drawing out.

Of a curve with many steps the lowest and highest of neighbouring ones are drawn (curves.thinned); smoothing comes before that.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deft_core.charts import COLOURS
from deft_core.runs.alerts import Alert
from deft_core.runs.curves import Band, Curves, smoothed, thinned

__all__ = ["PANELS", "RUN", "Drawing", "Line", "Panel", "Part", "Series", "View", "band_lines", "drawing", "figure"]

Drawing = dict[str, Any]

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
    format: str = "number"  # number | percent | exponent
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
                "percent",
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
        (
            Part("norm", (Series("gradient norm", "grad_norm"),)),
            Part("rate", (Series("learning rate", "learning_rate", OTHER),), "exponent"),
        ),
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


def figure(panel: Panel, curves: Curves, view: View) -> Drawing | None:
    """None where the run has none of its numbers."""
    parts = [(part, _lines(part, curves, view)) for part in panel.parts]
    parts = [(part, lines) for part, lines in parts if lines]
    if not parts:
        return None
    marks = [alert for alert in curves.alerts if alert.kind in panel.alerts]
    resumed = [step for step in curves.starts if step > 0]
    return drawing(parts, view, ends=(0.0, float(curves.step)), marks=marks, resumed=resumed)


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


# drawings


def drawing(
    parts: Sequence[tuple[Part, Sequence[Line]]],
    view: View,
    *,
    ends: tuple[float, float] | None = None,
    marks: Iterable[Alert] = (),
    resumed: Iterable[int] = (),
    unit: str = "step",
    legend: bool = True,
) -> Drawing:
    """Parts one above the other over one axis, alerts on their step, as pages/shared/curve_chart.js draws them: plain values, and arrays of
    numbers (32 bits each, little-endian) in base64. `ends` of the axis where the view has none; None: those of the lines."""
    lines = [line for _, own in parts for line in own]
    whole = all(np.issubdtype(line.x.dtype, np.integer) for line in lines)
    return {
        "height": HEIGHT,
        "unit": unit,
        "whole": whole,  # numbers on the axis
        "legend": legend,
        "range": [view.low, view.high] if np.isfinite([view.low, view.high]).all() else list(ends or _ends(lines)),
        "parts": [_part(part, own, view, whole) for part, own in parts],
        "marks": [[alert.step, alert.kind.replace("_", " ")] for alert in marks],
        "resumed": list(resumed),
    }


def _ends(lines: Sequence[Line]) -> tuple[float, float]:
    return float(min(line.x[0] for line in lines)), float(max(line.x[-1] for line in lines))


def _part(part: Part, lines: Sequence[Line], view: View, whole: bool) -> dict[str, Any]:
    log = view.log and bool(np.nanmin(np.concatenate([line.y for line in lines])) > 0)
    levels = [[level, colour] for level, colour in _levels(part, lines) if level > 0 or not log]
    return {"unit": part.unit, "format": part.format, "log": log, "levels": levels, "lines": [_line(line, whole) for line in lines]}


def _levels(part: Part, lines: Sequence[Line]) -> Iterable[tuple[float, str]]:
    if part.level is not None:
        yield part.level, OTHER
    if part.base and lines[0].x[0] == 0:
        yield float(lines[0].y[0]), COLOURS["base"]


def _line(line: Line, whole: bool) -> dict[str, Any]:
    about = {"name": line.name, "colour": line.colour, "dash": line.dash, "width": line.width, "points": line.points, "legend": line.legend}
    arrays = {"y": line.y, "low": line.low, "high": line.high}
    packed = {name: None if values is None else _packed(values, np.float32) for name, values in arrays.items()}
    return about | {"x": _packed(line.x, np.int32 if whole else np.float32)} | packed


def _packed(values: npt.NDArray[Any], kind: type[np.int32] | type[np.float32]) -> str:
    return b64encode(values.astype(kind).tobytes()).decode()
