"""What a noise signal is: a name, a column with a value in exactly those rows it is about, and what is usually done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from deft_core.noise.batch import Batch

__all__ = ["Gatherer", "Signal"]


@dataclass(frozen=True)
class Signal:
    name: str
    title: str
    meaning: str  # one sentence for people
    action: str  # actions.meant says which rows that is: "all but one" of a group, "training" rows, "all", or "flip"

    @property
    def column(self) -> str:
        """Without a value (null) where the row is not meant."""
        return f"noise_{self.name}"


class Gatherer(Protocol):
    """Takes the rows in order, batch by batch, then says what it found."""

    note: str  # what was found out about the whole set, in words; "" where nothing is to be said; set by `column`

    def add(self, batch: Batch) -> None: ...

    def column(self) -> pa.Array: ...
