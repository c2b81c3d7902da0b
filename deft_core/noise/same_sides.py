"""Near-identical sides: the first best and the worst response differ in a few characters.

Similarity is 1 - d / max(length) with d the Levenshtein distance of the normalised texts (rapidfuzz).
"""

from __future__ import annotations

import pyarrow as pa
from rapidfuzz.distance import Levenshtein

from deft_core.noise.batch import Batch
from deft_core.noise.signal import Signal

__all__ = ["SAME", "SIGNAL", "SameSides"]

SAME = 0.9

SIGNAL = Signal(
    "same_sides",
    "Near-identical sides",
    f"Chosen and rejected are at least {SAME:.0%} the same, character by character: hardly anything is preferred.",
    "all",
)


class SameSides:
    note = ""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []

    def add(self, batch: Batch) -> None:
        found = [Levenshtein.normalized_similarity(texts[0], texts[-1], score_cutoff=SAME) for texts in batch.normal_responses]
        self._chunks.append(pa.array(found, pa.float32(), mask=[value == 0 for value in found]))  # 0: below the cut-off

    def column(self) -> pa.Array:
        """The similarity, SAME or more."""
        return pa.concat_arrays(self._chunks)
