"""The judge: its fit is the minimum it says, its ridge is right, and it knows when it cannot tell."""

import math

import numpy as np
import pytest

from deft_core.intervals import Figure
from deft_core.lm import judge as judging
from deft_core.lm.judge import FOLDS, Judge, accuracy, compared, fit, fold_of, read_judge, verdict, write_judge


def made(rows, hidden, signal, seed=0, responses=2):
    """Pooled states in which one direction separates better from worse by `signal` standard deviations."""
    rng = np.random.default_rng(seed)
    pooled = [rng.normal(size=(responses, hidden)).astype(np.float32) * np.arange(1, hidden + 1) for _ in range(rows)]
    for states in pooled:
        states[:, 0] -= signal * np.arange(responses)
    return pooled, [list(range(1, responses + 1))] * rows, [row % FOLDS for row in range(rows)]


def test_pairs_of_a_ranking_with_a_tie():
    states = np.array([[1.0], [2.0], [4.0], [8.0]], np.float32)
    differences, weights, owners = compared([states, states[:2]], [[1, 2, 2, 3], [1, 2]])
    # 1 > 2a, 1 > 2b, 1 > 3, 2a > 3, 2b > 3: five pairs of a fifth each; the second row has one
    assert differences[:, 0].tolist() == [-1, -3, -7, -6, -4, -1]
    assert weights.tolist() == [0.2] * 5 + [1.0]
    assert owners.tolist() == [0] * 5 + [1]


def test_one_feature_by_hand():
    # every difference is +1 or -1 after scaling, a = 0.75 of them +1; with ridge l the loss is
    # a log(1 + e^-v) + (1 - a) log(1 + e^v) + l v^2 / 2, whose derivative is sigmoid(v) - a + l v
    pooled = [np.array([[3.0], [0.0]], np.float32)] * 30 + [np.array([[0.0], [3.0]], np.float32)] * 10
    found = fit(pooled, [[1, 2]] * 40, [row % FOLDS for row in range(40)])
    v = found.w[0] * 3.0  # back to the scaled feature, whose root mean square is 3
    assert 1 / (1 + math.exp(-v)) - 0.75 + found.ridge * v == pytest.approx(0, abs=1e-6)
    assert (found.rows, found.fold_accuracy) == (40, 0.75)


def test_the_fit_is_the_minimum():
    pooled, ranks, folds = made(60, 8, 1.5)
    found = fit(pooled, ranks, folds)
    differences, *_ = compared(pooled, ranks)
    scale = np.sqrt((differences**2).mean(0))
    v, x = found.w * scale, differences / scale
    gradient = -(x * (1 / (1 + np.exp(x @ v)))[:, None]).mean(0) + found.ridge * v
    assert np.abs(gradient).max() < 1e-4


def test_a_signal_is_found_and_noise_is_not():
    pooled, ranks, folds = made(300, 40, 2.0)
    found = fit(pooled, ranks, folds)
    fresh, order, _ = made(400, 40, 2.0, seed=1)
    # the difference of the first number is N(2, sqrt 2), so the best there is is right in Phi(2 / 1.414) = 92 %
    right = accuracy([found.scores(states).tolist() for states in fresh], order)
    assert 0.85 < right.value < 0.95
    assert found.fold_accuracy == pytest.approx(right.value, abs=0.06)
    noise = fit(*made(300, 40, 0.0))
    assert noise.ridge >= 1 > found.ridge  # nothing to learn: a stronger ridge
    assert 0.4 < noise.fold_accuracy < 0.6
    assert not verdict(accuracy([noise.scores(states).tolist() for states in made(64, 40, 0.0, seed=2)[0]], [[1, 2]] * 64)).can_tell


def test_more_numbers_than_rows_and_the_same_judge_each_time():
    one, other = (fit(*made(30, 200, 3.0, responses=3)) for _ in range(2))
    assert one.w.tolist() == other.w.tolist()
    assert one.w.shape == (200,)


def test_a_number_that_never_differs_has_no_weight():
    pooled, ranks, folds = made(40, 3, 2.0)
    for states in pooled:
        states[:, 2] = 7.0
    assert fit(pooled, ranks, folds).w[2] == 0


def test_accuracy_row_by_row():
    # row 1: above one, level with one of two: 0.75; row 2: wrong; row 3: the tie at the top is no comparison
    found = accuracy([[2.0, 1.0, 2.0], [0.0, 1.0], [1.0, 5.0, 0.0]], [[1, 2, 3], [1, 2], [1, 1, 2]])
    assert (found.value, found.prompts) == ((0.75 + 0 + 1) / 3, 3)


def test_the_verdict():
    can, cannot = verdict(Figure(0.75, 0.63, 0.84, 60)), verdict(Figure(0.6, 0.48, 0.71, 64))
    assert can.can_tell and can.words == "The judge prefers the chosen answer in 75% of 60 held-out rows (95 % interval 63% to 84%)."
    assert not cannot.can_tell and cannot.words.endswith("which does not clear 50 %: the judge cannot tell, so there is no win rate.")
    assert not verdict(Figure(0.5, 0.5, 0.6, 9)).can_tell
    assert not verdict(accuracy([], [])).can_tell


def test_a_judge_on_disk(tmp_path):
    path = tmp_path / "judge.safetensors"
    assert read_judge(path, "a") is None
    write_judge(path, Judge(np.array([0.1, -2.0]), 0.1, 40, 0.6), "a")
    found = read_judge(path, "a")
    assert (found.w.tolist(), found.ridge, found.rows, found.fold_accuracy) == ([0.1, -2.0], 0.1, 40, 0.6)
    assert read_judge(path, "b") is None  # of another base
    path.write_bytes(b"damaged")
    assert read_judge(path, "a") is None


def test_folds_go_by_conversation():
    assert fold_of("hello") == fold_of("hello")
    assert {fold_of(f"question {k}") for k in range(100)} == set(range(FOLDS))
    assert judging.LEAST_ROWS >= FOLDS
