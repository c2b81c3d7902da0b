"""Distinguishing words by hand, and what counts as a refusal."""

from collections import Counter

import numpy as np
import pytest

from deft_core.contrast import distinguishing, is_refusal, refusal_rate, word_counts, words


def test_words():
    assert words("Don't  STOP, don’t; 24 hours_a day — naïve!") == ["don't", "stop", "don’t", "hours", "a", "day", "naïve"]
    assert word_counts(["a b", "B c"]) == {"a": 1, "b": 2, "c": 1}


def test_z_is_the_log_odds_ratio_with_its_prior():
    first, second = Counter(tea=30, the=70), Counter(tea=10, the=90)
    found = distinguishing(first, second).set_index("word")
    # prior of 1,000 words: tea 40 of 200 -> 200, the -> 800
    # tea: log(230 / (1100 - 230)) - log(210 / (1100 - 210)) = -1.3304 + 1.4441 = 0.1137; sqrt(1/230 + 1/210) = 0.09545; z = 1.191
    assert "tea" not in found.index  # below 1.96
    many = distinguishing(Counter(tea=300, the=700), Counter(tea=100, the=900)).set_index("word")
    # tea: log(500 / 1500) - log(300 / 1700) = -1.09861 + 1.73460 = 0.63599; sqrt(1/500 + 1/300) = 0.0730297; z = 8.7086
    # the: log(1500 / 500) - log(1700 / 300) = 1.09861 - 1.73460 = -0.63599; sqrt(1/1500 + 1/1700) = 0.0354246; z = -17.9533
    assert many["z"].round(4).to_dict() == {"tea": 8.7086, "the": -17.9533}
    assert many.loc["tea", ["first", "second"]].to_list() == [300.0, 100.0]


def test_at_most_so_many_words_a_side_in_order():
    rng = np.random.default_rng(0)
    first = Counter({f"word{place}": int(count) for place, count in enumerate(rng.integers(1, 900, 60))})
    second = Counter({f"word{place}": int(count) for place, count in enumerate(rng.integers(1, 900, 60))})
    found = distinguishing(first, second, top=4)
    assert len(found) == 8 and list(found["z"]) == sorted(found["z"], reverse=True) and (found["z"] > 0).sum() == 4
    back = distinguishing(second, first, top=4)
    assert np.allclose(back["z"], -found["z"][::-1])


def test_a_side_without_words_has_none_that_distinguish_it():
    assert distinguishing(Counter(), Counter(a=3)).empty and distinguishing(Counter(), Counter()).empty


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m really sorry to hear that, but no.",
        "Sorry, I don't know.",
        "I cannot assist with breaking into a house.",
        "Hmm. I won't do that.",
        "As an AI language model, I have no opinion.",
        "That's illegal, and I hope you do not.",
        "I apologize, but no",
    ],
)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "Tell her that you are sorry.",
        "You can say: as an aid, use a list.",
        "I can help with that.",
        "",
        "Here is a long and useful answer about writing a letter to a friend who has moved away. " * 2 + "I'm sorry, but that is all.",
    ],
)
def test_answers_that_are_no_refusals(text):
    assert not is_refusal(text)


def test_a_rate_is_a_share():
    assert refusal_rate(["I'm sorry, no.", "Yes.", "Sure.", "I can't help."]) == 0.5
    assert np.isnan(refusal_rate([]))
