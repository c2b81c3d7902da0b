"""Numbers in, Plotly figure out. Bars are binned and points are sampled here, so that a browser never receives all rows.

Every figure keeps the user's zoom while its numbers change (`uirevision`) and answers a drawn box or outline.
Text from a dataset goes through `label`: Plotly reads some HTML in any text it draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from deft_core.reading import excerpt
from deft_core.rule import CUT_DIGITS

__all__ = [
    "COLOURS",
    "Axis",
    "Bars",
    "agreement_curve",
    "axis_of",
    "bars",
    "binned",
    "bins",
    "framed",
    "histogram",
    "kept_bars",
    "label",
    "matrix",
    "sampled",
    "scatter",
    "title",
    "token_bars",
]

COLOURS = {  # Okabe-Ito; the same colour for the same thing on every page
    "chosen": "#0072B2",
    "rejected": "#D55E00",
    "kept": "#009E73",
    "dropped": "#8A8A8A",
    "random": "#CC79A7",
    "full": "#E69F00",
    "base": "#56B4E9",
    "as scored": "#56B4E9",  # beside a what-if
    "what-if": "#E69F00",
}
TITLES = {  # of the columns whose unit is not in their name
    "reward_chosen": "reward of the chosen answer",
    "reward_rejected": "reward of the rejected answer",
    "reward_margin": "reward, chosen minus rejected",
    "reward_mean": "reward, mean of the answers",
    "logp_chosen": "log-probability of the chosen answer",
    "logp_rejected": "log-probability of the rejected answer",
    "logp_margin": "log-probability, chosen minus rejected",
    "mean_logp_chosen": "log-probability per token, chosen",
    "mean_logp_rejected": "log-probability per token, rejected",
    "mean_logp_margin": "log-probability per token, chosen minus rejected",
    "tokens_chosen": "length of the chosen answer, tokens",
    "tokens_rejected": "length of the rejected answer, tokens",
    "tokens_prompt": "length of the prompt, tokens",
    "truncated_tokens": "tokens cut off",
    "turns": "user turns",
    "score_chosen": "the source's score of the chosen answer",
    "score_rejected": "the source's score of the rejected answer",
    "score_margin": "the source's score, chosen minus rejected",
    "n_responses": "answers in a row",
}
BINS = 60
REACH = 6.0
POINTS = 5_000  # drawn at most; the rest is sampled, and the chart says so
BARS = 20
MATRIX_WORDS = 14  # columns; with more there is no room for figures in the cells
FEW_BARS = 15  # of whole numbers: each has its own label
LABELLED = 58  # pixels above a chart with labels: its buttons stand over them
GREY = "rgba(128, 128, 128, 0.25)"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """The bins of a column, from all rows, so that they stay where they are while filters change."""

    edges: Numbers
    whole: bool  # whole numbers only
    beyond: int  # values outside of the edges: a few extreme ones would squeeze all others into one bar


def label(text: object, characters: int = 40) -> str:
    """A text of the dataset, as a figure may draw it."""
    return escape(excerpt(str(text), characters), quote=False)


def title(column: str) -> str:
    """What an axis calls a column."""
    return TITLES.get(column) or label(column.removeprefix("extra_").replace("_", " "))


def axis_of(values: Numbers) -> Axis:
    """Bins over the whole range, but no further than six times the middle half's width beyond it: a normal column keeps every value."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Axis(np.linspace(0.0, 1.0, 2), False, 0)
    low, high = float(finite.min()), float(finite.max())
    lower, upper = (float(edge) for edge in np.quantile(finite, [0.25, 0.75]))
    if upper > lower:
        low, high = max(low, lower - REACH * (upper - lower)), min(high, upper + REACH * (upper - lower))
    whole = bool(np.all(finite == np.round(finite)))
    edges = _edges(low, high, whole)
    return Axis(edges, whole, int(((finite < edges[0]) | (finite > edges[-1])).sum()))


def _edges(low: float, high: float, whole: bool) -> Numbers:
    if whole:  # whole numbers: bars stand on them, a bar never covers a different count of them than its neighbour
        step = max(1, int(np.ceil((high - low + 1) / BINS)))
        return np.arange(np.floor(low), high + step + 1, step) - 0.5
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, BINS + 1)


