"""Texts as sets of hashed word shingles: every run of three words is one number of 64 bits.

A text of fewer than three words is one shingle. Scripts written without spaces (Chinese, Japanese, Thai, ...) take a character for a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["HIGH", "Hashed", "Shingles", "hashed", "jaccards", "sets"]

WORDS = 3
HIGH = np.uint64(1 << 63)  # set in the shingles of responses, clear in those of prompts

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Hashed:
    values: npt.NDArray[np.uint64]  # [S], in the order of the texts, repeats included
    rows: npt.NDArray[np.int64]  # [S], the row each belongs to

    def salted(self, salt: int, half: np.uint64) -> Hashed:
        """Other numbers for the same shingles (unless `salt` is 0), all in one half of the number space (HIGH, or 0)."""
        values = _mixed(self.values ^ np.uint64(salt)) if salt else self.values
        return Hashed((values & ~HIGH) | half, self.rows)


@dataclass(frozen=True)
class Shingles:
    values: npt.NDArray[np.uint64]  # [S], ascending within a row, no repeats
    ends: npt.NDArray[np.int64]  # [N], where the values of each row end


def hashed(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> Hashed:
    """The shingles of normalised texts; `rows` [texts] says which row each text belongs to."""
    split = [_words(text) for text in texts]
    words = np.array([word for text in split for word in text], dtype=object)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in split])
    values = pd.util.hash_array(words) if len(words) else np.empty(0, np.uint64)
    whole = np.flatnonzero(owner[: len(owner) - WORDS + 1] == owner[WORDS - 1 :])
    shingle = np.zeros(len(whole), dtype=np.uint64)
    for place in range(WORDS):
        shingle = _mixed(shingle * _ODD + values[whole + place])
    return Hashed(shingle, rows[owner[whole]])


def _words(text: str) -> list[str]:
    words = (text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)).split()
    return words + [""] * (WORDS - len(words))


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Every bit of the result depends on every bit of the value (the finaliser of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def sets(parts: Sequence[Hashed], count: int) -> Shingles:
    """One set for each of `count` rows, from all parts together."""
    values = np.concatenate([part.values for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    order = np.lexsort((values, rows))
    values, rows = values[order], rows[order]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (rows[1:] != rows[:-1])
    return Shingles(values[fresh], np.cumsum(np.bincount(rows[fresh], minlength=count)))


def jaccards(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> tuple[float, float]:
    """|A ∩ B| / |A ∪ B| of the lower and of the HIGH halves of two sets (ascending, no repeats); 1 where both have nothing there."""
    common = np.intersect1d(a, b, assume_unique=True)
    low = [int(np.searchsorted(part, HIGH)) for part in (common, a, b)]
    high = [len(part) - below for part, below in zip((common, a, b), low, strict=True)]
    return _ratio(*low), _ratio(*high)


def _ratio(common: int, a: int, b: int) -> float:
    return common / (a + b - common) if a + b else 1.0
