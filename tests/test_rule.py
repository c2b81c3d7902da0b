"""Rules: exactly one amount, settings that matter, and words."""

import pytest

from deft_core.errors import InputError
from deft_core.rule import Rule, usual, words


def test_a_rule_keeps_five_percent_by_reward_chosen_unless_told():
    assert Rule("highest").as_dict() == {"keep": "highest", "by": "reward_chosen", "fraction": 0.05, "where": ""}
    assert Rule("highest") == Rule("highest", fraction=0.05)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"keep": "best"}, "keep as one of highest, lowest"),
        ({"keep": "stratified", "strata": "colour"}, "strata as one of source, length"),
        ({"fraction": 0.1, "count": 3}, "one of fraction, count, value with highest"),
        ({"keep": "middle", "value": 3.0}, "one of fraction, count with middle"),
        ({"keep": "range"}, "low, high or both with range"),
        ({"keep": "range", "low": 1.0, "count": 3}, "low, high or both with range"),
        ({"keep": "range", "low": 2.0, "high": 1.0}, "a range whose low end"),
        ({"fraction": 5.0}, "a fraction above 0 and at most 1"),
        ({"fraction": 0.0}, "a fraction above 0 and at most 1"),
        ({"count": 0}, "a count of at least 1"),
        ({"value": float("nan")}, "a finite number as value"),
        ({"by": ""}, "a column of numbers"),
        ({"seed": 2**63}, "a seed of 64 bits"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_work_is_refused(settings, expected):
    with pytest.raises(InputError) as error:
        Rule(**({"keep": "highest"} | settings))
    assert error.value.expected.startswith(expected)


def test_only_what_matters_is_written_and_read_back():
    assert "seed" not in Rule("highest", seed=7).as_dict()
    for rule in (
        Rule("random", count=3, seed=7),
        Rule("stratified", strata="length", within="random", seed=2),
        Rule("range", low=-1, high=2.5, where="turns > 1"),
        Rule("lowest", by="turns", value=2),
    ):
        assert Rule.from_dict(rule.as_dict()) == rule
    assert Rule("highest", value=1).as_dict()["value"] == 1.0


@pytest.mark.parametrize("settings", [{"kept": "highest"}, {"fraction": "0.1"}, {"count": True}, {"by": 3}, {"keep": ["highest"]}], ids=str)
def test_settings_that_are_no_rule_are_named(settings):
    with pytest.raises(InputError) as error:
        Rule.from_dict(settings)
    assert next(iter(settings)) in error.value.found


def test_settings_that_do_not_say_what_is_kept_are_refused():
    with pytest.raises(InputError) as error:
        Rule.from_dict({"by": "turns"})
    assert error.value.expected.startswith("keep as one of highest, lowest")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, Rule("random", fraction=0.05)),
        ({"fraction": 0.1, "where": "turns > 1", "seed": 3}, Rule("random", fraction=0.1, where="turns > 1", seed=3)),
        ({"by": "turns"}, Rule("highest", "turns")),
        ({"value": 0.1}, Rule("highest", value=0.1)),
        ({"by": "turns", "low": 2}, Rule("range", "turns", low=2)),
        ({"high": 0.5}, Rule("range", high=0.5)),
        ({"strata": "length", "count": 4}, Rule("stratified", strata="length", count=4)),
        ({"within": "lowest", "by": "turns"}, Rule("stratified", "turns", within="lowest")),
        ({"keep": "lowest", "by": "turns"}, Rule("lowest", "turns")),
    ],
)
def test_what_is_usual_where_settings_do_not_say_it(given, rule):
    assert usual(given, scored=True) == rule


def test_without_scores_any_row_may_be_drawn():
    assert usual({"count": 2}, scored=False) == Rule("random", "characters_chosen", count=2)
    assert usual({"keep": "lowest"}, scored=False) == Rule("lowest", "reward_chosen")  # which is then missed


def test_words():
    assert words(Rule("highest")) == "highest 5 % by reward_chosen"
    assert words(Rule("random", count=3, where="turns > 1")) == "random 3 rows of those that have reward_chosen where turns > 1"
    assert words(Rule("lowest", "turns", count=1200, where="turns > 1")) == "lowest 1,200 rows by turns where turns > 1"
    assert words(Rule("highest", value=0.03125)) == "reward_chosen ≥ 0.03125"
    assert [words(Rule(keep, fraction=1.0, where="turns > 1")) for keep in ("random", "highest", "stratified")] == [
        "all rows that have reward_chosen where turns > 1"
    ] * 3
    assert words(Rule("range", low=0.01, high=0.02)) == "reward_chosen ≥ 0.01 and ≤ 0.02"
    assert words(Rule("stratified", fraction=0.125)) == "highest 12.5 % of each source by reward_chosen"
