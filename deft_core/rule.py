"""A rule: which rows are kept, by which column, and how many of them. Checked when it is made; knows nothing of tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from deft_core.errors import InputError

__all__ = ["CUT_DIGITS", "KEEPS", "LENGTH", "STRATA", "WITHIN", "Rule", "usual", "words"]

KEEPS = ("highest", "lowest", "middle", "random", "stratified", "range")
STRATA = ("source", "length")
LENGTH = "characters_chosen"  # a column that every dataset has
WITHIN = ("highest", "lowest", "random")
CUT_DIGITS = 5  # significant ones, of a cut wherever it is shown
_AMOUNTS = ("fraction", "count", "value", "low", "high")
_FRACTIONS = ("fraction", "value", "low", "high")
_KINDS: dict[str, tuple[type, ...]] = dict.fromkeys(_FRACTIONS, (int, float)) | {"count": (int,), "seed": (int,)}  # the rest is text


@dataclass(frozen=True)
class Rule:
    """Exactly one of fraction, count and value says how much is kept; for a range its ends do."""

    keep: str
    by: str = "reward_chosen"  # any column of numbers
    fraction: float | None = None  # of the rows that take part; 0.05 where no amount is given
    count: int | None = None
    value: float | None = None  # highest: at least this; lowest: at most this
    low: float | None = None  # of a range, included; None: open
    high: float | None = None
    where: str = ""  # SQL that a row has to pass to take part
    seed: int = 0  # of chance
    strata: str = "source"  # stratified: by source, or by length in bands of equal numbers
    within: str = "highest"  # stratified: which rows of a stratum

    def __post_init__(self) -> None:
        for name, known in (("keep", KEEPS), ("strata", STRATA), ("within", WITHIN)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} as one of {', '.join(known)}", repr(getattr(self, name)), "Choose one of them.")
        if not self.by:
            raise InputError("a column of numbers to go by", "none", "Name one, for example reward_chosen.")
        if not -(2**63) <= self.seed < 2**63:
            raise InputError("a seed of 64 bits", str(self.seed), "Give a smaller one.")
        if self.keep != "range" and not self._given():
            object.__setattr__(self, "fraction", 0.05)
        self._check_amount()

    @property
    def has_cut(self) -> bool:
        """Whether places in the column's ranking decide what is kept, and not chance or strata."""
        return self.keep not in ("random", "stratified")

    @property
    def by_chance(self) -> bool:
        """Whether the seed decides what is kept."""
        return self.keep == "random" or (self.keep, self.within) == ("stratified", "random")

    def _given(self) -> list[str]:
        return [name for name in _AMOUNTS if getattr(self, name) is not None]

    def _check_amount(self) -> None:
        given = self._given()
        allowed = {"range": _AMOUNTS[3:], "highest": _AMOUNTS[:3], "lowest": _AMOUNTS[:3]}.get(self.keep, _AMOUNTS[:2])
        if not given or not set(given) <= set(allowed) or (self.keep != "range" and len(given) > 1):
            needed = "low, high or both" if self.keep == "range" else f"one of {', '.join(allowed)}"
            raise InputError(f"{needed} with {self.keep}", " and ".join(given) or "none", "Give the amount in this way.")
        for name in given:
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"a finite number as {name}", str(getattr(self, name)), "Give a number.")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise InputError("a fraction above 0 and at most 1", f"{self.fraction:g}", "For 5 % give 0.05.")
        if self.count is not None and self.count < 1:
            raise InputError("a count of at least 1", str(self.count), "Give a larger one.")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InputError("a range whose low end is not above its high end", f"{self.low:g} to {self.high:g}", "Exchange the ends.")

    def as_dict(self) -> dict[str, Any]:
        """The settings that matter to what is kept, and no others: rules that say the same are the same dictionary."""
        amounts = {name: float(getattr(self, name)) if name in _FRACTIONS else getattr(self, name) for name in self._given()}
        settings = {"keep": self.keep, "by": self.by} | amounts | {"where": self.where}
        settings |= {"strata": self.strata, "within": self.within} if self.keep == "stratified" else {}
        return settings | ({"seed": self.seed} if self.by_chance else {})

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Rule:
        """The rule a file or an address describes."""
        names = {field.name for field in fields(cls)}
        for name, value in settings.items():
            if name not in names or not isinstance(value, _KINDS.get(name, (str,))) or isinstance(value, bool):
                found = f"{name} = {json.dumps(value, default=str)}"
                raise InputError("a setting of a rule", found, "Mend or remove this setting.")
        if "keep" not in settings:
            raise InputError(f"keep as one of {', '.join(KEEPS)}", "none", "Say which rows the rule keeps.")
        return cls(**settings)


def usual(given: Mapping[str, Any], scored: bool) -> Rule:
    """The rule of some settings; what they leave open is the usual: random rows (docs/study), unless a setting implies something else.

    Without scores chance draws from rows of any length; every other rule needs a column to be named, or scores.
    """
    implied = {"low": "range", "high": "range", "strata": "stratified", "within": "stratified", "by": "highest", "value": "highest"}
    keep = next((meant for name, meant in implied.items() if name in given), "random")
    settings = {"keep": keep} | dict(given)
    return Rule.from_dict({"by": "reward_chosen" if scored or settings["keep"] != "random" else LENGTH} | settings)


def words(rule: Rule) -> str:
    """The rule in a line, for lists: highest 5 % by reward_chosen where source = 'forum'."""
    match rule.keep:
        case "range":
            ends = [f"{sign} {end:.{CUT_DIGITS}g}" for sign, end in (("≥", rule.low), ("≤", rule.high)) if end is not None]
            start = f"{rule.by} {' and '.join(ends)}"
        case "highest" | "lowest" if rule.value is not None:
            start = f"{rule.by} {'≥' if rule.keep == 'highest' else '≤'} {rule.value:.{CUT_DIGITS}g}"
        case "stratified":
            start = f"{rule.within} {_amount(rule)} of each {rule.strata} by {rule.by}"
        case "random":
            start = f"random {_amount(rule)} of those that have {rule.by}"
        case _:
            start = f"{rule.keep} {_amount(rule)} by {rule.by}"
    start = f"all rows that have {rule.by}" if rule.fraction == 1 else start
    return f"{start} where {rule.where}" if rule.where else start


def _amount(rule: Rule) -> str:
    return f"{rule.count:,} rows" if rule.count is not None else f"{100 * (rule.fraction or 0):.4g} %"
