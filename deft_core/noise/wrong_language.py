"""Wrong language: a text in another language than most of the set.

py3langid judges the first CHARACTERS of the best response, the worst response and the prompt, fenced code and addresses left out; a text of
fewer than BYTES or a judgement less sure than SURE does not count. The main language is the one of most judged texts; where it has less
than MAIN of them the set has several languages and nothing is marked.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from deft_core.noise.batch import Batch
from deft_core.noise.signal import Signal

__all__ = ["SIGNAL", "WrongLanguage"]

CHARACTERS, BYTES, SURE, MAIN = 300, 60, 0.95, 2 / 3
NO_LANGUAGE = "zxx"  # py3langid's word for numbers, markup, identifiers

SIGNAL = Signal("wrong_language", "Wrong language", "Prompt, chosen or rejected is in another language than most of the set.", "all")

_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


@cache
def _identifier() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class WrongLanguage:
    note = ""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._judged: list[npt.NDArray[np.int16]] = []

    def add(self, batch: Batch) -> None:
        rows = zip(batch.prompts, batch.responses, strict=True)
        found = [[self._language(text) for text in (texts[0], texts[-1], prompt)] for prompt, texts in rows]
        self._judged.append(np.array(found, dtype=np.int16))

    def _language(self, text: str) -> int:
        """Its number in the order they were met; -1 where it cannot be said."""
        prose = _NOT_PROSE.sub(" ", text[: 4 * CHARACTERS]).strip()[:CHARACTERS]
        if len(prose.encode()) < BYTES:
            return -1
        code, sure = _identifier().classify(prose)
        if sure < SURE or code == NO_LANGUAGE:
            return -1
        return self._codes.setdefault(code, len(self._codes))

    def column(self) -> pa.Array:
        """The code (ISO 639) of the other language."""
        judged = np.concatenate(self._judged)  # [N, 3]
        counts = np.bincount(judged[judged >= 0], minlength=1)
        main, share = int(counts.argmax()), counts.max() / max(counts.sum(), 1)
        names = np.array([*self._codes, ""], dtype=object)
        if not counts.sum() or share < MAIN:
            self.note = "no main language: " + (", ".join(sorted(self._codes)[:10]) or "no text is long enough")
            return pa.nulls(len(judged), pa.string())
        self.note = f"main language {names[main]}, {share:.1%} of {counts.sum():,} texts judged"
        other = (judged >= 0) & (judged != main)
        first = judged[np.arange(len(judged)), other.argmax(axis=1)]
        return pa.array(names[first], pa.string(), mask=~other.any(axis=1))
