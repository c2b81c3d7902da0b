"""Token counts by group of conversations: the arithmetic, the file, and that a score set made for the tests keeps the method's formulas."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from deft_core import group_counts
from deft_core.discrepancy import discrepancy, head_vector, read_table, rescore
from deft_core.errors import InputError
from deft_core.group_counts import GROUPS, GroupCounter, GroupCounts, group_of, read_counts, write_counts
from tests.score_sets import write_demo


def entries(counts: GroupCounts) -> list[tuple[int, ...]]:
    """(token, group, chosen, rejected) of every entry."""
    columns = counts.token_ids, counts.groups, counts.chosen, counts.rejected
    return [tuple(int(value) for value in entry) for entry in zip(*columns, strict=True)]


def test_a_group_is_a_hash_of_the_conversation_that_never_changes():
    # blake2b of 4 bytes, big-endian, modulo 2,048: 0xca234c55, 0xfd9d3f51, 0x1271cf25
    assert [group_of(word) for word in ("a", "b", "")] == [1109, 1873, 1829]
    groups = np.bincount([group_of(str(n)) for n in range(20_480)], minlength=GROUPS)
    assert len(groups) == GROUPS and groups.min() >= 1 and groups.max() < 30  # ten on average


def test_tokens_are_added_up_by_token_and_group():
    counter = GroupCounter(vocabulary=6)
    counter.add(["a", "b"], [[1, 1, 5], [1]], [[2], [1, 5]])
    counter.add(["a"], [[1]], [[]])
    counts = counter.counts(conversations=2)
    # token 1: in group 1109 ("a") 2 + 1 times chosen, in 1873 ("b") once chosen and once rejected; 2: once rejected in a; 5: once a side
    assert entries(counts) == [(1, 1109, 3, 0), (1, 1873, 1, 1), (2, 1109, 0, 1), (5, 1109, 1, 0), (5, 1873, 0, 1)]
    assert [side.tolist() for side in counts.totals()] == [[0, 4, 0, 0, 0, 1], [0, 1, 1, 0, 0, 1]]


def test_entries_merged_now_and_then_are_those_merged_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [(str(rng.integers(40)), rng.integers(0, 50, 9).tolist(), rng.integers(0, 50, 7).tolist()) for _ in range(200)]
    once, often = GroupCounter(50), GroupCounter(50)
    once.add(*zip(*rows, strict=True))
    monkeypatch.setattr(group_counts, "_LOOSE", 100)
    for row in rows:
        often.add(*([value] for value in row))
        assert sum(len(keys) for sides in often._loose for keys in sides) <= 100
    assert entries(once.counts(40)) == entries(often.counts(40))


def test_what_others_counted_is_added_up():
    rng = np.random.default_rng(1)
    rows = [(str(rng.integers(40)), rng.integers(0, 50, 9).tolist(), rng.integers(0, 50, 7).tolist()) for _ in range(90)]
    once, together = GroupCounter(50), GroupCounter(50)
    once.add(*zip(*rows, strict=True))
    together.add(*zip(*rows[:30], strict=True))  # itself
    for k in (30, 50, 70):
        other = GroupCounter(50)
        other.add(*zip(*rows[k : k + 20], strict=True))
        together.absorb(other)
    assert entries(together.counts(40)) == entries(once.counts(40))


def test_nothing_counted_is_no_entry():
    counter = GroupCounter(3)
    counter.add([], [], [])
    assert entries(counter.counts(0)) == [] and counter.counts(0).totals()[0].tolist() == [0, 0, 0]


def test_counts_are_read_as_they_were_written(tmp_path):
    counter = GroupCounter(9)
    counter.add(["a", "b"], [[1], [2]], [[3], [8]])
    write_counts(tmp_path, counter.counts(2))
    found = read_counts(tmp_path)
    assert entries(found) == entries(counter.counts(2)) and (found.vocabulary, found.conversations) == (9, 2)
    assert [str(field.type) for field in pq.read_schema(tmp_path / "counts.parquet")] == ["int16", "int32", "int64", "int64"]


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_counts_that_cannot_be_read_are_an_error_in_words(tmp_path, content):
    if content:
        (tmp_path / "counts.parquet").write_bytes(content)
    remedy = "Remove the folder .* and score the dataset again" if content else "score the dataset again with another --max-length"
    with pytest.raises(InputError, match=f"token counts by conversation in .*{remedy}"):
        read_counts(tmp_path)


def test_the_score_sets_of_these_tests_keep_the_methods_formulas(workspace):
    folder = write_demo(workspace, 60, done=40)
    d = read_table(folder)["d"].to_numpy()
    assert np.array_equal(discrepancy(*read_counts(folder).totals()), d)  # both from the training rows
    u = head_vector(np.load(folder / "head.npy"), d)
    for number in (0, 1):
        rewards = pq.read_table(folder / f"part-{number:05}.parquet")["rewards"].to_pylist()
        found = rescore(np.load(folder / f"pooled-{number:05}.npy"), u)
        assert found == pytest.approx([reward for row in rewards for reward in row], abs=1e-6)  # R = u . mean h_t
