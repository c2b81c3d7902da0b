"""The table of a comparison: a line a figure, a column a run, differences to the first one; as HTML of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deft_core.charts import COLOURS
from deft_core.comparing import JUDGE, Comparison, Line
from deft_core.measures import MEASURES
from deft_core.status import duration
from pages.shared import widgets

SHARES = ("accuracy_implicit", "accuracy_logp", "win_rate", JUDGE, "distinct_2", "distinct_2_within", "refusal_rate")
SECTIONS = {"alignment": "Alignment, on held-out prompts", "generalisation": "Generalisation", "cost": "Cost"}
COSTS = {
    "scoring_seconds": "scoring the dataset",
    "training_seconds": "training",
    "evaluation_seconds": "evaluation",
    "total_seconds": "all of it",
    "training_tokens": "tokens read in training",
    "training_peak_bytes": "peak of memory, training",
    "evaluation_peak_bytes": "peak of memory, evaluation",
}
STYLE = """<style>
.compared {border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums}
.compared td, .compared th {border: none; border-bottom: 1px solid rgba(128, 128, 128, .25)}
.compared td, .compared th {padding: .3rem .9rem .3rem 0; vertical-align: top}
.compared td:not(:first-child), .compared th:not(:first-child) {text-align: right; min-width: 8.5rem}
.compared td:first-child {min-width: 13rem; max-width: 22rem}
.compared th.section {text-align: left; padding-top: 1.1rem; font-size: .95rem}
.compared small {opacity: .7; display: block; font-size: .76rem; line-height: 1.3}
.compared small.moved {opacity: 1}
@media (max-width: 900px) {
  .compared td:first-child {min-width: 6rem}
  .compared td:first-child small {display: none}  /* the words stay under the pointer */
  .compared td:not(:first-child), .compared th:not(:first-child) {min-width: 6.5rem; padding-right: .5rem}
}
</style>"""


@dataclass(frozen=True)
class Named:
    """A column."""

    name: str
    about: str  # its role
    colour: str
    scored: bool = True  # whether its rows were chosen by scores


def html(found: Comparison, named: Mapping[str, Named]) -> str:
    lines = {(line.measure, line.run): line for line in found.table}
    rows, section = [], ""
    for measure in dict.fromkeys(line.measure for line in found.table):
        cells = [lines.get((measure, run)) for run in found.runs]
        own = next(line.section for line in cells if line)
        if own != section:
            section = own
            rows.append(f'<tr><th class="section" colspan="{len(found.runs) + 1}">{SECTIONS[section]}</th></tr>')
        told = "".join(_cell(line, cells[0], named[run]) for line, run in zip(cells, found.runs, strict=True))
        rows.append(f"<tr><td>{_title(measure)}</td>{told}</tr>")
    head = "".join(_head(named[run], place) for place, run in enumerate(found.runs))
    return f'{STYLE}<div style="overflow-x:auto"><table class="compared"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _head(one: Named, place: int) -> str:
    about = "differences are to this one" if place == 0 else one.about
    return (
        f'<th><span style="border-bottom:3px solid {one.colour}">{widgets.html(one.name)}</span><small>{widgets.html(about)}</small></th>'
    )


def _title(measure: str) -> str:
    words = COSTS.get(measure) or (MEASURES[measure].words if measure in MEASURES else "the judge's own accuracy on held-out pairs")
    name = "" if measure in COSTS else f"{measure.replace('_', ' ')}"
    return f'<span title="{widgets.html(words)}">{name}</span><small>{widgets.html(words)}</small>' if name else widgets.html(words)


def _cell(line: Line | None, first: Line | None, one: Named) -> str:
    if line is None or line.value is None:
        lacks = "not needed" if line and line.measure == "scoring_seconds" and not one.scored else "–"
        return f"<td>{lacks}</td>"
    if line.section == "cost":
        return f"<td>{_cost(line)}{_times(line, first)}</td>"
    interval = f"<small>{_plain(line.measure, line.low)} … {_plain(line.measure, line.high)}</small>" if line.low is not None else ""
    return f"<td>{_plain(line.measure, line.value, unit=True)}{interval}{_difference(line)}</td>"


def _plain(measure: str, value: float | None, unit: bool = False) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}{' %' if unit else ''}" if measure in SHARES else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _difference(line: Line) -> str:
    """+3.1 points, with its interval; an arrow where that is wholly on one side of 0 and one side is the better one."""
    if line.difference is None:
        return ""
    if (line.difference, line.difference_low, line.difference_high) == (0, 0, 0):
        return "<small>the same</small>"
    scale, words = (100.0, " points") if line.measure in SHARES else (1.0, "")
    value, low, high = (_signed(end, scale) for end in (line.difference, line.difference_low, line.difference_high))
    told = f"{value}{words}" + (f" [{low}, {high}]" if line.difference_low is not None else "")
    side = _side(line)
    if not side:
        return f"<small>{told}</small>"
    colour, arrow = (COLOURS["chosen"], "▲ better") if side == "better" else (COLOURS["rejected"], "▼ worse")
    return f'<small class="moved">{told} <span style="color:{colour};font-weight:600">{arrow}</span></small>'


def _signed(value: float | None, scale: float) -> str:
    if value is None:
        return "–"
    return f"{scale * value:+.1f}" if scale == 100 else f"{value:+.3g}"


def _side(line: Line) -> str:
    """better | worse than the first one, beyond chance; empty where that is not told, or nobody can say which is the better."""
    if line.better is None or line.difference_low is None or line.difference_high is None:
        return ""
    up, down = ("better", "worse") if line.better == "higher" else ("worse", "better")
    return up if line.difference_low > 0 else down if line.difference_high < 0 else ""


def _cost(line: Line) -> str:
    assert line.value is not None
    if line.measure.endswith("_seconds"):
        return duration(line.value)
    return f"{line.value / 1e9:,.2f} GB" if line.measure.endswith("_bytes") else f"{line.value:,.0f}"


def _times(line: Line, first: Line | None) -> str:
    """How many times the first one's."""
    if first is None or first is line or not first.value or line.value is None:
        return ""
    times = f"{line.value / first.value:,.2g}"
    return f"<small>{'about the same' if times == '1' else f'{times} times'}</small>"
