"""Shingles and their Jaccard similarity, beside sets of words."""

import numpy as np

from deft_core.noise.shingles import HIGH, hashed, jaccards, sets


def shingled(*texts):
    return sets([hashed(list(texts), np.arange(len(texts)))], len(texts))


def row(shingles, place):
    return shingles.values[shingles.ends[place - 1] if place else 0 : shingles.ends[place]]


def test_a_text_of_n_words_has_n_minus_two_shingles_and_a_short_one_has_one():
    # "a b c d" -> abc, bcd; "a b a b a" -> aba, bab (aba again is no new one); "a" and "" -> one each
    found = shingled("a b c d", "a b a b a", "a", "")
    assert np.diff(found.ends, prepend=0).tolist() == [2, 2, 1, 1]
    assert len(set(found.values.tolist())) == 6


def test_jaccard_is_that_of_the_sets_of_word_triples():
    # a b c d e: abc bcd cde; a b c d x: abc bcd cdx -> 2 common of 4; no shingle in the other half: 1
    found = sets([hashed(["a b c d e", "a b c d x"], np.arange(2)).salted(0, np.uint64(0))], 2)
    assert jaccards(row(found, 0), row(found, 1)) == (2 / 4, 1.0)


def test_the_halves_are_compared_apart_and_a_salt_makes_other_shingles():
    # prompts (low): 1 of 1 common; responses (high): q r s in both, but as best in one row and as other in the second: 0 of 2
    rows = np.arange(2)
    prompt = hashed(["a b c", "a b c"], rows).salted(0, np.uint64(0))
    best, other = hashed(["q r s"], np.array([0])).salted(0, HIGH), hashed(["q r s"], np.array([1])).salted(7, HIGH)
    found = sets([prompt, best, other], 2)
    assert jaccards(row(found, 0), row(found, 1)) == (1.0, 0.0)


def test_scripts_without_spaces_are_compared_by_character():
    # six characters: four triples, of which one holds the sixth: 3 common of 5
    found = sets([hashed(["今日は良い天", "今日は良い日"], np.arange(2)).salted(0, HIGH)], 2)
    assert np.diff(found.ends, prepend=0).tolist() == [4, 4]
    assert jaccards(row(found, 0), row(found, 1)) == (1.0, 3 / 5)


def test_batches_hash_alike():
    whole, parts = shingled("one two three four", "five six seven"), [shingled("one two three four"), shingled("five six seven")]
    assert whole.values.tolist() == [*parts[0].values.tolist(), *parts[1].values.tolist()]
