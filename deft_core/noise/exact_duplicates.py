"""Exact duplicates: the same roles, prompt, responses and ranks once case and white space are set aside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deft_core.noise import groups
from deft_core.noise.batch import Batch
from deft_core.noise.signal import Signal

__all__ = ["SIGNAL", "ExactDuplicates"]

SIGNAL = Signal(
    "exact_duplicate",
    "Exact duplicates",
    "The same prompt and the same answers in the same order, whatever the case and the white space.",
    "all but one",
)


class ExactDuplicates:
    note = ""

    def __init__(self) -> None:
        self._keys: list[npt.NDArray[np.uint64]] = []

    def add(self, batch: Batch) -> None:
        self._keys.append(batch.row_keys)

    def column(self) -> pa.Array:
        """The group's number."""
        return groups.numbered(groups.by_key(np.concatenate(self._keys)))
