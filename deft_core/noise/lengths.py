"""Extreme lengths: a prompt, best or worst response far longer or shorter than is usual in the set.

z = (x - median) / (1.4826 MAD) of x = log(1 + characters), over all rows and for each of the three texts apart; MAD is the median distance
from the median, 1.4826 makes it a standard deviation where x is normal. A row is marked where a |z| exceeds EXTREME.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deft_core.noise.batch import Batch
from deft_core.noise.signal import Signal

__all__ = ["EXTREME", "SIGNAL", "ExtremeLengths", "robust_z"]

EXTREME = 3.5  # the usual limit of a "modified z-score" (Iglewicz and Hoaglin, 1993)

SIGNAL = Signal(
    "length",
    "Extreme lengths",
    f"Prompt, chosen or rejected is more than {EXTREME:g} robust standard deviations longer or shorter than usual (on a log scale).",
    "all",
)


def robust_z(values: npt.NDArray[np.float64], of: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """(x - median) / (1.4826 MAD), both taken from `of` (else from the values); 0 everywhere where at least half of `of` is the same."""
    of = values if of is None else of
    of = of[np.isfinite(of)]
    middle = np.median(of) if len(of) else 0.0
    spread = 1.4826 * float(np.median(np.abs(of - middle))) if len(of) else 0.0
    return (values - middle) / spread if spread else np.where(np.isfinite(values), 0.0, np.nan)


class ExtremeLengths:
    note = ""

    def __init__(self) -> None:
        self._characters: list[npt.NDArray[np.int32]] = []

    def add(self, batch: Batch) -> None:
        rows = zip(batch.prompts, batch.responses, strict=True)
        self._characters.append(np.array([(len(prompt), len(texts[0]), len(texts[-1])) for prompt, texts in rows], dtype=np.int32))

    def column(self) -> pa.Array:
        """The z of largest size among the three texts: negative where one is extremely short."""
        characters = np.concatenate(self._characters)  # [N, 3]
        z = np.stack([robust_z(np.log1p(part.astype(np.float64))) for part in characters.T], axis=1)
        largest = z[np.arange(len(z)), np.abs(z).argmax(axis=1)]
        return pa.array(largest, pa.float32(), mask=np.abs(largest) <= EXTREME)
