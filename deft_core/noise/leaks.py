"""Leaks: prompts of training rows that are also, or nearly, prompts of held-out or judge rows.

An import splits by the first user turn, so that the same opening is never on two sides; this finds what that misses: a source's own
splits, other case or white space, a few words changed. Both sides of a leak are marked, with one number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deft_core.noise import groups
from deft_core.noise.batch import Batch
from deft_core.noise.shingles import sets
from deft_core.noise.signal import Signal
from deft_core.noise.sketches import ALIKE, Sketches

__all__ = ["SIGNAL", "Leaks"]

SIGNAL = Signal(
    "leak",
    "Leaking prompts",
    f"The prompt, or one with at least {ALIKE:.0%} of its three-word runs, is both in training and in held-out or judge rows.",
    "training",
)


class Leaks:
    note = ""

    def __init__(self, scratch: Path) -> None:
        self._sketches = Sketches(scratch / SIGNAL.name)
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._training: list[npt.NDArray[np.bool_]] = []

    def add(self, batch: Batch) -> None:
        self._sketches.add(sets([batch.prompt_shingles.salted(0, np.uint64(0))], len(batch)))
        self._keys.append(batch.prompt_keys)
        self._training.append(np.array([split == "train" for split in batch.splits], dtype=bool))

    def column(self) -> pa.Array:
        """The leak's number."""
        self._sketches.finish()
        same = groups.by_key(np.concatenate(self._keys))  # row -> the first row with its prompt
        training = np.concatenate(self._training)
        on = {side: np.bincount(same[training == side], minlength=len(same)) > 0 for side in (True, False)}
        leaks = _joined(same, self._across(on[True], on[False], np.unique(same)))
        both = np.bincount(leaks[training], minlength=len(leaks)) * np.bincount(leaks[~training], minlength=len(leaks)) > 0
        return groups.numbered(np.where(both[leaks], leaks, np.arange(len(leaks))))

    def _across(self, train: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], prompts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Pairs of different prompts, one of each side, that are alike."""
        pairs = self._sketches.candidates(prompts)
        a, b = pairs[:, 0], pairs[:, 1]
        crossing = pairs[(train[a] & other[b]) | (other[a] & train[b])]
        return [(a, b) for a, b in crossing.tolist() if self._sketches.alike(a, b)]


def _joined(same: npt.NDArray[np.int64], pairs: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """The groups of `same` (each named by its first row) with those joined that a pair connects."""
    parent = {row: row for pair in pairs for row in pair}

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    joined = np.arange(len(same))
    for row in parent:
        joined[row] = root(row)
    return joined[same]
