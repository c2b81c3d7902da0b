"""Which tokens are of a kind."""

import numpy as np
import pytest

from deft_core.discrepancy import table
from deft_core.errors import InputError
from deft_core.token_masks import masked

TOKENS = [b"The", b" the", b" sorry", b"sorry", b"!\n", b" 42", b"7", b" don", b"'t", b"\n", b" \xe2", "…".encode(), b"x7", b"not"]


def names(wanted: list[str]) -> list[str]:
    ones = np.ones(len(TOKENS), dtype=np.int64)
    tokens = table(TOKENS, ones, ones)
    return tokens["token"][masked(tokens, wanted)].tolist()


def test_kinds_are_told_by_the_text_without_its_space() -> None:
    assert names(["punctuation"]) == ["!⏎", "…"]
    assert names(["digits"]) == ["␣42", "7"]
    assert names(["stopwords"]) == ["The", "␣the", "␣don", "'t"]


def test_single_tokens_are_named_by_word_by_what_is_shown_or_by_id() -> None:
    assert names(["sorry"]) == ["␣sorry", "sorry"]
    assert names(["␣sorry"]) == names([" sorry"]) == ["␣sorry"]
    assert names(["⏎"]) == ["⏎"]
    assert names(["0", "digits"]) == ["The", "␣42", "7"]
    assert names([]) == []


def test_a_token_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"one of punctuation, stopwords, digits; found 'Sorry'"):
        names(["Sorry"])
