"""Exact and near duplicates: groups, their first rows, and what is none."""

import numpy as np

from deft_core.noise import groups
from tests.noise.tables import SENTENCE, column, row

WORDS = SENTENCE.split()  # 20 words: 18 shingles


def changed(*places):
    return " ".join("CHANGED" + str(place) if place in places else word for place, word in enumerate(WORDS))


def test_case_and_white_space_do_not_make_a_difference_and_all_else_does(tmp_path):
    rows = [
        row("What is tea?", "A drink.", "A tree."),
        row(" what  IS\ntea? ", "a drink.", "A tree. "),  # the first again
        row("What is tea", "A drink.", "A tree."),  # no question mark
        row("What is tea?", "A tree.", "A drink."),  # sides exchanged
        row("What is tea?", "A drink.", "A tree.", role="system"),
        row("Straße", "a", "b"),
        row("STRASSE", "a", "b"),  # case folded: ß is ss
        row("r", "a", "b", "c", ranks=[1, 2, 2]),
        row("r", "a", "b", "c", ranks=[1, 2, 3]),  # other ranks
    ]
    assert column(tmp_path, "exact_duplicate", rows) == [1, 1, None, None, None, 2, 2, None, None]


def test_near_duplicates_share_seventy_percent_of_prompt_and_of_responses(tmp_path):
    rows = [
        row(SENTENCE, changed(), "no"),
        row(SENTENCE, changed(19), "no"),  # the last word: 17 of 19 shingles, and "no": (17 + 1) / (19 + 1) = 0.90
        row(SENTENCE, changed(5, 9, 13), "no"),  # 9 shingles gone: (9 + 1) / (27 + 1) = 0.36
        row(changed(5, 9, 13), changed(), "no"),  # the same of the prompt: 9 / 27
        row(SENTENCE, "no", changed()),  # sides exchanged
    ]
    assert column(tmp_path, "near_duplicate", rows) == [1, 1, None, None, None]


def test_of_exact_duplicates_the_first_alone_takes_part_in_near_ones(tmp_path):
    rows = [row(SENTENCE, changed(), "no"), row(SENTENCE, changed(), "no"), row(SENTENCE, changed(0), "no")]
    assert column(tmp_path, "exact_duplicate", rows) == [1, 1, None]
    assert column(tmp_path, "near_duplicate", rows) == [1, None, 1]


def test_a_row_joins_a_leader_it_is_alike_to_and_no_chain():
    # 0-1 and 1-2 are alike, 0-2 are not: 1 joins 0; 2 is tried against 1's leader 0, fails and leads itself; 3 joins 2
    alike = {(0, 1), (1, 2), (2, 3)}
    pairs = np.array([[0, 1], [0, 2], [1, 2], [2, 3]])
    assert groups.led(4, pairs, lambda a, b: (a, b) in alike).tolist() == [0, 0, 2, 2]
    assert groups.numbered(np.array([0, 0, 2, 2, 4])).to_pylist() == [1, 1, 2, 2, None]


def test_a_large_group_of_one_template_is_found_whole(tmp_path):
    long = " ".join(f"{word}{turn}" for turn in range(5) for word in WORDS)  # 100 words: 98 shingles
    rows = [row(long, f"{long} {number}", "no") for number in range(60)]  # one shingle of 99 differs
    assert column(tmp_path, "near_duplicate", rows, batch_rows=7) == [1] * 60
