"""Charts that filter: what is drawn on one becomes a filter in the address, and narrows the table and all other charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from deft_core import charts
from deft_core.filters import Between, Box, Filter, Inside, OneOf, Where, mask
from deft_core.queries import Column, View
from deft_core.selection import Ints, Mask
from pages.shared import count_resources, resources, state
from pages.shared.count_resources import Part, Tally, categories, part_of, tally
from pages.shared.resources import Decided

Found = TypeVar("Found")
Floats = npt.NDArray[np.float64]
Outline = tuple[tuple[float, float], ...]

HEIGHT, SMALL_HEIGHT = 300, 210
_BUTTONS = ["toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]
_TOOLS = {"displaylogo": False, "modeBarButtonsToRemove": _BUTTONS, "showAxisRangeEntryBoxes": False}


@dataclass(frozen=True)
class Look:
    """What one run of a page draws from: all rows of a view, and which of them its filters leave."""

    view: View
    version: resources.Version
    table: pd.DataFrame
    columns: list[Column]
    rules: list[Filter]
    decided: Decided = field(default_factory=Decided)  # what was decided about the rows; the table has its flips and its MARKS

    @property
    def shows(self) -> tuple[object, ...]:
        """Changes whenever a chart may."""
        return self.version, self.decided.through, self.rules

    @cached_property
    def _masks(self) -> list[Mask]:
        run = [rule for rule in self.rules if not isinstance(rule, Where) or state.allowed(rule.sql)]
        found = resources.found(self.version, self.view, self.table, run)
        return [mask(self.table, [rule], found) for rule in self.rules]

    @cached_property
    def left(self) -> Mask:
        passed = self.shown()
        return np.ones(len(self.table), dtype=bool) if passed is None else passed

    def shown(self, but: Sequence[Filter] = ()) -> Mask | None:
        """The rows that pass all filters, or all but some: a chart is not narrowed by what was drawn on itself. None: all rows do."""
        masks = [passed for rule, passed in zip(self.rules, self._masks, strict=True) if rule not in but]
        return self._once(("shown", *map(id, masks)), lambda: np.asarray(reduce(np.logical_and, masks))) if masks else None

    def part(self, but: Sequence[Filter] = ()) -> Part | None:
        """Those rows, to be counted. None: all."""
        passed = self.shown(but)
        return None if passed is None else self._once(("part", id(passed)), lambda: part_of(passed))

    def tally(self, name: str) -> Tally:
        """What the values of the rows that are left come to."""
        return self._once(("tally", name), lambda: tally(self.version, name, self.table, self.part()))

    def _once(self, key: tuple[object, ...], work: Callable[[], Found]) -> Found:
        """What several charts of one run ask for."""
        if key not in self._known:
            self._known[key] = work()
        found: Found = self._known[key]
        return found

    @cached_property
    def _known(self) -> dict[tuple[object, ...], Any]:
        return {}

    def forget(self) -> None:
        """Frees what was worked out."""
        for name in ("_masks", "_known", "left"):
            self.__dict__.pop(name, None)

    def named(self, kind: str) -> list[str]:
        return [column.name for column in self.columns if column.kind == kind]


def histogram(
    look: Look, names: dict[str, str], brushed: str, title: str, height: int = SMALL_HEIGHT, parts: Mapping[str, Mask] | None = None
) -> None:
    """Distributions of one or more columns (legend: column); a drawn box becomes a range of `brushed`.

    With `parts` (legend: rows), each is of those rows alone.
    """
    chart = f"histogram-{'-'.join(dict.fromkeys(names.values()))}"

    key = state.drawing_key(chart, *look.shows)

    def drawn() -> None:
        for box in state.take_drawing(chart, key).get("box", [])[:1]:
            new = Between(brushed, *sorted(box["x"]))
            state.replace_filter(lambda rule: isinstance(rule, Between) and rule.column == brushed, new)

    own = [rule for rule in look.rules if isinstance(rule, Between) and rule.column == brushed]
    together = tuple(dict.fromkeys(names.values()))
    axis = resources.axis(look.version, together, look.table)
    series = {legend: _bars(look, name, together, own, parts[legend] if parts else None) for legend, name in names.items()}
    figure = charts.histogram(series, axis, title, drawn=(own[0].low, own[0].high) if own else None)
    figure.update_layout(height=height)
    st.plotly_chart(figure, key=key, on_select=drawn, selection_mode="box", config=_TOOLS, alt=f"Histogram of {title}")


def _bars(look: Look, name: str, together: tuple[str, ...], own: Sequence[Filter], rows: Mask | None) -> charts.Bars:
    """The distribution of a column on the axis of several; what was drawn on the chart itself does not narrow it."""
    part = look.part(but=own)
    if rows is not None:
        passed = look.shown(but=own)
        part = part_of(rows if passed is None else rows & passed)
    return count_resources.bars(look.version, name, together, look.table, part)


def bars(look: Look, name: str) -> None:
    """Rows per category; a click on a bar adds the category to the filter, or takes it out again."""
    chart = f"bars-{name}"
    own = [rule for rule in look.rules if isinstance(rule, OneOf) and rule.column == name]
    picked = own[0].values if own else ()

    key = state.drawing_key(chart, *look.shows)

    def clicked() -> None:
        clicks = [str(point["customdata"]) for point in state.take_drawing(chart, key).get("points", []) if "customdata" in point]
        if not clicks:
            return
        values = tuple(value for value in picked if value not in clicks) + tuple(value for value in clicks if value not in picked)
        state.replace_filter(lambda rule: isinstance(rule, OneOf) and rule.column == name, OneOf(name, values) if values else None)

    counts = categories(look.version, name, look.table, look.part(but=own))
    figure = charts.bars(counts[counts > 0], charts.title(name), picked).update_layout(height=SMALL_HEIGHT)
    st.plotly_chart(
        figure,
        key=key,
        on_select=clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt="Rows per category",
    )


def scatter(look: Look, x: str, y: str, colour: str, draw: Callable[[Ints, Floats, Floats, Outline], go.Figure] | None = None) -> None:
    """One column against another; a box or an outline filters all rows exactly, drawn as points or not.

    `draw` makes another figure of the rows drawn, their two values and what was drawn on it.
    """
    chart = f"scatter-{x}-{y}"

    def is_own(rule: Filter) -> bool:
        return (isinstance(rule, Box) and (rule.x.column, rule.y.column) == (x, y)) or (
            isinstance(rule, Inside) and (rule.x, rule.y) == (x, y)
        )

    key = state.drawing_key(chart, *look.shows)

    def drawn() -> None:
        drawing = state.take_drawing(chart, key)
        new: Filter | None = None
        for box in (drawing.get("box") or [])[:1]:
            new = Box(Between(x, *sorted(box["x"])), Between(y, *sorted(box["y"])))
        for lasso in (drawing.get("lasso") or [])[:1]:
            new = Inside(x, y, tuple(zip(lasso["x"], lasso["y"], strict=True)))
        if new:
            state.replace_filter(is_own, new)

    own = [rule for rule in look.rules if is_own(rule)]
    rows, total = charts.sampled(resources.by_chance(look.version, (x, y), look.table), look.shown(but=own))
    xs, ys = (resources.numbers(look.table, name, rows) for name in (x, y))
    if draw:
        figure = draw(rows, xs, ys, _outline(own))
    else:
        titles = charts.title(x), charts.title(y)
        axes = resources.axis(look.version, (x,), look.table), resources.axis(look.version, (y,), look.table)
        figure = charts.scatter(xs, ys, titles, name=colour, rows=total, outline=_outline(own), axes=axes)
    figure.update_layout(height=HEIGHT)
    st.plotly_chart(figure, key=key, on_select=drawn, selection_mode=("box", "lasso"), config=_TOOLS, alt=f"{y} against {x}")


def _outline(own: Sequence[Filter]) -> Outline:
    match own:
        case [Box(x=x, y=y), *_]:
            return (x.low, y.low), (x.high, y.low), (x.high, y.high), (x.low, y.high)
        case [Inside(outline=outline), *_]:
            return outline
    return ()
