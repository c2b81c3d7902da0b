"""Which rows an action is about, and which rows are read side by side."""

import numpy as np

from deft_core.noise.actions import beside, meant

GROUPS = np.array([2.0, 1, np.nan, 1, 2, 1, 2])
FIRST = np.array([False, False, False, True, True, False, False])  # rows need not come in the order of the data: 3 and 4 come first
NONE = np.zeros(7, dtype=bool)
TRAINING = np.array([True, True, True, False, True, True, True])


def rows(*places):
    mask = NONE.copy()
    mask[list(places)] = True
    return mask


def about(action, kept=NONE, dropped=NONE):
    return np.flatnonzero(meant(action, GROUPS, FIRST, TRAINING, kept, dropped)).tolist()


def test_all_but_one_leaves_the_first_row_of_each_group():
    assert about("all but one") == [0, 1, 5, 6]


def test_a_row_kept_by_hand_stays_instead():
    assert about("all but one", kept=rows(5)) == [0, 1, 3, 6]
    assert about("all but one", kept=rows(1, 5)) == [0, 3, 6]  # both were wanted
    assert about("all but one", kept=rows(2)) == [0, 1, 5, 6]  # of no group


def test_a_dropped_row_does_not_stand_for_its_group():
    # 3 is dropped: 1 stays for group 1, of which 5 is left to drop; all of group 2 are dropped already
    assert about("all but one", dropped=rows(3, 0, 4, 6)) == [5]


def test_the_other_actions():
    assert about("all") == [0, 1, 3, 4, 5, 6]
    assert about("all", dropped=rows(0)) == [1, 3, 4, 5, 6]
    assert about("training", dropped=rows(0)) == [1, 4, 5, 6]
    assert about("flip", dropped=rows(0)) == [0, 1, 3, 4, 5, 6]


def test_each_row_is_read_beside_the_first_of_its_group():
    others, firsts = beside(GROUPS, FIRST)
    assert others.tolist() == [1, 5, 0, 6] and firsts.tolist() == [3, 3, 4, 4]
    # with the sides of a leak for first rows: each training row beside a held-out one
    others, firsts = beside(np.array([1.0, 1, 1]), np.array([False, False, True]))
    assert others.tolist() == [0, 1] and firsts.tolist() == [2, 2]


def test_a_set_without_groups():
    none = np.full(3, np.nan)
    assert not meant("all but one", none, NONE[:3], NONE[:3], NONE[:3], NONE[:3]).any()
    assert [len(part) for part in beside(none, NONE[:3])] == [0, 0]
