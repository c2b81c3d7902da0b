"""What every container yields, and the parts of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deft_core.preferences import RowRefused

__all__ = ["Part", "Row"]


@dataclass(slots=True)
class Row:
    """One row as it stands in the source: an object, or the reason why it is none."""

    line: int  # of the row's first line in text, the row's number in a table; both from 1
    record: dict[str, Any] | None
    original: str | None  # its text; None in a table, whose rows have no text
    problem: RowRefused | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One file, or one split of a saved or hosted dataset."""

    name: str  # as refused rows name it
    rows: Callable[[], Iterator[Row]]
    source: str | None = None  # what its rows come from, where they do not say so themselves
    split: str | None = None  # one of SPLITS, where the part is one by its name
    is_split: bool = False  # one split of a source that is divided into them
