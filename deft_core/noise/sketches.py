"""MinHash sketches of shingle sets, and from them the pairs of rows that may be alike. Sketches and sets lie on disk, so that
memory holds eight bytes a row and a pair.

A sketch has 125 numbers (rensa's R-MinHash: two sets agree in each with the probability of their Jaccard similarity J) in 25 bands of 5.
Rows that agree in a whole band are candidates, so a pair is found with 1 - (1 - J^5)^25: 99 % at J = 0.7, 55 % at 0.5, 6 % at 0.3. In a
band each row is compared with the next WINDOW rows that agree with it, so that a template shared by a million rows stays affordable.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rensa

from deft_core.noise.shingles import Shingles, jaccards

__all__ = ["ALIKE", "Sketches"]

ALIKE = 0.7  # Jaccard similarity of the true sets, from which on two texts are near duplicates
BANDS, BAND_NUMBERS, SEED = 25, 5, 1
WINDOW = 8


class Sketches:
    """Rows are added in order; after `finish` they can be asked about by their number."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._lengths: list[npt.NDArray[np.int64]] = []

    def add(self, shingles: Shingles) -> None:
        starts = np.concatenate([[0], shingles.ends]).astype(np.uint64)
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(shingles.values, starts, BANDS * BAND_NUMBERS, SEED)
        digests = np.array(matrix.to_rows(), dtype=np.uint64).reshape(-1, BANDS, BAND_NUMBERS)
        keys = np.zeros(digests.shape[:2], dtype=np.uint64)  # [N, BANDS]
        for number in range(BAND_NUMBERS):
            keys = (keys ^ digests[:, :, number]) * np.uint64(0x100000001B3)  # FNV-1a over the band's numbers
        for band in range(BANDS):
            self._append(f"band-{band:02}", keys[:, band])
        self._append("sets", shingles.values)
        self._lengths.append(np.diff(shingles.ends, prepend=0))

    def _append(self, name: str, values: npt.NDArray[np.uint64]) -> None:
        with (self.folder / name).open("ab") as file:
            values.tofile(file)

    def finish(self) -> None:
        self._offsets = np.cumsum(np.concatenate([[0], *self._lengths]))

    def candidates(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[P, 2]: pairs a < b among `rows` (ascending) that agree in a band, by b, then a."""
        count = len(self._offsets)
        codes = np.empty(0, dtype=np.int64)
        for band in range(BANDS):
            keys = np.fromfile(self.folder / f"band-{band:02}", dtype=np.uint64)[rows]
            order = np.argsort(keys, kind="stable")
            codes = np.union1d(codes, _within(keys[order], rows[order], count))
        return np.stack([codes % count, codes // count], axis=1)

    def jaccards(self, a: int, b: int) -> tuple[float, float]:
        """Of the true sets: of their prompts and of their responses (1 where they hold none)."""
        return jaccards(self._set(a), self._set(b))

    def alike(self, a: int, b: int) -> bool:
        return min(self.jaccards(a, b)) >= ALIKE

    def _set(self, row: int) -> npt.NDArray[np.uint64]:
        start, end = self._offsets[row : row + 2].tolist()
        return np.fromfile(self.folder / "sets", dtype=np.uint64, count=end - start, offset=8 * start)  # a memory map would stay in memory


def _within(keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """b * count + a for rows that stand at most WINDOW places apart under the same key; `keys` ascending."""
    found = [np.empty(0, dtype=np.int64)]
    for gap in range(1, min(WINDOW + 1, len(keys))):
        same = np.flatnonzero(keys[gap:] == keys[:-gap])
        if not len(same):
            break
        found.append(rows[same + gap] * count + rows[same])
    return np.concatenate(found)
