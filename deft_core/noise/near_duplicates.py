"""Near duplicates: prompts alike and responses alike, by the true Jaccard similarity of their word shingles.

The best response and the others have shingles of their own, so that a pair whose sides were exchanged is no duplicate. Of exact duplicates
the first alone takes part. Each row of a group is alike to the group's first row, which stays when the others are dropped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deft_core.noise import groups
from deft_core.noise.batch import Batch
from deft_core.noise.shingles import HIGH, Hashed, hashed, sets
from deft_core.noise.signal import Signal
from deft_core.noise.sketches import ALIKE, Sketches

__all__ = ["SIGNAL", "NearDuplicates"]

SIGNAL = Signal(
    "near_duplicate",
    "Near duplicates",
    f"Prompt and answers share at least {ALIKE:.0%} of their three-word runs with the first row of the group.",
    "all but one",
)
_OTHERS = 0xD1B54A32D192ED03  # tells the shingles of other responses from those of the best


class NearDuplicates:
    note = ""

    def __init__(self, scratch: Path) -> None:
        self._sketches = Sketches(scratch / SIGNAL.name)
        self._keys: list[npt.NDArray[np.uint64]] = []

    def add(self, batch: Batch) -> None:
        rows = np.arange(len(batch))
        best = hashed([texts[0] for texts in batch.normal_responses], rows)
        parts = [batch.prompt_shingles.salted(0, np.uint64(0)), best.salted(0, HIGH), _others(batch).salted(_OTHERS, HIGH)]
        self._sketches.add(sets(parts, len(batch)))
        self._keys.append(batch.row_keys)

    def column(self) -> pa.Array:
        """The group's number."""
        self._sketches.finish()
        keys = np.concatenate(self._keys)
        first = np.unique(groups.by_key(keys))
        return groups.numbered(groups.led(len(keys), self._sketches.candidates(first), self._sketches.alike))


def _others(batch: Batch) -> Hashed:
    texts = [text for responses in batch.normal_responses for text in responses[1:]]
    return hashed(texts, np.repeat(np.arange(len(batch)), [len(responses) - 1 for responses in batch.normal_responses]))
