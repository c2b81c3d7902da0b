"""Filters as text, as words and as masks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deft_core.errors import InputError
from deft_core.filters import Between, Box, Filter, Inside, Mask, OneOf, Search, Unreadable, Where, from_text, mask, to_text, words

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "reward": [0.1, 0.2, 0.3, np.nan],
        "tokens": [1, 5, 9, 5],
        "source": pd.Categorical(["x", "y", "x", None]),
    }
)
TRIANGLE = ((0.0, 0.0), (10.0, 0.0), (10.0, 0.29))


@pytest.mark.parametrize(
    "rule",
    [
        Between("reward", 0.1 + 0.2, 1e-17),
        Between("extra_a b: c", -1.0, 2.0),
        OneOf("extra_x y", ("tea, cake", 'a "quoted" one', "")),
        Box(Between("tokens", 1.0, 2.0), Between("reward", 0.0, 0.5)),
        Inside("tokens", "reward", TRIANGLE),
        Search("sorry, but"),
        Search(r"\bno\b", True),
        Search("not prompt", field="chosen"),
        Search("-chosen", negated=True),
        Search(" two\nlines ", True, "rejected", True),
        Where("reward_margin < 0 -- not drawn\nAND turns > 2"),
        Between("truncated_tokens", 1.0, np.inf),
    ],
)
def test_a_filter_comes_back_from_its_text(rule: Filter) -> None:
    assert from_text(to_text(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "between 1 reward",
        "between a b reward",
        "is [] ",
        "is 5 x",
        "box a 1 2 b",
        "inside a b 1;2",
        "has ",
        "has-rejected-not x",
        "matches-reply x",
        "where ",
        "drop",
    ],
)
def test_a_text_that_is_no_filter_stays_what_it_is_until_it_is_to_narrow_something(text: str) -> None:
    rule = from_text(text)
    assert rule == Unreadable(text) and to_text(rule) == words(rule) == text
    with pytest.raises(InputError, match="a filter such as"):
        mask(TABLE, [rule], {})


def test_a_search_reads_as_it_is_written() -> None:
    assert to_text(Search("sorry")) == "has sorry" and to_text(Search("sor+y", True)) == "matches sor+y"
    assert to_text(Search("sorry", field="chosen")) == "has-chosen sorry" and to_text(Search("a b", negated=True)) == "has-not a b"
    assert from_text("matches-not-prompt ^why") == Search("^why", True, "prompt", True)


def test_words_are_what_a_chip_says() -> None:
    assert words(Between("reward", 0.0123456, 1234.5)) == "reward 0.01235 … 1,234"
    assert words(Between("truncated_tokens", 1, np.inf)) == "truncated_tokens ≥ 1"
    assert words(OneOf("source", ("x", "y"))) == "source = x, y"
    assert words(Search("no", True)) == "text ~ /no/"
    assert words(Search("no", field="prompt", negated=True)) == "prompt !~ no"
    assert words(Where("turns > 2")) == "SQL: turns > 2"


@pytest.mark.parametrize(
    ("rule", "passing"),
    [
        (Between("reward", 0.1, 0.2), "ab"),
        (Between("tokens", 5, 5), "bd"),
        (Between("tokens", 5, np.inf), "bcd"),
        (OneOf("source", ("x",)), "ac"),
        (Box(Between("tokens", 1, 5), Between("reward", 0.0, 1.0)), "ab"),
        (Inside("tokens", "reward", ((4.0, 0.0), (10.0, 0.0), (10.0, 1.0), (4.0, 1.0))), "bc"),
        (Inside("tokens", "reward", TRIANGLE), ""),
        (Inside("tokens", "reward", ((0.0, 0.0), (10.0, 0.0), (10.0, 0.5))), "bc"),
        (Inside("tokens", "reward", ((0.0, 0.0), (1.0, 1.0))), ""),
        (Search("sorry"), "cd"),
        (Where("turns > 2"), "b"),
        (Where("turns > 3"), "abcd"),  # was not run
    ],
)
def test_a_mask_has_the_rows_that_pass(rule: Filter, passing: str) -> None:
    found: dict[Filter, Mask] = {
        Search("sorry"): np.array([False, False, True, True]),
        Where("turns > 2"): np.array([False, True, False, False]),
    }
    assert "".join(TABLE["id"][mask(TABLE, [rule], found)]) == passing


def test_all_filters_must_pass_and_no_filter_lets_all_pass() -> None:
    assert list(mask(TABLE, [Between("tokens", 5, 9), OneOf("source", ("x",))], {})) == [False, False, True, False]
    assert mask(TABLE, [], {}).all()


def test_a_column_that_is_not_there_is_explained() -> None:
    with pytest.raises(InputError, match="'gone'"):
        mask(TABLE, [Between("gone", 0, 1)], {})


@pytest.mark.parametrize("rule", [Between("source", 0, 1), Inside("tokens", "id", TRIANGLE)])
def test_a_range_of_texts_is_explained(rule: Filter) -> None:
    with pytest.raises(InputError, match="a column of numbers"):
        mask(TABLE, [rule], {})