@dataclass(frozen=True)
class Bars:
    """A distribution over the bins of an axis."""

    counts: npt.NDArray[np.int64]
    mean: float | None  # of all values, drawn or not; None where there are none


def binned(values: Numbers, axis: Axis) -> Bars:
    finite = values[np.isfinite(values)]
    return Bars(np.histogram(finite, axis.edges)[0], float(finite.mean()) if len(finite) else None)


def histogram(series: Mapping[str, Bars], axis: Axis, title: str, *, drawn: tuple[float, float] | None = None) -> go.Figure:
    """One or more distributions over the same bins, each with its mean; `drawn` is the range a filter has taken from here."""
    few = axis.whole and len(axis.edges) - 1 <= FEW_BARS
    traces = [_distribution(name, bars, axis, few, 0.6 if len(series) > 1 else 0.85) for name, bars in series.items()]
    lines, notes = _means({name: bars.mean for name, bars in series.items() if bars.mean is not None}, axis)
    if drawn:
        low, high = np.clip(drawn, axis.edges[0], axis.edges[-1])  # a range may be open
        lines.append(_rectangle(float(low), float(high)))
    beyond = f" ({axis.beyond:,} beyond the axis)" if axis.beyond else ""
    x = {"range": [axis.edges[0], axis.edges[-1]], "title": {"text": f"{title}{beyond}"}} | ({"dtick": 1} if few else {})
    layout = {"barmode": "overlay", "bargap": 0, "selectdirection": "h", "shapes": lines, "annotations": notes}
    return framed(traces, x, _upward([bars.counts for bars in series.values()]), layout, top=LABELLED)


def _upward(counts: Iterable[npt.NDArray[np.int64]]) -> dict[str, Any]:
    """The axis of counts; without a single row it has no numbers but 0, where Plotly would invent some."""
    return {} if any(one.any() for one in counts) else {"range": [0, 1], "tickvals": [0]}


def _distribution(name: str, bars: Bars, axis: Axis, few: bool, opacity: float) -> dict[str, Any]:
    centres, widths = (axis.edges[:-1] + axis.edges[1:]) / 2, np.diff(axis.edges)
    return {
        "type": "bar",
        "x": centres,
        "y": bars.counts,
        "width": widths * 0.9 if few else widths,
        "name": name,
        "opacity": opacity,
        "marker": {"color": COLOURS.get(name, COLOURS["chosen"]), "line": {"width": 0}},
        "hovertemplate": f"{name} %{{x:.4~g}}: %{{y:,}}<extra></extra>",
    }


def _rectangle(low: float, high: float) -> dict[str, Any]:
    line = {"color": COLOURS["kept"], "width": 2}
    place = {"type": "rect", "xref": "x", "yref": "y domain", "x0": low, "x1": high, "y0": 0, "y1": 1}
    return place | {"line": line, "fillcolor": COLOURS["kept"], "opacity": 0.14, "layer": "below"}


