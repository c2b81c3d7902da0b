"""Near-identical sides and extreme lengths, with the arithmetic."""

import numpy as np
import pytest

from deft_core.noise.lengths import robust_z
from tests.noise.tables import column, row


def test_sides_that_differ_in_a_tenth_of_the_characters_or_less(tmp_path):
    rows = [
        row("q", "0123456789", "0123456789X"),  # one insertion, longer side 11: 1 - 1 / 11 = 0.909
        row("q", "0123456789", "012345678X"),  # one of 10: 0.9, just enough
        row("q", "012345678", "01234567X"),  # one of 9: 0.889
        row("q", "ABC  def", "abc def"),  # the same once normalised
        row("q", "0123456789", "abc", "0123456789X"),  # best against worst
    ]
    found = column(tmp_path, "same_sides", rows)
    assert found == [pytest.approx(10 / 11), pytest.approx(0.9), None, 1.0, pytest.approx(10 / 11)]


def test_robust_z():
    # median 3; distances 2 1 0 1 97: MAD 1; z = (x - 3) / 1.4826
    assert robust_z(np.array([1.0, 2, 3, 4, 100])) == pytest.approx(np.array([-2, -1, 0, 1, 97]) / 1.4826)
    assert robust_z(np.array([5.0, np.nan]), np.array([1.0, 2, 3, 4, 100]))[0] == pytest.approx(2 / 1.4826)
    assert robust_z(np.array([1.0, 1, 1, 9])).tolist() == [0, 0, 0, 0]  # more than half is the same: no spread to measure by
    assert np.isnan(robust_z(np.array([np.nan]))).all()


def test_a_text_far_outside_the_usual_lengths(tmp_path):
    rows = [row("q" * (90 + 5 * place), "y" * (90 + 5 * place), "n" * 100) for place in range(9)]  # 90 to 130 characters
    rows += [row("q" * 110, "y" * 10_000, "n" * 100), row("q", "y" * 110, "n" * 100)]
    found = column(tmp_path, "length", rows)
    assert found[:9] == [None] * 9
    # best responses 90 95 100 105 110 110 115 120 125 130 10,000: median 110, x = ln 111; the sixth of eleven distances is that of 100
    assert found[9] == pytest.approx(np.log(10_001 / 111) / (1.4826 * np.log(111 / 101)))
    assert found[10] < -3.5  # a prompt of one character
