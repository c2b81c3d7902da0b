"""BLEU and chrF equal sacrebleu's own corpus scores; distinct bigrams and refusals are counted by hand."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from deft_core.generalisation import bleu, chrf, distinct_2, distinct_2_within, refusals
from deft_core.intervals import difference, figure

ANSWERS = ["the cat sat on the mat today", "a river runs to the sea", "old stones keep warm until evening", "no"]
REFERENCES = ["the cat sat on a mat", "rivers run to the sea at last", "old stones stay warm until the evening comes", "yes, I can"]


def test_corpus_scores_are_sacrebleus():
    assert figure(bleu(ANSWERS, REFERENCES)).value == pytest.approx(BLEU().corpus_score(ANSWERS, [REFERENCES]).score)
    assert figure(chrf(ANSWERS, REFERENCES)).value == pytest.approx(CHRF().corpus_score(ANSWERS, [REFERENCES]).score)
    assert figure(bleu(ANSWERS[:1] * 2, REFERENCES[:1] * 2)).value == pytest.approx(
        BLEU().corpus_score(ANSWERS[:1], [REFERENCES[:1]]).score
    )


def test_bleu_written_out():
    # 5 tokens each; of the n-grams of "a b c d x" in "a b c d e": 4/5, 3/4, 2/3, 1/2; BLEU = (0.2)^(1/4) = 66.874
    assert figure(bleu(["a b c d x"], ["a b c d e"])).value == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    # half as long: the same words, brevity penalty exp(1 - 8/4)
    assert figure(bleu(["a b c d"], ["a b c d e f g h"])).value == pytest.approx(100 * math.exp(-1))


def test_a_resampled_score_is_that_of_the_texts_drawn():
    measure = bleu(ANSWERS, REFERENCES)
    drawn = [0, 0, 2, 1]
    weights = np.array([[2.0, 1.0, 1.0, 0.0]])
    expected = BLEU().corpus_score([ANSWERS[i] for i in drawn], [[REFERENCES[i] for i in drawn]]).score
    assert measure.of(weights @ measure.sums)[0] == pytest.approx(expected)


def test_a_difference_of_scores():
    found = difference(chrf(ANSWERS, REFERENCES), chrf(REFERENCES, REFERENCES))
    assert found.value == pytest.approx(100 - CHRF().corpus_score(ANSWERS, [REFERENCES]).score)
    assert found.low < found.value < found.high


def test_distinct_bigrams():
    # a b, b a, a b | a b, b c: 3 distinct of 5 together; within: 2 of 3 and 2 of 2, so 4 of 5
    assert distinct_2(["A b a b!", "a b c"]) == 3 / 5
    assert figure(distinct_2_within(["A b a b!", "a b c"])).value == 4 / 5
    assert distinct_2(["", "one"]) is None
    found = figure(distinct_2_within(["", "one", "a b c"]))
    assert (found.value, found.prompts) == (1.0, 1)  # an answer without bigrams says nothing


def test_refusals():
    assert figure(refusals(["I'm sorry, but no.", "Sure!", "I can't help with that.", "Use salt."])).value == 0.5


def test_no_answers_no_figures():
    assert figure(bleu([], [])).value is None
    assert figure(refusals([])).value is None
