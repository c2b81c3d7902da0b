"""Figures, bootstrap intervals and paired differences, against arithmetic and simulation."""

import math

import numpy as np
import pytest

from deft_core.intervals import Figure, Measure, difference, figure, flat, mean, ratio, share


def test_a_mean_and_its_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = figure(mean(values))
    assert found.value == pytest.approx(values.mean())
    assert found.prompts == 400
    # the bootstrap's standard error of a mean is sd / sqrt(n) = 0.1, so the interval reaches 1.96 of it to each side
    error = values.std() / math.sqrt(400)
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error * 1.96)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error * 1.96)


def test_intervals_hold_in_95_of_100_samples():
    rng = np.random.default_rng(1)
    held = [one.low <= 0.0 <= one.high for one in (figure(mean(rng.normal(size=60)), replicates=400) for _ in range(400))]
    assert 0.91 < sum(held) / 400 < 0.98  # of a percentile bootstrap over 60 values: 94 %, its standard error here 1.2 %


def test_two_prompts_by_enumeration():
    # of (0, 1) two are drawn: (0, 0), (0, 1), (1, 0), (1, 1), so the mean is 0 and 1 a quarter of the time each
    assert figure(mean([0.0, 1.0])) == Figure(0.5, 0.0, 1.0, 2)


def test_a_ratio_weighs_by_tokens():
    # 6 nats over 3 tokens and 1 over 1: 7 / 4, not the mean of 2 and 1
    found = ratio([6.0, 1.0], [3.0, 1.0])
    assert figure(found).value == 1.75
    assert figure(ratio([6.0, 1.0], [3.0, 1.0], np.exp)).value == pytest.approx(math.exp(1.75))


def test_a_prompt_without_a_value_has_no_part():
    found = figure(mean([1.0, math.nan, 3.0]))
    assert (found.value, found.prompts) == (2.0, 2)
    assert figure(mean([math.nan, math.nan])) == Figure(None, None, None, 0)
    assert figure(mean([])) == Figure(None, None, None, 0)
    assert figure(mean([4.0])) == Figure(4.0, None, None, 1)  # one prompt says nothing of others


def test_a_difference_is_paired():
    rng = np.random.default_rng(2)
    easy = rng.normal(0.0, 10.0, 200)  # how hard prompts are differs far more than the models do
    better = easy + 0.5 + rng.normal(0.0, 0.1, 200)
    found = difference(mean(easy), mean(better))
    assert found.value == pytest.approx((better - easy).mean())
    assert found.low > 0.48 and found.high < 0.52  # 1.96 * 0.1 / sqrt(200) = 0.014 to each side; unpaired it would be 2.0
    assert figure(mean(easy)).high - figure(mean(easy)).low > 2.5
    assert difference(mean(better), mean(easy)).value == -found.value


def test_a_difference_is_over_the_prompts_that_both_have():
    found = difference(mean([1.0, math.nan, 5.0]), mean([2.0, 9.0, math.nan]))
    assert (found.value, found.prompts) == (1.0, 1)
    same = difference(mean([1.0, 2.0, 4.0]), mean([1.0, 2.0, 4.0]))
    assert same == Figure(0.0, 0.0, 0.0, 3)


def test_any_function_of_sums():
    # the largest of two sums: not linear, still resampled prompt by prompt
    found = figure(Measure(np.array([[1.0, 0.0], [0.0, 3.0]]), lambda sums: sums.max(axis=1)))
    assert (found.value, found.low, found.high) == (3.0, 2.0, 6.0)  # drawn twice: (2, 0), (1, 3) or (0, 6)


def test_wilson():
    # 45 of 60: p = 0.75, z^2/n = 0.064024; middle = (0.75 + 0.032012) / 1.064024 = 0.734957
    # reach = 1.96 * sqrt(0.1875 / 60 + 0.064024 / 240) / 1.064024 = 1.96 * 0.058237 / 1.064024 = 0.107274
    found = share(45, 60)
    assert (found.value, found.prompts) == (0.75, 60)
    assert (found.low, found.high) == pytest.approx((0.627683, 0.842231), abs=1e-5)
    assert share(3, 3).low == pytest.approx(3 / (3 + 1.959964**2))  # p = 1: low = n / (n + z^2)
    assert share(0, 0) == Figure(None, None, None, 0)


def test_flat():
    assert flat({"kl": Figure(1.0, 0.5, 2.0, 9)}) == {"kl": 1.0, "kl_low": 0.5, "kl_high": 2.0}


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).normal(size=50)
    assert figure(mean(values)) == figure(mean(values))
    assert figure(mean(values)) != figure(mean(values), seed=1)
