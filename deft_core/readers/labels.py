"""What a label or a vote says about two answers. Where it could mean either of them it is refused, never guessed.

A label that names its answer is plain: a column's name or ending ("response_a", "A"), "first", "second". A number has to be understood
from the alphabet of the first rows, which a source sorted by its label shows only in part. 1 and 2 together count the answers. 0 and 1
may be positions or "the first is better", which are opposites: only columns that end in 0 and 1, or a label column that names a winner,
decide it, and a lone 1 decides nothing. 0, 1 and 2 have 0 for a tie, but beside a name of winners 2 may be the tie.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from deft_core.preferences import RowRefused
from deft_core.readers.columns import number

__all__ = ["Labels", "meanings", "tokens"]

UNDECIDED = "the label could mean either answer"

_WORDS = {"first": 1, "second": -1, "left": 1, "right": -1, "a": 1, "b": -1}
_TIE = re.compile(r"(tie|tied|equal|same|draw|both|neither|none)\b.*")
_JOINT = re.compile(r"(?<=[a-z])[ _-]+")  # "Response 1" names response_1; the sign of -1 stays
_NAMED = re.compile(r"(?:output|response|answer|completion|conversation|model|assistant|option)[ _-]?([a-z0-9])")
_WINNER = re.compile(r"winner|prefer+ed|better|best|choice|chosen|index|_id$")
_SIGNED = ("overall_preference", "preference_strength")  # HelpSteer's scale: negative prefers the first answer
_OPPOSITES = {"human_ref_a": {"1": 1, "0": -1}}  # SHP documents 1 as "the first is better"


@dataclass(frozen=True)
class Labels:
    """How to read the label column of one source."""

    column: str
    table: dict[str, int]  # by token: 1 the first is better, -1 the second, 0 a tie

    def outcome(self, value: Any) -> int:
        """1 or -1; RowRefused where nothing is preferred or nobody can tell what is."""
        if value is None or value in ("", [], {}):
            raise RowRefused("there is no label")
        if isinstance(value, dict | list):
            return self._majority(value)
        if not (outcome := self._vote(value)):
            raise RowRefused("the label is a tie: nothing is preferred")
        return outcome

    def _majority(self, votes: dict[str, Any] | list[Any]) -> int:
        balance = self._balance(votes) if isinstance(votes, dict) else sum(map(self._vote, votes))
        if not balance:
            raise RowRefused("the annotators' votes are tied")
        return 1 if balance > 0 else -1

    def _balance(self, votes: dict[str, Any]) -> int:
        """Of a count by answer, or of a vote by annotator. Two numbers for the keys "1" and "2" may be either."""
        if all(self._meaning(key) is not None for key in votes) and all(type(count) is int for count in votes.values()):
            if len(votes) == 2 and all(key.isdigit() for key in votes):
                raise RowRefused(UNDECIDED, repr(votes)[:80])
            if not all(key.isdigit() for key in votes):
                return sum(self._vote(key) * count for key, count in votes.items())
        return sum(map(self._vote, votes.values()))

    def _vote(self, value: Any) -> int:
        if value is None:
            return 0
        if self.column in _SIGNED and (strength := number(value)) is not None:
            return (strength < 0) - (strength > 0)
        outcome = self._meaning(value)
        if outcome is None:
            raise RowRefused(UNDECIDED, repr(value)[:80])
        return outcome

    def _meaning(self, value: Any) -> int | None:
        found = token(value)
        if _TIE.fullmatch(found):
            return 0
        return self.table.get(_spelled(value), self.table.get(found))


def meanings(first: str, second: str, label: str, seen: Set[str]) -> dict[str, int]:
    """What each token means, given the answer columns, the label's column and the tokens of the first rows."""
    return {**_WORDS, _spelled(first): 1, _spelled(second): -1, **_numbers(first, label, seen)}


def tokens(value: Any) -> set[str]:
    """Every vote in a label."""
    if isinstance(value, dict):
        value = list(value.values())
    return {token(vote) for vote in (value if isinstance(value, list) else [value]) if vote is not None}


def token(value: Any) -> str:
    """The form labels are compared in: "Response_A" is "a", 1.0 and "1" are "1"."""
    if (found := number(value)) is not None and found.is_integer():
        return str(int(found))
    text = str(value).strip().lower()
    named = _NAMED.fullmatch(text)
    return named[1] if named else text


def _spelled(value: Any) -> str:
    return _JOINT.sub("", str(value).strip().lower())


def _numbers(first: str, label: str, seen: Set[str]) -> dict[str, int]:
    digits = {token for token in seen if token.lstrip("-").isdigit()}
    if first.lower() in _OPPOSITES:
        return _OPPOSITES[first.lower()]
    if first.endswith("0"):
        return {"0": 1, "1": -1} if digits <= {"0", "1"} else {}
    if digits == {"1", "2"}:
        return {"1": 1, "2": -1}
    if _WINNER.search(label.lower()):
        return {"0": 1, "1": -1} if digits == {"0", "1"} else {}
    return {"0": 0, "1": 1, "2": -1} if "2" in digits and digits <= {"0", "1", "2"} else {}
