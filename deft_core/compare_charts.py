"""Curves of several runs over one another: by step, by what they have read, or by the time it took. Pure: Curves in, drawings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deft_core.charts import COLOURS
from deft_core.run_charts import POINTS, Drawing, Line, Part, View, drawing
from deft_core.runs.curves import Curves, smoothed, thinned
from deft_core.runs.spec import Run

__all__ = ["ACROSS", "PANELS", "ROLES", "Over", "Panel", "across", "figure", "styles"]

ROLES = {
    "run": COLOURS["kept"],
    "random": COLOURS["random"],
    "full": COLOURS["full"],
    "unguided": COLOURS["chosen"],
    "base": COLOURS["base"],
}
OTHERS = (COLOURS["rejected"], COLOURS["dropped"], COLOURS["chosen"], COLOURS["base"])  # of runs of other groups
DASHES = ("solid", "dash", "dot", "dashdot")
ACROSS = {"step": "steps", "tokens": "tokens", "training": "seconds", "all": "seconds + scoring"}  # as short as a narrow page needs


@dataclass(frozen=True)
class Panel:
    title: str
    look_for: str  # in one sentence
    column: str
    part: Part
    heldout: bool = True  # a figure of the evaluations with its band; else a number of each step


PANELS = (
    Panel(
        "Loss",
        "Runs of one method and rows of one kind compare; on other rows a lower loss may only mean easier rows.",
        "loss",
        Part("loss", ()),
        False,
    ),
    Panel(
        "Accuracy, held out",
        "What decides: the run should end above its random control by more than their bands overlap.",
        "accuracy_implicit",
        Part("share of pairs", (), "percent", level=0.5),
    ),
    Panel(
        "Margin, held out",
        "How far chosen and rejected answers are moved apart; more is not better where KL grows with it.",
        "margin",
        Part("margin", (), level=0.0),
    ),
    Panel(
        "R of chosen answers, held out",
        "Guidance pushes R up by itself; without a gain in accuracy that is worth nothing.",
        "reward_chosen",
        Part("R", ()),
    ),
    Panel(
        "KL to the base, held out",
        "What the gain has cost: at equal accuracy the run with the smaller KL is the better one.",
        "kl",
        Part("nats a token", ()),
    ),
)


@dataclass(frozen=True, eq=False)
class Over:
    """One run among those that are drawn."""

    name: str
    run: Run
    curves: Curves
    colour: str
    dash: str = "solid"


def styles(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """(colour, dash) of each: the first one's group by role, all others apart from one another."""
    found: list[tuple[str, str]] = []
    spare = [(colour, dash) for dash in DASHES for colour in OTHERS]
    for run in runs:
        own = (ROLES[run.role], "solid")
        if run.group != runs[0].group or own in found:
            own = next((one for one in spare if one not in found), spare[0])
        found.append(own)
    return found


def across(over: Over, steps: npt.NDArray[np.int64], by: str) -> npt.NDArray[np.floating | np.integer]:
    """Where these steps stand on an axis of ACROSS. With all seconds a run that was chosen by scores begins after scoring."""
    if by == "step":
        return steps
    settings = over.run.settings
    seconds, tokens = over.curves.cost(over.run.rows, settings.rows_per_step)
    summed = np.concatenate([[0.0], tokens if by == "tokens" else seconds])
    begun = (over.run.scoring_seconds or 0.0) if by == "all" else 0.0
    return begun + summed[np.searchsorted(over.curves.training.steps, steps, "right")]


def figure(panel: Panel, overs: Sequence[Over], by: str, span: int = 1) -> Drawing | None:
    """None where no run has numbers of this panel."""
    lines = [line for over in overs for line in _line(panel, over, by, span)]
    if not lines:
        return None
    return drawing([(panel.part, lines)], View(), unit=ACROSS[by], legend=False)


def _line(panel: Panel, over: Over, by: str, span: int) -> list[Line]:
    if panel.heldout:
        band = over.curves.band(panel.column)
        steps, value, low, high = band.steps, band.value, band.low, band.high
    else:
        steps = over.curves.training.steps
        value = smoothed(over.curves.training.column(panel.column), span)
        low = high = np.full(len(steps), np.nan, np.float32)
    if not len(steps) or not np.isfinite(value).any():
        return []
    kept, _ = thinned(np.arange(len(steps)), value, POINTS)
    line = Line(over.name, across(over, steps[kept], by), value[kept], over.colour, over.dash, points=panel.heldout and len(kept) <= 60)
    known = panel.heldout and bool(np.isfinite(low[kept]).all() and np.isfinite(high[kept]).all())
    return [replace(line, low=low[kept], high=high[kept]) if known else line]
