"""Rows in an order, of which a mask leaves some. A page shows 25 of a million: they are looked for block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deft_core.selection import Ints, Mask

__all__ = ["Ordered"]

BLOCK = 65_536


@dataclass(frozen=True, eq=False)
class Ordered:
    order: Ints  # positions of rows, each once
    left: Mask | None = None  # by position [N], none of them outside of the order; None leaves all

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def _rows(self) -> int:
        return len(self.order) if self.left is None else int(np.count_nonzero(self.left))

    def some(self, start: int, rows: int) -> Ints:
        """Positions of so many rows from a place on; fewer at the end."""
        if self.left is None:
            return self.order[start : start + rows]
        found, passed = [self.order[:0]], 0
        for block in self._blocks(self.left):
            found.append(block[max(0, start - passed) :])
            passed += len(block)
            if passed >= start + rows:
                break
        return np.concatenate(found)[:rows]

    def _blocks(self, left: Mask) -> Iterator[Ints]:
        for start in range(0, len(self.order), BLOCK):
            block = self.order[start : start + BLOCK]
            yield block[left[block]]

    def place(self, row: int) -> int:
        """Where the row at this position stands among those that are left; -1 where it is none of them."""
        at = np.flatnonzero(self.order == row)
        if not len(at) or (self.left is not None and not self.left[row]):
            return -1
        return int(at[0] if self.left is None else np.count_nonzero(self.left[self.order[: at[0]]]))
