"""Likely swapped pairs, with the arithmetic."""

import numpy as np
import pandas as pd
import pytest

from deft_core.noise import swapped

BOTH, REWARD = swapped.RULES


def margins():
    # training margins -3 -1 0 1 3: median 0, distances 3 1 0 1 3, MAD 1; the held-out row is measured by the training rows
    rewards, logps = [-3.0, -1, 0, 1, 3, -2], [3.0, -3, 0, 1, -1, -2]
    return pd.DataFrame({"split": ["train"] * 5 + ["heldout"], "reward_margin": rewards, "mean_logp_margin": logps})


def test_the_score_is_the_less_convinced_of_the_two():
    # row 1: z -1 / 1.4826 and -3 / 1.4826: score 0.674; the last row: -2 / 1.4826 in both: 1.349
    expected = np.array([-3, 1, 0, -1, -1 + 2, 2.0])
    expected[4] = -3  # reward z is 3 / 1.4826, the larger of the two
    assert swapped.scores(margins(), BOTH) == pytest.approx(expected / 1.4826)


def test_marked_are_rows_far_below_on_both():
    found = swapped.column(margins(), BOTH)
    assert np.isnan(found[:5]).all()
    assert found[5] == pytest.approx(2 / 1.4826)  # 1.349 > 1
    reversed_ = swapped.column(margins(), REWARD)
    assert np.flatnonzero(np.isfinite(reversed_)).tolist() == [0]  # 3 / 1.4826 = 2.02 > 2


def test_flips_take_rows_out_of_the_list_and_bring_none_into_it():
    rows = margins().assign(reward_margin=[-3.0, -2.9, 0, 1, 3, -2])  # median 0, distances 3 2.9 0 1 3: MAD 2.9
    limit = swapped.SwapRule(REWARD.signal, REWARD.margins, far=0.68)  # -0.68 * 1.4826 * 2.9 = -2.92
    assert np.flatnonzero(np.isfinite(swapped.column(rows, limit))).tolist() == [0]
    flipped = rows.assign(reward_margin=[3.0, -2.9, 0, 1, 3, -2])
    # of the flipped rows the median is 1, the distances 2 3.9 1 0 2: MAD 2, and 1 - 0.68 * 1.4826 * 2 = -1.02 marks -2.9 and -2
    assert np.flatnonzero(np.isfinite(swapped.column(flipped, limit))).tolist() == [1, 5]
    assert not np.isfinite(swapped.column(flipped, limit, rows)).any()


def test_a_margin_above_zero_is_never_swapped():
    table = margins().assign(reward_margin=lambda rows: rows["reward_margin"] + 10)
    assert np.isnan(swapped.column(table, REWARD)).all()
    assert swapped.limits(table, REWARD) == {"reward_margin": 0.0}  # median 10, 10 - 2 * 1.4826 = 7.03 > 0


def test_limits_say_the_same_in_margins():
    # 0 - 1 * 1.4826 * 1
    assert swapped.limits(margins(), BOTH) == pytest.approx({"reward_margin": -1.4826, "mean_logp_margin": -1.4826})


def test_rows_without_scores_are_not_marked():
    table = margins().assign(reward_margin=np.nan)
    assert np.isnan(swapped.column(table, BOTH)).all()
    assert np.isnan(swapped.column(table[["split"]], BOTH)).all()
    assert swapped.limits(table, BOTH) == {"mean_logp_margin": pytest.approx(-1.4826)}
