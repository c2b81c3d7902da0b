"""Kinds of tokens that a d can do without: punctuation, stop words, digits, or tokens named one by one.

A token is judged by its text without the space around it, so "␣the" and "the" are one word; half a character is none of the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deft_core.errors import InputError

__all__ = ["KINDS", "STOP_WORDS", "masked"]

KINDS = ("punctuation", "stopwords", "digits")

# English words without a meaning of their own, as tokenizers cut them ("don't" is "don" and "'t"); ours, short on purpose: no "not", "no",
# "can", "should", "please", "sorry", which tell a refusal from an answer.
_WORDS = """
a about after all also am an and any are as at be because been before being both but by did do does doing during each few for from
further had has have having he her here hers him his how i if in into is it its just me more most my of off on once only or other our
out over own s same she so some such t than that the their them then there these they this those through to too under until up ve very
was we were what when where which while who whom why will with would you your yours ll re d m don doesn didn isn
"""
STOP_WORDS = frozenset(_WORDS.split())

Mask = NDArray[np.bool_]

_SPACING = frozenset("␣⏎⇥␍")  # how discrepancy.readable shows it


def masked(table: pd.DataFrame, wanted: Sequence[str]) -> Mask:
    """Which tokens [V] of a discrepancy table (token_id, token, bytes) are of the kinds, texts or ids wanted.

    A whole number is a token id. A text with spacing as it is shown (␣sorry) is that token; one without is every token of that word.
    """
    texts = [_text(token) for token in table["bytes"]]
    mask = np.zeros(len(table), dtype=bool)
    for name in wanted:
        found = _of(table, texts, name)
        if not found.any() and name not in KINDS:
            raise InputError(f"a token of the model, or one of {', '.join(KINDS)}", repr(name), "See `deft discrepancy` for its tokens.")
        mask |= found
    return mask


def _of(table: pd.DataFrame, texts: list[str], name: str) -> Mask:
    if name == "punctuation":
        return np.array([bool(text) and not any(c.isalnum() for c in text) for text in texts])
    if name == "digits":
        return np.array([text.isdigit() for text in texts])
    if name == "stopwords":
        return np.array([text.strip("'’").lower() in STOP_WORDS for text in texts])
    if name.isdecimal():
        return np.asarray(table["token_id"] == int(name))
    if name.strip() != name or _SPACING & set(name) or not name:
        return np.asarray(table["token"] == name.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥"))
    return np.array([text == name for text in texts])


def _text(token: bytes) -> str:
    """The token's characters without the space around them; none where it ends inside a character."""
    try:
        return token.decode().strip()
    except UnicodeDecodeError:
        return ""
