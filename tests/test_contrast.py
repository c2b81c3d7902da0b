"""Distinguishing words by hand, and what counts as a refusal."""

from collections import Counter

import numpy as np
import pytest

from deft_core.contrast import distinguishing, is_refusal, refusal_rate, word_counts, words


def test_words():
    assert words("Don't  STOP, don’t; 24 hours_a day — naïve!") == ["don't", "stop", "don’t", "hours", "a", "day", "naïve"]
    assert word_counts(["a b", "B c"]) == {"a": 1, "b": 2, "c": 1}


def test_z_is_the_log_odds_ratio_with_its_prior():
    found = distinguishing(Counter(tea=300, the=700), Counter(tea=100, the=900)).set_index("word")
    # prior of 0.1 x 1,000 = 100 words, 400 of 2,000 tea: 20 tea, 80 the
    # tea: log(320 / 780) - log(120 / 980) = -0.890973 + 2.100061 = 1.209088; sqrt(1/320 + 1/120) = 0.107044; z = 11.2953
    # the: log(780 / 320) - log(980 / 120) = -1.209088; sqrt(1/780 + 1/980) = 0.0479840; z = -25.1977
    assert found["z"].round(3).to_dict() == {"tea": 11.295, "the": -25.198}
    assert found.loc["tea", ["first", "second"]].to_list() == [300.0, 100.0]


def test_words_within_1_96_standard_errors_are_not_listed():
    # prior of 10 words: 1.1 tea, 8.9 the; tea: log(13.1 / 96.9) - log(11.1 / 98.9) = 0.186; sqrt(1/13.1 + 1/11.1) = 0.408; z = 0.46
    # the: -0.186 / sqrt(1/96.9 + 1/98.9) = -0.186 / 0.143 = -1.30
    assert distinguishing(Counter(tea=12, the=88), Counter(tea=10, the=90)).empty


def test_at_most_so_many_words_a_side_in_order():
    rng = np.random.default_rng(0)
    first = Counter({f"word{place}": int(count) for place, count in enumerate(rng.integers(1, 900, 60))})
    second = Counter({f"word{place}": int(count) for place, count in enumerate(rng.integers(1, 900, 60))})
    found = distinguishing(first, second, top=4)
    assert len(found) == 8 and list(found["z"]) == sorted(found["z"], reverse=True) and (found["z"] > 0).sum() == 4
    back = distinguishing(second, first, top=4)
    assert np.allclose(back["z"], -found["z"][::-1])


def test_sides_without_words_or_with_one_and_the_same_have_none_that_distinguish_them():
    assert distinguishing(Counter(yes=30), Counter(yes=3)).empty
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
