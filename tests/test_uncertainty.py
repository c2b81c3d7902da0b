"""Intervals, kept probability and cross-fitting: by hand, and against whole recomputations of d."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from deft_core import reliability, uncertainty
from deft_core.errors import InputError
from deft_core.group_counts import group_of, read_counts
from deft_core.pooled import Part, Pooled, open_head, open_pooled, places, rewards, vectors_of
from deft_core.queries import View, light_table
from deft_core.rule import Rule
from deft_core.selection import kept
from deft_core.uncertainty import (
    Draws,
    can_tell,
    chosen_errors,
    cross_fitted_responses,
    draws,
    fold_draws,
    kept_probability,
    response_intervals,
    uncertain,
)

ROWS = 60


def by_hand(folder: Path) -> tuple[Pooled, Draws]:
    """Four pairs whose chosen rewards under three draws are 2 (1, 2, 3), 2 (2, 2, 1), 2 (3, 3, 0), 2 (4, 0, 5); rejected 0."""
    chosen = np.array([[1, 2, 3], [2, 2, 1], [3, 3, 0], [4, 0, 5]], np.float32)
    vectors = np.stack([chosen, np.zeros_like(chosen)], axis=1).reshape(8, 3)
    np.save(folder / "0.npy", vectors)
    rows = pa.table({"id": list("abcd"), "split": ["train"] * 4, "conversation": ["a", "b", "a", "b"]})
    pooled = Pooled(
        rows, np.arange(0, 9, 2), np.arange(0, 8, 2), np.array([True, False] * 4), np.zeros(8, bool), (Part(0, 8, folder / "0.npy"),)
    )
    return pooled, Draws(np.eye(3), np.zeros(3), 2.0)


def test_the_standard_error_is_the_deviation_over_the_draws(tmp_path: Path) -> None:
    pooled, drawn = by_hand(tmp_path)
    # row a: 2, 4, 6, deviation sqrt((4 + 0 + 4) / 2) = 2; row b: 4, 4, 2, mean 10/3, sqrt((4/9 + 4/9 + 16/9) / 2) = sqrt(4/3)
    assert chosen_errors(pooled, drawn, [0, 1]).tolist() == pytest.approx([2, (4 / 3) ** 0.5])
    one = response_intervals(pooled, drawn, 0, np.array([10.0, 0.0]))
    assert (one["low"][0], one["high"][0]) == pytest.approx((10 - 3.919928, 10 + 3.919928))
    assert one["se"].tolist() == pytest.approx([2, 0]) and one["high"].tolist() == pytest.approx([13.919928, 0])


@pytest.mark.parametrize(
    ("rule", "shares"),
    [
        # draws by row a, b, c, d: (2, 4, 6, 8), (4, 4, 6, 0), (6, 2, 0, 10)
        (Rule("highest", count=1), [0, 0, 1, 2]),  # d, c, d
        (Rule("lowest", count=1), [1, 0, 1, 1]),  # a, d, c
        (Rule("highest", count=4), [3, 3, 3, 3]),
        (Rule("highest", value=6), [1, 0, 2, 2]),
        (Rule("lowest", value=2), [1, 1, 1, 1]),
        (Rule("range", low=4, high=6), [2, 2, 2, 0]),
    ],
)
def test_the_share_of_draws_that_keep_a_row_by_hand(tmp_path: Path, rule: Rule, shares: list[int]) -> None:
    pooled, drawn = by_hand(tmp_path)
    found = kept_probability(pooled, drawn, rule, np.ones(4, bool), rule.count or 0)
    assert found.tolist() == pytest.approx([share / 3 for share in shares])


def test_only_the_rows_that_take_part_compete(tmp_path: Path) -> None:
    pooled, drawn = by_hand(tmp_path)
    members = np.array([True, True, False, True])
    # without row c: highest d, (a or b: a tie), d; middle (second of three): b, (a or b), a
    found = kept_probability(pooled, drawn, Rule("highest", count=2), members, 2)
    assert found[2] == 0 and found.sum() == pytest.approx(2)  # a and b, a and d, or b and d: always two
    middle = kept_probability(pooled, drawn, Rule("middle", count=1), members, 1)
    assert middle[2] == middle[3] == 0 and middle[:2].sum() == pytest.approx(1) and middle[:2].min() >= 1 / 3 - 1e-12


def test_uncertain_is_neither_nearly_always_nor_nearly_never() -> None:
    assert uncertain(np.array([0, 0.05, 0.06, 0.5, 0.94, 0.95, 1])).tolist() == [False, False, True, True, True, False, False]


def test_a_rule_by_chance_or_by_another_column_has_no_such_probability(tmp_path: Path) -> None:
    pooled, drawn = by_hand(tmp_path)
    assert (
        can_tell(Rule("highest"))
        and not can_tell(Rule("random"))
        and not can_tell(Rule("stratified"))
        and not can_tell(Rule("highest", by="turns"))
    )
    with pytest.raises(InputError, match="random by reward_chosen"):
        kept_probability(pooled, drawn, Rule("random"), np.ones(4, bool), 1)


def test_cross_fitting_takes_the_other_fold_by_hand(tmp_path: Path) -> None:
    pooled, drawn = by_hand(tmp_path)
    folds = Draws(drawn.us[:2], drawn.offsets[:2], 2.0)
    # group_of: a 1109, b 1873, both odd: fold 1, so the d of fold 0
    assert cross_fitted_responses(pooled, folds, 2).tolist() == [6, 0]


def test_every_draw_is_the_reward_under_its_own_d(view: View) -> None:
    pooled, head, counts = open_pooled(view), open_head(view), read_counts(view.parts[0].parent)
    drawn = reliability.bootstrap(counts, 20)
    vocabulary = len(head.weight)
    whole = [np.bincount(drawn.token_ids, weights=d, minlength=vocabulary) for d in drawn.d]
    under = [rewards(pooled, head, d) for d in whole]
    directions = draws(head, drawn)
    chosen = np.stack([one["reward_chosen"] for one in under])
    found = chosen_errors(pooled, directions, [5, -1, 9])
    assert np.allclose(found, [chosen[:, 5].std(ddof=1), np.nan, chosen[:, 9].std(ddof=1)], rtol=1e-4, equal_nan=True)
    one = response_intervals(pooled, directions, 5, np.zeros(len(vectors_of(pooled, 5))))
    assert one["se"][0] == pytest.approx(chosen[:, 5].std(ddof=1), rel=1e-4)


@pytest.mark.parametrize("rule", [Rule("highest", fraction=0.2), Rule("middle", count=7), Rule("lowest", by="reward_margin")], ids=str)
@pytest.mark.parametrize("held_bytes", [2**20, 1_000])
def test_the_share_is_that_of_selections_made_draw_by_draw(
    view: View, rule: Rule, held_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "HELD_BYTES", held_bytes)
    pooled, head = open_pooled(view), open_head(view)
    drawn = reliability.bootstrap(read_counts(view.parts[0].parent), 12)
    table = light_table(view)
    order = places(pooled, table["id"].tolist())
    times = np.zeros(ROWS)
    for d in drawn.d:
        found = rewards(pooled, head, np.bincount(drawn.token_ids, weights=d, minlength=len(head.weight)))
        times += kept(table.assign(**{rule.by: found[rule.by][order]}), rule)
    count = int(kept(table, rule).sum())
    shares = kept_probability(pooled, draws(head, drawn), rule, pooled.train(), count)
    assert np.allclose(shares[order], times / 12)
    assert uncertain(shares).any()


def test_a_fold_without_tokens_on_a_side_cannot_be_fitted_across(view: View) -> None:
    counts = read_counts(view.parts[0].parent)
    rejected = np.where(counts.groups % 2 == 1, 0, counts.rejected)
    assert fold_draws(open_head(view), replace(counts, rejected=rejected)) is None


def test_cross_fitted_rewards_are_those_under_the_other_folds_d(view: View) -> None:
    pooled, head, counts = open_pooled(view), open_head(view), read_counts(view.parts[0].parent)
    folds = fold_draws(head, counts)
    assert folds is not None
    under = [rewards(pooled, head, reliability.fold_d(counts, fold))["reward_chosen"] for fold in (0, 1)]
    fold = np.array([group_of(name) % 2 for name in pooled.rows["conversation"].to_pylist()])
    assert set(fold) == {0, 1}
    found = [cross_fitted_responses(pooled, folds, row)[pooled.chosen[row] - pooled.starts[row]] for row in range(len(fold))]
    assert np.allclose(found, np.where(fold == 1, under[0], under[1]), atol=1e-6)
