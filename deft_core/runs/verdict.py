"""What came of a run, in words: beside its random control and the others of its group, or beside its base model. Pure.

What decides is accuracy_implicit alone, so that nobody picks the figure that pleases after the fact: better or worse where the 95 %
interval of the difference, paired by prompt, is wholly on one side of 0, else no difference beyond chance. The others follow with theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deft_core.comparing import BASE, Comparison, Line
from deft_core.intervals import Figure
from deft_core.measures import MEASURES
from deft_core.status import duration

__all__ = ["NAMES", "STATES", "Verdict", "beside_base", "beside_others", "words"]

STATES = ("better", "worse", "no difference", "unknown")
NAMES = {  # role: what it is called behind "than"
    "random": "one draw of as many random rows",
    "full": "the full set",
    "unguided": "the same rows without guidance",
    "run": "the run it is held against",
    BASE: "its base model",
}
DECIDES, _POINTS = "accuracy_implicit", ("accuracy_implicit", "accuracy_logp", "win_rate")  # shares, told in points of a hundred
_ALSO = ("margin", "win_rate")  # told where the difference is beyond chance
_FEW = (
    30  # prompts: of fewer, a percentile bootstrap is clearly too narrow (sqrt((n - 1) / n), and normal where t would be: Hesterberg 2015)
)
_PERPLEXITY, _SECONDS = "perplexity_neutral", "total_seconds"


@dataclass(frozen=True)
class Verdict:
    """A run beside one other."""

    state: str  # one of STATES, by DECIDES
    other: str  # a run's id, or BASE
    role: str  # of the other: one of NAMES, or "" for any other run
    words: str  # a sentence


def words(comparison: Comparison, roles: Mapping[str, str] | None = None) -> str:
    """The first run beside each other one, a sentence each; `roles` (run id -> role) say what the others are."""
    return " ".join(one.words for one in beside_others(comparison, roles))


def beside_others(comparison: Comparison, roles: Mapping[str, str] | None = None) -> list[Verdict]:
    """In the order of NAMES, then runs without a role; the base only where there is nothing else."""
    known, order = {BASE: BASE} | dict(roles or {}), [*NAMES, ""]
    first, *others = comparison.runs
    others = [other for other in others if other != BASE] or others
    by_role = sorted(others, key=lambda other: order.index(known.get(other, "")))
    return [_beside(comparison, first, other, known.get(other, "")) for other in by_role]


def beside_base(figures: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """A run alone, from the figures of its evaluation (name -> base, tuned, difference; see measures.figures)."""
    gained = {name: Figure(**found["difference"]) for name, found in figures.items() if found.get("difference")}
    sides = figures.get(_PERPLEXITY, {})
    levels = (sides["tuned"]["value"], sides["base"]["value"]) if sides.get("tuned") and sides.get("base") else None
    return _verdict(BASE, BASE, gained, levels, "")


def _beside(comparison: Comparison, first: str, other: str, role: str) -> Verdict:
    lines = {(line.measure, line.run): line for line in comparison.table}
    theirs = {measure: line for (measure, run), line in lines.items() if run == other}
    gained = {name: _turned(line) for name, line in theirs.items() if line.difference is not None}
    own = lines.get((_PERPLEXITY, first))
    levels = (own.value, theirs[_PERPLEXITY].value) if own and _PERPLEXITY in theirs else None
    return _verdict(other, role, gained, levels, _cost(lines.get((_SECONDS, first)), theirs.get(_SECONDS), role))


def _turned(line: Line) -> Figure:
    """What the first run has over the other: a table has the other minus the first."""
    low, high = (None if end is None else -end for end in (line.difference_high, line.difference_low))
    return Figure(None if line.difference is None else -line.difference, low, high, line.prompts or 0)


def _verdict(other: str, role: str, gained: Mapping[str, Figure], levels: tuple[float | None, float | None] | None, cost: str) -> Verdict:
    name, decides = NAMES.get(role, other), gained.get(DECIDES, Figure(None, None, None, 0))
    state = _state(decides)
    if state == "unknown":
        return Verdict(state, other, role, f"Beside {name} nothing can be told: they have too few held-out prompts in common.")
    begin = f"No difference beyond chance from {name}" if state == "no difference" else f"{state.capitalize()} than {name}"
    few = ": so few that the interval is too narrow" if decides.prompts < _FEW else ""
    parts = [f"{begin}: {_told(DECIDES, decides)} ({decides.prompts:,} prompts{few})"]
    parts += [_told(also, gained[also]) for also in _ALSO if also in gained and _state(gained[also]) in ("better", "worse")]
    parts += [_perplexity(gained[_PERPLEXITY], levels)] if _PERPLEXITY in gained and levels and all(levels) else []
    return Verdict(state, other, role, "; ".join([*parts, cost] if cost else parts) + ".")


def _state(gained: Figure) -> str:
    """Of a figure of which more is better."""
    if gained.low is None or gained.high is None:
        return "unknown"
    return "better" if gained.low > 0 else "worse" if gained.high < 0 else "no difference"


def _told(name: str, gained: Figure) -> str:
    """A difference with its interval: accuracy_implicit +3.1 points, 95 % interval 0.4 to 5.8."""
    assert name in MEASURES and gained.value is not None and gained.low is not None and gained.high is not None
    if name in _POINTS:
        value, low, high = (f"{100 * number:{sign}z.1f}" for number, sign in ((gained.value, "+"), (gained.low, ""), (gained.high, "")))
        return f"{name} {value} points, 95 % interval {low} to {high}"
    return f"{name} {gained.value:+z.3g}, 95 % interval {gained.low:z.3g} to {gained.high:z.3g}"


def _perplexity(gained: Figure, levels: tuple[float | None, float | None]) -> str:
    """As a share of the other's."""
    own, theirs = levels
    assert own and theirs
    beyond = _state(gained) in ("better", "worse")
    return f"perplexity on neutral text {100 * (own / theirs - 1):+z.1f} %" + ("" if beyond else ", no difference beyond chance")


def _cost(own: Line | None, theirs: Line | None, role: str) -> str:
    """Time against that of the full set, scoring included."""
    if role != "full" or not own or not theirs or not own.value or not theirs.value:
        return ""
    return f"in {duration(own.value)} instead of {duration(theirs.value)}, scoring and evaluation included"
