"""How sure d is: each formula with its arithmetic, then on generated conversations whose d is known."""

import numpy as np
import pandas as pd
import pytest

from deft_core import reliability
from deft_core.discrepancy import discrepancy
from deft_core.errors import InputError
from deft_core.group_counts import GroupCounts
from deft_core.reliability import (
    Bootstrap,
    Verdict,
    bootstrap,
    chance,
    fold_d,
    intervals,
    noise_constant,
    split_half,
    top_tokens,
    verdict,
)


def counted(chosen, rejected) -> GroupCounts:
    """From counts [groups, V] of each side."""
    chosen, rejected = np.array(chosen), np.array(rejected)
    tokens, groups = np.nonzero((chosen + rejected).T)
    sides = (side.T[tokens, groups].astype(np.int64) for side in (chosen, rejected))
    return GroupCounts(groups.astype(np.int16), tokens.astype(np.int32), *sides, chosen.shape[1], len(chosen))


def conversations(q_chosen, q_rejected, groups: int, rng, tokens: int = 60) -> GroupCounts:
    """Every conversation has its own words (a Dirichlet draw around q) and its own length."""
    sides = []
    for q in (q_chosen, q_rejected):
        own, lengths = rng.dirichlet(np.array(q) * 40, groups), rng.integers(tokens // 2, tokens * 2, groups)
        sides.append(np.array([rng.multinomial(length, one) for length, one in zip(lengths, own, strict=True)]))
    return counted(*sides)


def frequencies(rng, spread: float, vocabulary: int = 40):
    """Zipf's law, each frequency off by a factor of about exp(spread)."""
    q = rng.lognormal(0, spread, vocabulary) / np.arange(2, vocabulary + 2)
    return q / q.sum()


def d_table(d) -> pd.DataFrame:
    return pd.DataFrame({"token_id": np.arange(len(d), dtype=np.int32), "d": d})


# the arithmetic


def test_a_bootstrap_replicate_is_d_of_groups_counted_as_often_as_drawn(monkeypatch):
    chosen, rejected = [[2, 0, 1], [0, 4, 0], [1, 1, 0]], [[0, 0, 3], [1, 0, 0], [0, 2, 2]]
    weights = np.random.default_rng(5).poisson(1.0, (8, 3))
    drawn = bootstrap(counted(chosen, rejected), 8, seed=5)
    for found, weight in zip(drawn.d, weights, strict=True):
        sums = weight @ np.array(chosen), weight @ np.array(rejected)
        # a replicate without a token on one side has frequencies of 0 there
        assert found == pytest.approx(sums[0] / max(1, sums[0].sum()) - sums[1] / max(1, sums[1].sum()))
    assert drawn.token_ids.tolist() == [0, 1, 2] and drawn.groups.tolist() == [3, 2, 2]
    monkeypatch.setattr(reliability, "_BLOCK", 2)  # tokens are laid out a block at a time
    assert np.array_equal(bootstrap(counted(chosen, rejected), 8, seed=5).d, drawn.d)


def test_an_interval_is_d_give_or_take_a_number_of_standard_errors():
    # two draws, 0.1 and 0.3: se = sqrt((0.1^2 + 0.1^2) / 1) = 0.141421; |t| = |0.1 - 0.2| / se = 0.7071 both times, so q = 0.7071
    drawn = Bootstrap(np.array([4], np.int32), np.array([50]), np.array([[0.1], [0.3]]))
    found = intervals(d_table([0.0, 0.0, 0.0, 0.0, 0.2, 0.0]), drawn, np.array([4, 2]))
    assert found["token_id"].tolist() == [4, 2]
    assert found.loc[0, ["d", "se", "low", "high"]].tolist() == pytest.approx([0.2, 0.141421, 0.1, 0.3], abs=1e-6)
    assert found.loc[1, ["d", "se", "low", "high"]].tolist() == [0, 0, 0, 0]  # never occurs


def test_the_largest_t_is_taken_over_listed_and_widespread_tokens():
    # of each token se = 1 and d = 0; the largest |t| of the draws is 1.5 for token 0, 2.5 for 1 (widespread), 9 for 2 (in 19 groups)
    draws = np.array([[1.5, 2.5, 9.0], [-0.5, 0.5, 0.5]])
    draws *= 1 / draws.std(axis=0, ddof=1)
    drawn = Bootstrap(np.arange(3, dtype=np.int32), np.array([5, 20, 19]), draws)
    largest = np.abs(draws)
    for listed, family in ((0, [0, 1]), (1, [1]), (2, [1, 2])):
        found = intervals(d_table([0.0, 0.0, 0.0]), drawn, np.array([listed]))
        assert found["high"][0] == pytest.approx(np.quantile(largest[:, family].max(axis=1), 0.95))


def test_the_top_tokens_are_the_most_preferred_and_the_least():
    chosen, rejected = [[5, 1, 0, 2, 2]], [[1, 1, 6, 1, 1]]  # d: 0.4, 0, -0.6, 0.1, 0.1
    counts = counted(chosen, rejected)
    table = d_table(discrepancy(*counts.totals())).assign(token=list("abcde"), count_chosen=chosen[0], count_rejected=rejected[0])
    preferred, dispreferred = top_tokens(table, bootstrap(counts, 10), 2)
    assert preferred.columns.tolist() == ["token", "token_id", "d", "low", "high", "count_chosen", "count_rejected"]
    assert preferred["token"].tolist() == ["a", "d"] and preferred["d"].tolist() == pytest.approx([0.4, 0.1])
    assert dispreferred[["token", "count_chosen", "count_rejected"]].to_numpy().tolist() == [["c", 0, 6]]


def test_the_surest_tokens_are_those_far_from_zero_in_standard_errors():
    # token 0 has the larger d but the larger se, too: 0.3 / 0.15 against 0.1 / 0.02; token 3 is in too few groups to say
    draws = np.array([[0.3, 0.1, -0.2, 0.9], [0.3, 0.1, -0.2, 0.9]]) + np.outer([1, -1], np.array([0.15, 0.02, 0.1, 0.001]) / np.sqrt(2))
    drawn = Bootstrap(np.arange(4, dtype=np.int32), np.array([30, 30, 30, 5]), draws)
    table = d_table([0.3, 0.1, -0.2, 0.9]).assign(token=list("abcd"), count_chosen=1, count_rejected=1)
    preferred, dispreferred = top_tokens(table, drawn, 5, surest=True)
    assert preferred["token"].tolist() == ["b", "a"] and dispreferred["token"].tolist() == ["c"]


def test_a_fold_has_the_even_or_the_odd_groups():
    counts = counted([[2, 2], [0, 1], [2, 0], [1, 0]], [[1, 0], [1, 0], [0, 3], [0, 1]])
    # even groups 0 and 2: chosen 4, 2 of 6; rejected 1, 3 of 4 -> 4/6 - 1/4; odd groups 1 and 3: chosen 1, 1; rejected 1, 1 -> 0
    assert fold_d(counts, 0).tolist() == pytest.approx([4 / 6 - 1 / 4, 2 / 6 - 3 / 4])
    assert fold_d(counts, 1).tolist() == [0, 0]
    with pytest.raises(InputError, match="at least one token on each side"):
        fold_d(counted([[1]], [[1]]), 1)


def test_two_halves_of_the_same_words_agree_wholly_and_of_opposite_words_not_at_all():
    same = split_half(counted([[3, 1]] * 8, [[1, 3]] * 8))
    assert same["conversations"].tolist() == [1, 2, 4]  # up to half of eight
    assert same[["cosine", "low", "high"]].to_numpy() == pytest.approx(1.0)
    # d of a half with one group: (1, -1) or (-1, 1): the two groups say the opposite, the cosine is -1
    opposite = split_half(counted([[1, 0], [0, 1]], [[0, 1], [1, 0]]))
    assert opposite[["conversations", "cosine"]].to_numpy().tolist() == [[1, pytest.approx(-1)]]


def test_several_conversations_in_a_group_are_counted():
    counts = counted([[3, 1]] * 8, [[1, 3]] * 8)
    ten_each = GroupCounts(counts.groups, counts.token_ids, counts.chosen, counts.rejected, 2, 80)
    assert split_half(ten_each)["conversations"].tolist() == [10, 20, 40]


def test_noise_constant_solves_the_model_for_c():
    # r = m / (m + c)  <=>  c = m (1 - r) / r: 0.25 at m = 100 -> 300; then r(300) = 300 / 600
    assert noise_constant(100, 0.25) == pytest.approx(300)
    assert noise_constant(100, -0.1) == float("inf")


def test_swaps_of_sides_that_are_equal_never_give_less():
    assert chance(counted([[1, 1]] * 9, [[1, 1]] * 9), swaps=10) == 1.0
    # one group only: swapped, d is -d, which is as long
    assert chance(counted([[3, 1]], [[1, 3]]), swaps=10) == 1.0
    # twelve groups that all say the same: only all swapped or none gives as long a d, 2 of 4,096 cases
    assert chance(counted([[3, 1]] * 12, [[1, 3]] * 12), swaps=99) == pytest.approx(1 / 100)


@pytest.mark.parametrize(
    ("cosine", "state", "needed", "says"),
    [
        # halves of 500: c = 500 (1 - r) / r; reliability of 1,000: 1000 / (1000 + c); needed: 0.9 = m / (m + c) -> m = 9 c
        (0.9, "stable", 500, "stable: as many other conversations would give a d with a cosine of about 0.95"),  # c = 55.6
        (0.5, "noisy", 4500, "noisy: .* about 0.67 to this one. About 4,500 would settle it"),  # c = 500
        (0.2, "noise", 18_000, "mostly noise: .* about 0.33 to this one. About 18,000 would settle it"),  # c = 2000
        (-0.1, "noise", None, "noise: the d of one half says nothing about that of the other"),
    ],
)
def test_the_verdict_says_how_sure_d_is(cosine, state, needed, says):
    curve = pd.DataFrame({"conversations": [250, 500], "cosine": [0.1, cosine], "low": [0.0, 0.0], "high": [1.0, 1.0]})
    found = verdict(curve, 1000, chance=0.01)
    assert (found.state, found.conversations, found.conversations_needed) == (state, 1000, needed)
    assert found.words.startswith("With 1,000 conversations d is ")
    assert pd.Series([found.words]).str.contains(says).all()


def test_what_chance_gives_too_is_noise_whatever_the_halves_say():
    curve = pd.DataFrame({"conversations": [120], "cosine": [0.6], "low": [0.0], "high": [1.0]})
    found = verdict(curve, 240, chance=0.3)
    assert (found.state, found.conversations_needed) == ("noise", None) and "in 30% of the tries" in found.words


def test_one_conversation_says_nothing():
    curve = split_half(counted([[1, 2]], [[2, 1]]))
    words = "With 1 conversation nothing can be said about d: two are the least."
    assert verdict(curve, 1, chance=1.0) == Verdict("noise", words, None, 1, None)


# on generated conversations


def test_equal_distributions_are_noise_and_very_different_ones_are_stable():
    rng = np.random.default_rng(0)
    q, other = frequencies(rng, 0.0), frequencies(rng, 0.7)
    for rejected, state in ((q, "noise"), (other, "stable")):
        counts = conversations(q, rejected, 200, rng)
        curve = split_half(counts)
        found = verdict(curve, counts.conversations, chance(counts))
        assert found.state == state
        # of 40 Zipf frequencies about ten carry the noise: a chance cosine of one set is within 2 / sqrt(10) of 0
        assert abs(curve["cosine"].iloc[-1]) < 0.63 if state == "noise" else curve["cosine"].iloc[-1] > 0.9


def test_chance_finds_a_difference_in_one_of_twenty_equal_sets():
    rng = np.random.default_rng(1)
    q = frequencies(rng, 0.0)
    found = [chance(conversations(q, q, 40, rng), swaps=99, seed=seed) for seed in range(100)]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)  # two standard errors of a share of 100 sets