def _means(means: Mapping[str, float], axis: Axis) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A line at each mean with its name beside it, on the side where there is room; one beyond the axis is named at its end."""
    low, high = float(axis.edges[0]), float(axis.edges[-1])
    lines, notes, sides = [], [], list[str]()
    for name, exact in sorted(means.items(), key=lambda item: item[1]):
        mean = float(f"{exact:.6g}")  # the same figure whatever the order of the rows: Streamlit knows a chart by what it draws
        colour = COLOURS.get(name, COLOURS["chosen"])
        if low <= mean <= high:
            line = {"color": colour, "width": 2, "dash": "dot"}
            lines.append({"type": "line", "xref": "x", "yref": "y domain", "x0": mean, "x1": mean, "y0": 0, "y1": 1, "line": line})
        part = (mean - low) / (high - low)
        sides.append("left" if part < 0.25 else "right" if part > 0.75 else "right" if len(means) > 1 and not sides else "left")
        place = {"x": min(max(mean, low), high), "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": sides[-1], "showarrow": False}
        lift = 15 if sides.count(sides[-1]) > 1 else 0
        words = f'<span style="color:{colour}">■</span> {name} {mean:,.3g}'  # the text itself in the theme's colour, to be legible
        notes.append({"text": words + " →" * (mean > high), "font": {"size": 13}, "yshift": lift} | place)
    return lines, notes


def bins(values: Numbers, axis: Axis) -> npt.NDArray[np.uint8]:
    """Which bar each value [N] is in; one past the last for a value that is in none."""
    outside = len(axis.edges) - 1
    numbers = np.searchsorted(axis.edges, values, side="right") - 1
    numbers[values == axis.edges[-1]] = outside - 1
    numbers[(numbers < 0) | (values > axis.edges[-1]) | np.isnan(values)] = outside
    return numbers.astype(np.uint8)


def kept_bars(
    counts: Mapping[str, npt.NDArray[np.int64]], axis: Axis, title: str, cuts: Sequence[float] = (), band: tuple[float, float] | None = None
) -> go.Figure:
    """Rows per bar, kept ones below dropped ones, with the cuts between them; `band` holds the rows whose place is uncertain."""
    centres, widths = (axis.edges[:-1] + axis.edges[1:]) / 2, np.diff(axis.edges)
    few = axis.whole and len(centres) <= FEW_BARS
    traces = [
        {
            **{"type": "bar", "x": centres, "y": numbers, "width": widths * 0.9 if few else widths, "name": name},
            "marker": {"color": COLOURS[name], "line": {"width": 0}},
            "hovertemplate": f"{name} %{{x:.4~g}}: %{{y:,}}<extra></extra>",
        }
        for name, numbers in counts.items()
    ]
    low, high = float(axis.edges[0]), float(axis.edges[-1])
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    if band:
        place = {"type": "rect", "xref": "x", "yref": "y domain", "x0": max(band[0], low), "x1": min(band[1], high), "y0": 0, "y1": 1}
        shapes.append(place | {"line": {"width": 0}, "fillcolor": COLOURS["full"], "opacity": 0.22, "layer": "below"})
    for number, cut in enumerate(cuts):
        at = min(max(cut, low), high)
        line = {"color": "#009E73", "width": 2}
        shapes.append({"type": "line", "xref": "x", "yref": "y domain", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line})
        part = (at - low) / (high - low)
        side = ("right", "left")[number] if len(cuts) == 2 and 0.2 < part < 0.8 else "left" if part < 0.5 else "right"  # outward
        lift = 15 if side in [note["xanchor"] for note in notes] else 0
        place = {"x": at, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": side, "showarrow": False, "yshift": lift}
        notes.append({"text": f"cut {cut:,.{CUT_DIGITS}g}", "font": {"size": 13}} | place)
    beyond = f" ({axis.beyond:,} beyond the axis)" if axis.beyond else ""
    x = {"range": [low, high], "title": {"text": f"{title}{beyond}"}} | ({"dtick": 1} if few else {})
    layout = {"barmode": "stack", "bargap": 0, "selectdirection": "h", "shapes": shapes, "annotations": notes}
    return framed(traces, x, _upward(counts.values()), layout, top=LABELLED)


def bars(counts: pd.Series[int], title: str, picked: tuple[str, ...] = ()) -> go.Figure:
    """Rows per category, the most frequent on top; a click on a bar selects its category (its customdata)."""
    shown = counts.sort_values(ascending=False, kind="stable").head(BARS)[::-1]
    names = [str(name) for name in shown.index]
    trace = {
        "type": "bar",
        "x": shown.to_numpy(),
        "y": np.arange(len(shown)),
        "orientation": "h",
        "marker": {"color": [COLOURS["kept"] if name in picked else COLOURS["base"] for name in names]},
        "customdata": names,
        "text": [f"{count:,}  {label(name, 22)}" for name, count in zip(names, shown, strict=True)],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "none",  # "skip" would switch clicks off too
    }
    more = f", the {BARS} most frequent of {len(counts):,}" if len(counts) > BARS else ""
    longest = 2.4 * max(1, shown.max() if len(shown) else 1)
    x = {"title": {"text": f"{title}{more}"}, "showticklabels": False, "showgrid": False, "range": [0, longest]}
    return framed([trace], x, {"visible": False}, {"dragmode": False})


def sampled(order: npt.NDArray[np.int64], passed: npt.NDArray[np.bool_] | None) -> tuple[npt.NDArray[np.int64], int]:
    """At most POINTS rows, ascending: the first of an order of chance that pass; and how many of the order do.

    Looked for from its beginning, so that a point stays drawn as long as filters leave it.
    """
    if passed is None:
        return np.sort(order[:POINTS]), len(order)
    found, start, size = [order[:0]], 0, 2 * POINTS
    while start < len(order) and sum(map(len, found)) < POINTS:
        some = order[start : start + size]
        found.append(some[passed[some]])
        start, size = start + size, 2 * size
    total = np.count_nonzero(passed if len(order) == len(passed) else passed[order])
    return np.sort(np.concatenate(found)[:POINTS]), int(total)


def scatter(
    x: Numbers,
    y: Numbers,
    titles: tuple[str, str],
    *,
    name: str,
    rows: int,
    outline: tuple[tuple[float, float], ...] = (),
    axes: tuple[Axis, Axis] | None = None,
) -> go.Figure:
    """Points, all of so many rows or a sample of them; `outline` is a filter taken from here. Without points, `axes` are drawn."""
    marker = {"color": COLOURS[name], "size": 5, "opacity": 0.55}
    points = {"type": "scattergl", "mode": "markers", "x": x.astype(np.float32), "y": y.astype(np.float32)}
    traces = [points | {"marker": marker, "hovertemplate": "%{x:.4~g}, %{y:.4~g}<extra></extra>"}]
    if outline:
        corners = np.array([*outline, outline[0]])
        line = {"color": COLOURS["kept"], "width": 2}
        traces.append(
            {"type": "scatter", "x": corners[:, 0], "y": corners[:, 1], "mode": "lines", "line": line, "hoverinfo": "skip"}
            | {"selected": {}, "unselected": {}}
        )
    sample = f" ({len(x):,} of {rows:,} rows drawn)" if len(x) < rows else ""
    ranges: list[dict[str, Any]] = [{"range": [axis.edges[0], axis.edges[-1]]} for axis in axes] if axes and not len(x) else [{}, {}]
    across, up = ({"title": {"text": text}} | more for text, more in zip((f"{titles[0]}{sample}", titles[1]), ranges, strict=True))
    return framed(traces, across, up, {}, left=56)


def token_bars(tokens: pd.DataFrame) -> go.Figure:
    """d of some tokens with its interval, in their order from the top; pale where the interval includes 0. A click gives the token id.

    `tokens`: token, token_id, d, low, high, count_chosen, count_rejected. Drawn in tokens of 1,000.
    """
    d, low, high = (1000 * tokens[name].to_numpy(np.float64) for name in ("d", "low", "high"))
    colours = np.where(d > 0, COLOURS["chosen"], COLOURS["rejected"])
    counts = zip(tokens["count_chosen"], tokens["count_rejected"], strict=True)
    reach = {"type": "data", "symmetric": False, "array": high - d, "arrayminus": d - low}
    trace = {
        "type": "bar",
        "x": d,
        "y": np.arange(len(d)),
        "orientation": "h",
        "marker": {"color": colours, "opacity": np.where((low <= 0) & (high >= 0), 0.4, 0.95), "line": {"width": 0}},
        "error_x": reach | {"thickness": 1.2, "width": 3, "color": "#7A7A7A"},  # to be seen on light and on dark
        "customdata": [str(token_id) for token_id in tokens["token_id"]],
        "hovertext": [f"{chosen:,} times chosen, {rejected:,} times rejected" for chosen, rejected in counts],
        "hovertemplate": "%{y}: %{x:.3~g} per 1,000<br>%{hovertext}<extra></extra>",
    }
    zero = {"type": "line", "xref": "x", "yref": "y domain", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": {"color": "#8A8A8A", "width": 1}}
    y = {
        "tickvals": np.arange(len(d)),
        "ticktext": [label(token, 22) for token in tokens["token"]],
        "showgrid": False,
        "ticklabelstandoff": 6,
    }
    y |= {"range": [len(d) - 0.4, -0.6], "tickfont": {"family": "monospace", "size": 13}}
    x = {"title": {"text": "share of chosen minus share of rejected, in 1,000"}}
    return framed([trace], x, y, {"dragmode": False, "shapes": [zero], "bargap": 0.25, "margin": {"l": 8, "r": 12, "t": 8, "b": 8}})


def agreement_curve(curve: pd.DataFrame, conversations: int, constant: float, goal: float) -> go.Figure:
    """Split-half cosine of d by conversations in each half, its 95 % band, the model m / (m + c), now, and where the goal is reached."""
    x, blue, green = curve["conversations"].to_numpy(), COLOURS["chosen"], COLOURS["kept"]
    band = {"type": "scatter", "x": np.concatenate([x, x[::-1]]), "y": np.concatenate([curve["high"], curve["low"][::-1]]), "mode": "lines"}
    band |= {"fill": "toself", "fillcolor": "rgba(0, 114, 178, 0.15)", "line": {"width": 0}, "hoverinfo": "skip"}
    line = {"type": "scatter", "x": x, "y": curve["cosine"], "mode": "lines+markers", "line": {"color": blue, "width": 2}}
    line |= {"hovertemplate": "two halves of %{x:,} conversations: cosine %{y:.2f}<extra></extra>"}
    traces, notes, last = [band, line], [], float(conversations)
    if np.isfinite(constant):
        needed = constant * goal / (1 - goal)
        last = max(conversations, needed)
        model = np.geomspace(x[0], 1.3 * last, 60)
        dotted = {"type": "scatter", "x": model, "y": model / (model + constant), "mode": "lines", "hoverinfo": "skip"}
        traces.append(dotted | {"line": {"color": green, "width": 2, "dash": "dot"}})
        for at, words in ((conversations, f"now: {conversations:,}"), (needed, f"{goal:g} at about {float(f'{needed:.1e}'):,.0f}")):
            point = {"type": "scatter", "x": [at], "y": [at / (at + constant)], "mode": "markers", "hoverinfo": "skip"}
            traces.append(point | {"marker": {"color": green, "size": 9}})
            place = {"x": np.log10(at), "y": at / (at + constant), "xanchor": "right", "yanchor": "bottom", "showarrow": False}
            notes.append(place | {"text": words, "font": {"size": 13}})
    floor = min(-0.05, float(curve["low"].min()) - 0.05)
    across: dict[str, Any] = {"type": "log", "range": [np.log10(x[0]) - 0.05, np.log10(1.5 * last)], "title": {"text": "conversations"}}
    across |= {"tickformat": "~s", "dtick": 1 if last > 30 * x[0] else "D2"}
    up = {"title": {"text": "cosine between two d"}, "range": [floor, 1.05], "tickformat": ".1f"}
    return framed(traces, across, up, {"dragmode": False, "annotations": notes}, left=48)


def matrix(values: Numbers, names: Sequence[str], *, share: bool = False) -> go.Figure:
    """Columns against columns: correlations between -1 and 1, or shares between 0 and 1; a cell without a value is empty."""
    words = np.where(np.isnan(values), "", [[f"{value:.0%}" if share else f"{value:z.2f}" for value in row] for row in values])
    blue, none, orange = "#4095C5", "#F4F4F4", "#DF8640"  # opaque: Plotly chooses a cell's text by its colour alone
    labels = [label(name, 24) for name in names]
    trace = {
        "type": "heatmap",
        "z": values,
        "text": words,
        "texttemplate": "%{text}" if len(names) <= MATRIX_WORDS else "",
        "colorscale": [[0, none], [1, blue]] if share else [[0, orange], [0.5, none], [1, blue]],
        "zmin": 0 if share else -1,
        "zmax": 1,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{customdata}: %{text}<extra></extra>",
        "customdata": [[f"{one}, {other}" for other in labels] for one in labels],
    }
    ticks = {"tickvals": np.arange(len(names)), "ticktext": labels, "showgrid": False, "tickformat": ""}
    figure = framed([trace], ticks | {"tickangle": -40}, ticks | {"autorange": "reversed"}, {"dragmode": False})
    return figure.update_layout(height=150 + 34 * max(4, len(names)))


def framed(
    traces: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], layout: dict[str, Any], *, left: int = 8, top: int = 38
) -> go.Figure:
    """The figure in our frame. Given whole, since each of Plotly's update_* calls costs milliseconds."""
    axis = {"gridcolor": GREY, "zeroline": False, "automargin": True, "tickformat": ",~g"}
    x = axis | x | {"title": {"standoff": 8} | x.get("title", {})}
    frame = {"margin": {"l": left, "r": 12, "t": top, "b": 8}, "showlegend": False, "dragmode": "select"}
    frame |= {"uirevision": "kept", "hovermode": "closest", "separators": ".,"}
    return go.Figure({"data": traces, "layout": frame | layout | {"xaxis": x, "yaxis": axis | y}})
