"""Rank correlations, overlaps and ties to length, against arithmetic by hand and against pandas."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from deft_core.relations import Relations, agreement, length_ties, ranks, relations
from deft_core.rule import Rule
from deft_core.selection import kept

NONE = np.nan


def related(fraction: float = 0.05, **columns: list[float]) -> Relations:
    return relations({name: ranks(np.array(values, dtype=float)) for name, values in columns.items()}, fraction)


def test_ranks_are_doubled_averaged_over_ties_and_zero_without_a_value() -> None:
    # sorted: -1, 2, 2, 7 -> ranks 1, (2 + 3) / 2, (2 + 3) / 2, 4
    assert list(ranks(np.array([2.0, NONE, 7.0, -1.0, 2.0, np.inf]))) == [5, 0, 8, 2, 5, 0]
    assert list(ranks(np.array([NONE]))) == [0] and len(ranks(np.array([]))) == 0


def test_a_rank_correlation_by_hand() -> None:
    found = related(a=[10, 20, 30, 40], b=[1, 3, 2, 4], c=[4, 3, 2, 1], tied=[1, 1, 5, 9])
    # without ties 1 - 6 sum(differences²) / (n (n² - 1)): 1 - 6 (0 + 1 + 1 + 0) / (4 * 15) = 0.8
    assert found.correlation[0, 1] == pytest.approx(0.8) and found.correlation[0, 2] == pytest.approx(-1)
    # ranks 1 2 3 4 and 1.5 1.5 3 4: deviations -1.5 -0.5 0.5 1.5 and -1 -1 0.5 1.5
    # products 1.5 + 0.5 + 0.25 + 2.25 = 4.5; squares 5 and 4.5: 4.5 / sqrt(5 * 4.5) = 0.9486833
    assert found.correlation[0, 3] == pytest.approx(4.5 / math.sqrt(22.5))
    assert np.array_equal(found.correlation, found.correlation.T) and list(np.diag(found.correlation)) == pytest.approx([1, 1, 1, 1])


def test_rows_without_a_value_are_left_out_pair_by_pair() -> None:
    found = related(a=[1, 2, 3, 4, 5], b=[NONE, 9, 8, 7, NONE], c=[5, NONE, 1, 2, 3], gone=[NONE] * 5)
    # a and c share rows 1 3 4 5: ranks 1 2 3 4 and 4 1 2 3: 1 - 6 (9 + 1 + 1 + 1) / 60 = -0.2
    assert found.correlation[0, 2] == pytest.approx(-0.2) and found.correlation[0, 1] == pytest.approx(-1)
    # b and c share rows 3 and 4: 8 7 against 1 2
    assert found.correlation[1, 2] == pytest.approx(-1)
    assert found.rows[:3, :3].tolist() == [[5, 3, 4], [3, 3, 2], [4, 2, 4]]
    assert np.isnan(found.correlation[3]).all() and list(found.rows[3]) == [0, 0, 0, 0]


def test_a_column_of_one_value_has_no_correlation() -> None:
    assert np.isnan(related(a=[1, 2, 3], b=[4, 4, 4]).correlation[0, 1])


def test_many_rows_agree_with_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deft_core.relations.CHUNK", 64)
    random = np.random.default_rng(3)
    table = pd.DataFrame({"a": random.normal(size=500), "b": random.integers(0, 5, 500).astype(float), "c": random.normal(size=500)})
    table["d"] = table["a"] - 2 * table["c"] + random.normal(size=500)
    table.loc[::7, ["a", "b"]], table.loc[::5, "c"] = NONE, NONE
    found = relations({name: ranks(table[name].to_numpy()) for name in table})
    # pandas ranks before it leaves out rows: leave them out first
    for i, one in enumerate(table):
        for j, other in enumerate(table):
            both = table[[one, other]].to_numpy()
            both = both[~np.isnan(both).any(axis=1)]
            assert found.correlation[i, j] == pytest.approx(pd.Series(both[:, 0]).rank().corr(pd.Series(both[:, 1]).rank()), abs=1e-12)
            assert found.rows[i, j] == len(both)


def test_the_overlap_is_the_share_of_the_end_in_common() -> None:
    # half of six rows are three: lowest by a rows 1 2 3, by b rows 1 2 6: 2 of 3; highest by a rows 4 5 6, by b rows 3 4 5: 2 of 3
    found = related(0.5, a=[1, 2, 3, 4, 5, 6], b=[1, 2, 5, 6, 7, 3], c=[6, 5, 4, 3, 2, 1])
    assert found.lowest[0].tolist() == pytest.approx([1, 2 / 3, 0]) and found.highest[0].tolist() == pytest.approx([1, 2 / 3, 0])
    # 5 % of 31 rows: 1.55, rounded 2; of 3 rows: 0.15, at least one
    rising = list(range(31))
    assert related(a=rising, b=[0, 2, 1, *rising[3:]]).lowest[0, 1] == 0.5
    assert related(a=[1, 2, 3], b=[1, 3, 2]).lowest[0, 1] == 1.0


def test_rows_tied_at_the_end_take_part_as_by_lot() -> None:
    # two of four rows; by a rows 1 and 2; by tied row 1 and one of rows 2 3 4, each with 1/3: (1 + 1/3) / 2
    found = related(0.5, a=[1, 2, 3, 4], tied=[0, 1, 1, 1], other=[2, 2, 2, 2])
    assert found.lowest[0, 1] == pytest.approx(2 / 3)
    # highest by a rows 3 and 4; by tied two of rows 2 3 4, each with 2/3: (2/3 + 2/3) / 2; all alike: chance, 2 of 4
    assert found.highest[0, 1] == pytest.approx(2 / 3) and found.lowest[0, 2] == pytest.approx(0.5)
    assert list(np.diag(found.lowest)) == [1, 1, 1]


def test_ties_to_length_have_an_interval_and_a_reading() -> None:
    names = ("length", "loose", "none", "strong", "one_value")
    row = np.array([1.0, 0.2, -0.01, -0.5, NONE])
    correlation, rows = np.tile(row, (5, 1)), np.full((5, 5), 403)
    found = length_ties(Relations(names, rows, correlation, correlation, correlation), "length")
    assert list(found["column"]) == ["strong", "loose", "none", "one_value"]
    assert list(found["reading"]) == [
        "falls with length",
        "rises weakly with length",
        "no tie to length seen",
        "too little to say",
    ]
    # atanh(-0.5) = -0.549306; standard error sqrt((1 + 0.125) / 400) = 0.0530330; times 1.959964: 0.1039428
    # tanh(-0.6532488) = -0.573853, tanh(-0.4453632) = -0.418080
    assert found["low"][0] == pytest.approx(-0.573853, abs=1e-5) and found["high"][0] == pytest.approx(-0.418080, abs=1e-5)


def test_a_slight_tie_is_hardly_one_and_few_rows_say_little() -> None:
    correlation = np.array([[1.0, 0.05], [0.05, 1.0]])
    many, few = (length_ties(Relations(("length", "a"), np.full((2, 2), n), *[correlation] * 3), "length") for n in (100_000, 2))
    assert many["reading"][0] == "hardly tied to length" and few["reading"][0] == "too little to say"


def test_two_columns_agree_as_in_the_matrix() -> None:
    # ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4: deviations -1.5, 0, 0, 1.5 and -0.5, -1.5, 0.5, 1.5
    # sum of products 0.75 + 2.25 = 3; 4.5 and 5: 3 / sqrt(22.5)
    before, after = np.array([1.0, 5.0, 5.0, 9.0]), np.array([20.0, 10.0, 30.0, 40.0])
    assert agreement(before, after) == (pytest.approx(3 / math.sqrt(22.5)), 1)  # at least one row: the last in both
    assert agreement(before, np.array([20.0, 10.0, NONE, 40.0]))[0] == pytest.approx(0.5)  # 1, 2, 3 and 2, 1, 3
    assert np.isnan(agreement(np.ones(3), np.arange(3.0))[0])
    assert np.isnan(agreement(np.array([NONE]), np.ones(1))[0]) and agreement(np.array([NONE]), np.ones(1))[1] == 0


def test_the_highest_of_two_columns_are_rounded_as_a_rule_is_and_ties_go_by_lot() -> None:
    rising = np.arange(10.0)
    # three of ten: rows 9, 8, 7 and rows 0, 8, 7
    assert agreement(rising, np.array([9.0, 1, 2, 3, 4, 5, 6, 7, 8, 0]), 0.3)[1] == pytest.approx(2 / 3)
    # a quarter of ten rows, 2.5, is three, as many as a rule keeps: rows 9, 8, 7 and rows 9, 8, 0
    assert (
        int(
            kept(
                pd.DataFrame({"split": "train", "id": list("abcdefghij"), "value": rising}), Rule("highest", by="value", fraction=0.25)
            ).sum()
        )
        == 3
    )
    assert agreement(rising, np.array([7.0, 1, 2, 3, 4, 5, 6, 0, 8, 9]), 0.25)[1] == pytest.approx(2 / 3)
    # half of four: rows 3 and 2; of the other column two of its rows 0, 1, 2 that are alike, each with 2/3: (0 + 2/3) / 2
    assert agreement(np.arange(4.0), np.array([5.0, 5, 5, 1]), 0.5)[1] == pytest.approx(1 / 3)
    assert agreement(np.array([1.0, 1, 1, 0]), np.array([4.0, 4, 4, 2]), 0.5)[1] == 1  # the same order, whoever draws the lot