def test_the_noise_model_foretells_the_agreement_of_new_sets():
    rng = np.random.default_rng(2)
    chosen, rejected = frequencies(rng, 0.1), frequencies(rng, 0.1)
    foretold, seen = [], []
    for _ in range(20):
        first, second = (conversations(chosen, rejected, 120, rng) for _ in range(2))
        foretold.append(verdict(split_half(first, repeats=10), 120, 0.0).reliability)
        a, b = (discrepancy(*one.totals()) for one in (first, second))
        seen.append(a @ b / np.sqrt(a @ a * (b @ b)))
    assert np.mean(foretold) == pytest.approx(np.mean(seen), abs=0.05)  # the means of 20 sets have a standard error of 0.01 to 0.02


def test_intervals_cover_the_d_they_were_made_for():
    rng = np.random.default_rng(7)
    chosen, rejected = frequencies(rng, 0.15), frequencies(rng, 0.15)
    covered = {"tokens chosen beforehand": 0, "tokens with the largest d": 0}
    for seed in range(100):
        counts = conversations(chosen, rejected, 200, rng)
        d = discrepancy(*counts.totals())
        drawn = bootstrap(counts, 200, seed)
        for kind, listed in zip(covered, (np.arange(10), np.argsort(-np.abs(d))[:10]), strict=True):
            found = intervals(d_table(d), drawn, listed)
            covered[kind] += found["low"].le((chosen - rejected)[listed]).all() and found["high"].ge((chosen - rejected)[listed]).all()
    # all ten at once in 95 of 100 sets, give or take 2.5 standard errors of 2.2; more where the family is larger than the list
    assert all(count >= 95 - 5.5 for count in covered.values()), covered
