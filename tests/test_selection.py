"""What a rule keeps of small tables worked out by hand, and that the order of their rows does not matter."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from deft_core.errors import InputError
from deft_core.rule import KEEPS
from deft_core.selection import Ids, Rule, borders, by_chance, control, control_pool, cuts, kept, pool, ranking, subset


@dataclass(frozen=True)
class Made:
    kept: frozenset[str] = field(default_factory=frozenset)
    dropped: frozenset[str] = field(default_factory=frozenset)


def table(rewards, **columns):
    """Rows a, b, c ... of training, with these rewards."""
    ids = [chr(ord("a") + place) for place in range(len(rewards))]
    frame = pd.DataFrame({"id": ids, "split": "train", "source": "s", "characters_chosen": 10, "reward_chosen": rewards} | columns)
    return frame.astype({"split": "category", "source": "category"})


def large(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    columns = {
        "id": [f"{rng.integers(2**60):015x}-{place % 11}" for place in range(rows)],
        "split": rng.choice(["train", "heldout", "judge"], rows, p=[0.8, 0.1, 0.1]),
        "source": rng.choice(["forum", "letters", None], rows, p=[0.5, 0.4, 0.1]),
        "tokens_chosen": rng.integers(1, 60, rows).astype(float),
        "reward_chosen": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 40, rows) / 8),  # many ties
    }
    return pd.DataFrame(columns).astype({"split": "category", "source": "category"})


def names(frame, mask):
    return "".join(sorted(frame["id"][mask]))


FIVE = table([5.0, 1.0, 3.0, 2.0, 4.0])  # by rank: b d c e a


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("highest", count=2), "ae"),
        (Rule("lowest", count=2), "bd"),
        (Rule("middle", count=1), "c"),  # rank 3 of 5
        (Rule("middle", count=2), "cd"),  # ranks 2 and 4 are equally near to 3: the lower
        (Rule("middle", count=4), "bcde"),  # ranks 1 to 4: 1 and 5 are equally near
        (Rule("highest", fraction=0.5), "ace"),  # 2.5 rows, rounded half up
        (Rule("highest", fraction=0.01), "a"),  # 0.05 rows: at least one
        (Rule("highest", count=9), "abcde"),
        (Rule("highest", value=4.0), "ae"),
        (Rule("lowest", value=2.0), "bd"),
        (Rule("highest", value=9.0), ""),
        (Rule("range", low=2.0, high=4.0), "cde"),
        (Rule("range", high=2.5), "bd"),
        (Rule("range", low=4.5), "a"),
    ],
    ids=str,
)
def test_what_a_rule_keeps_of_five_rows(rule, expected):
    assert names(FIVE, kept(FIVE, rule)) == expected


def test_ties_are_broken_by_id():
    frame = table([1.0, 1.0, 1.0, 2.0])
    assert names(frame, kept(frame, Rule("lowest", count=2))) == "ab"
    assert names(frame, kept(frame, Rule("highest", count=2))) == "cd"
    backwards = frame[::-1].reset_index(drop=True)
    assert names(backwards, kept(backwards, Rule("lowest", count=2))) == "ab"


def test_only_training_rows_with_a_value_that_pass_where_take_part():
    frame = table([5.0, np.nan, 3.0, 2.0, 4.0], split=["heldout", "train", "train", "train", "judge"])
    assert names(frame, pool(frame, Rule("highest"))) == "cd"
    for keep in KEEPS[:4]:
        assert names(frame, kept(frame, Rule(keep, fraction=1.0))) == "cd"
    where = np.array([True, True, False, True, True])
    assert names(frame, kept(frame, Rule("highest", fraction=1.0), where)) == "d"
    assert not kept(frame, Rule("random", fraction=1.0), np.zeros(5, dtype=bool)).any()
    assert not kept(frame, Rule("stratified", fraction=1.0), np.zeros(5, dtype=bool)).any()


def test_shares_of_sources_are_proportional_with_the_largest_remainders_rounded_up():
    # sources x, y, z with 5, 3 and 2 rows; 4 of 10: 2.0, 1.2 and 0.8 -> 2, 1 and 0, and the row left goes to z (0.8)
    frame = table([float(place) for place in range(10)], source=list("xxxxxyyyzz"))  # a..e, f..h, i j
    assert names(frame, kept(frame, Rule("stratified", count=4))) == "dehj"
    assert names(frame, kept(frame, Rule("stratified", count=4, within="lowest"))) == "abfi"
    random = kept(frame, Rule("stratified", count=4, within="random", seed=3))
    assert frame["source"][random].value_counts().to_dict() == {"x": 2, "y": 1, "z": 1}
    # 5 of 10: 2.5, 1.5 and 1.0 -> 2, 1 and 1, the row left goes to the first of the two halves: x
    assert names(frame, kept(frame, Rule("stratified", count=5))) == "cdehj"


def test_bands_of_length_are_fifths():
    # lengths 1 to 10: quantiles at 2.8, 4.6, 6.4 and 8.2 make bands of two rows; one of each is kept, the higher reward
    frame = table([9, 1, 1, 9, 9, 1, 1, 9, 9, 1], tokens_chosen=range(1, 11))
    assert names(frame, kept(frame, Rule("stratified", strata="length", count=5))) == "adehi"
    without = frame.drop(columns="tokens_chosen").assign(characters_chosen=range(10, 101, 10))
    assert names(without, kept(without, Rule("stratified", strata="length", count=5))) == "adehi"


def test_chance_depends_on_ids_and_seed_alone():
    frame = large()
    first = frame["id"][kept(frame, Rule("random", count=60, seed=1))]
    other = frame["id"][kept(frame, Rule("random", count=60, seed=2))]
    assert len(first) == len(other) == 60 and set(first) != set(other)
    # of half of the rows, a draw keeps those it would keep of all
    half = frame[:200].reset_index(drop=True)
    inside = set(first) & set(half["id"])
    assert inside <= set(half["id"][kept(half, Rule("random", count=60, seed=1))])
    wider = pd.concat([frame, frame[:1].assign(id="a much longer id than any other in this table")], ignore_index=True)
    assert list(Ids(wider["id"]).hashes[:400]) == list(Ids(frame["id"]).hashes)


def test_chance_is_even():
    # 4,000 ids, 1,000 kept: each of four quarters by id expects 250 with a standard deviation of about 12
    ids = Ids(f"{place:016x}-0" for place in range(4000))
    quarters = control(np.ones(4000, dtype=bool), ids, 1000, seed=5).reshape(4, 1000).sum(axis=1)
    drawn = by_chance(np.ones(4000, dtype=bool), ids, seed=5)[:1000]  # the same rows in the order of chance
    assert list(np.bincount(drawn // 1000)) == list(quarters)
    assert quarters.sum() == 1000 and all(abs(quarters - 250) < 60)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_does_not_matter(keep, seed):
    frame = large(seed=seed)
    ends = {"low": 1.0, "high": 3.0} if keep == "range" else {"fraction": 0.13}
    for within in ("highest", "random"):
        for strata in ("source", "length"):
            rule = Rule(keep, **ends, seed=seed, strata=strata, within=within)
            shuffled = frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)
            mask = kept(frame, rule)
            assert set(frame["id"][mask]) == set(shuffled["id"][kept(shuffled, rule)])
            members = pool(frame, rule)
            assert not (mask & ~members).any()
            if keep != "range":
                assert mask.sum() == int(0.13 * members.sum() + 0.5)


def test_an_order_that_was_kept_gives_the_same_rows():
    frame = large()
    ids = Ids(frame["id"])
    order, members = ranking(frame["reward_chosen"].to_numpy(float), ids), pool(frame, Rule("highest"))
    for keep in ("highest", "lowest", "middle", "stratified"):
        again = kept(frame, Rule(keep), ids=ids, members=members, ranked=order[members[order]])
        assert list(again) == list(kept(frame, Rule(keep)))


def test_a_column_that_cannot_rank_is_refused_with_those_that_can():
    with pytest.raises(InputError, match=r"'source'.*characters_chosen, reward_chosen"):
        kept(FIVE, Rule("highest", by="source"))
    with pytest.raises(InputError, match="'difficulty'"):
        kept(FIVE, Rule("highest", by="difficulty"))


@pytest.mark.parametrize(
    ("rule", "values", "places"),
    [
        (Rule("highest", count=2), [4.0], [3]),
        (Rule("lowest", count=2), [2.0], [2]),
        (Rule("middle", count=3), [2.0, 4.0], [1, 4]),
        (Rule("range", low=2.5), [2.5], [2]),
        (Rule("range", low=1.5, high=4.5), [1.5, 4.5], [1, 4]),
        (Rule("highest", value=9.0), [9.0], []),
        (Rule("highest", fraction=1.0), [1.0], []),
    ],
    ids=str,
)
def test_cuts_by_value_and_in_the_ranking(rule, values, places):
    rewards, mask = FIVE["reward_chosen"].to_numpy(), kept(FIVE, rule)
    assert cuts(rule, rewards[mask]) == values
    assert borders(rule, rewards, ranking(rewards, Ids(FIVE["id"])), int(mask.sum())) == places


def test_rules_by_chance_have_no_cut():
    for rule in (Rule("random", count=2), Rule("stratified", count=2)):
        rewards = FIVE["reward_chosen"].to_numpy()
        assert cuts(rule, rewards[kept(FIVE, rule)]) == []
        assert borders(rule, rewards, ranking(rewards, Ids(FIVE["id"])), 2) == []


# decisions


def test_a_subset_is_the_rule_and_the_decisions():
    frame = table([5.0, 1.0, 3.0, 2.0, 4.0, 6.0], split=["train"] * 5 + ["heldout"])
    rule = kept(frame, Rule("highest", count=2))  # a and e
    both = subset(frame, rule, Made(frozenset("abf"), frozenset("ec")))  # f is held out, c is not kept anyhow
    assert names(frame, both.mask) == "ab"
    assert (list(both.added), list(both.removed), list(both.conflicts)) == ([1], [4], [1, 4])
    assert names(frame, rule) == "ae"  # the rule's own mask is left as it was
    assert list(subset(frame, rule, Made(frozenset(["unknown"]))).mask) == list(rule)


def test_a_control_is_drawn_from_the_rules_own_pool_without_dropped_rows():
    frame = table([5.0, 1.0, 3.0, 2.0, np.nan, 6.0], split=["train"] * 5 + ["heldout"])
    where = np.array([True, True, True, False, True, True])
    ids = Ids(frame["id"])
    members = control_pool(pool(frame, Rule("highest"), where), Made(frozenset("bd"), frozenset("c")), ids)
    assert names(frame, members) == "ab"  # d is kept by hand but outside of the rule's pool, c was dropped, e has no value
    assert set(by_chance(members, ids)) == {0, 1}
    assert control(members, ids, 1).sum() == 1 and control(members, ids, 9).sum() == 2
    assert not control(members & False, ids, 3).any()
