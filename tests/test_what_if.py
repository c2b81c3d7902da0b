"""Another d from counts: the arithmetic, counts of fewer rows, agreement with the original, and the saved column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from deft_core import token_masks
from deft_core.discrepancy import read_table
from deft_core.errors import InputError
from deft_core.group_counts import read_counts
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.pooled import REWARDS, open_head, open_pooled, turned
from deft_core.queries import View, light_table, open_view
from deft_core.what_if import Answer, Change, answer, changed_d, counted, save
from deft_core.workspace import Workspace
from tests.score_sets import Words, preferences, write_demo

ROWS = 60


def asked(view: View, change: Change, kept: list[str] | None = None, flipped: tuple[str, ...] = ()) -> Answer:
    return answer(view, open_pooled(view), open_head(view), change, kept, flipped)


def test_masking_and_smoothing_by_hand() -> None:
    chosen, rejected = np.array([6, 3, 1, 0]), np.array([2, 2, 0, 0])
    masked = np.array([True, False, False, False])
    # without token 0: 3/4, 1/4, 0 and 2/2, 0, 0; token 3 never occurs
    assert changed_d(chosen, rejected, masked).tolist() == [0, -0.25, 0.25, 0]
    # A = 1: (3 + 1)/6, (1 + 1)/6 and (2 + 1)/4, (0 + 1)/4; token 3 gets nothing
    assert changed_d(chosen, rejected, masked, 1).tolist() == pytest.approx([0, 4 / 6 - 3 / 4, 2 / 6 - 1 / 4, 0])
    assert changed_d(chosen, rejected, masked, 0.5).sum() == pytest.approx(0)
    with pytest.raises(InputError, match="a token left among the rejected responses"):
        changed_d(chosen, rejected, np.array([True, True, False, False]))


def test_no_change_is_the_d_the_rows_were_scored_with(view: View) -> None:
    found, table = asked(view, Change()), light_table(view).set_index("id")
    ids = open_pooled(view).rows["id"].to_pylist()
    assert np.allclose(found.d, read_table(view.parts[0].parent)["d"])
    for column in REWARDS:
        assert np.allclose(found.rewards[column], table.loc[ids, column], atol=1e-6)
    assert (found.rank_correlation, found.kept_overlap, found.masked_tokens) == (pytest.approx(1), 1, 0)


def test_a_masked_d_rewards_by_the_tokens_that_are_left(view: View) -> None:
    found, head, pooled = asked(view, Change(mask=("stopwords", "sorry"), smooth=2)), open_head(view), open_pooled(view)
    table = read_table(view.parts[0].parent)
    masked = token_masks.masked(table, ("stopwords", "sorry"))
    assert found.masked_tokens == masked.sum() > 3
    assert not found.d[masked].any() and found.d.sum() == pytest.approx(0)
    vectors = pooled.parts[0].vectors()  # R = d . (W h) of the first response
    assert found.rewards["reward_chosen"][0] == pytest.approx(float(found.d @ (head.weight @ vectors[0])), abs=1e-6)
    assert found.rank_correlation < 1


def test_all_rows_counted_again_are_the_counts_there_were(view: View) -> None:
    pooled, table = open_pooled(view), read_table(view.parts[0].parent)
    chosen, rejected = counted(view, pooled, pooled.train(), len(table))
    assert np.array_equal(chosen, table["count_chosen"]) and np.array_equal(rejected, table["count_rejected"])


def test_one_source_counts_its_training_rows_alone(view: View) -> None:
    found, table = asked(view, Change(source="forum")), read_table(view.parts[0].parent)
    ids = {token: number for number, token in enumerate(table["bytes"])}
    counts = np.zeros((2, len(table)))
    for place, preference in enumerate(preferences(ROWS)):
        if preference.source == "forum" and place % 10 < 8:
            for response in preference.responses:
                for piece in Words.pieces(response.text):
                    counts[int(response.rank > 1), ids[piece]] += 1
    assert counts.sum() > 0
    assert np.allclose(found.d, counts[0] / counts[0].sum() - counts[1] / counts[1].sum())
    with pytest.raises(InputError, match=r"none of the source 'mail' \(there: forum, letters\)"):
        asked(view, Change(source="mail"))


def test_kept_rows_alone_and_a_flipped_one_the_other_way(view: View) -> None:
    pooled = open_pooled(view)
    row = next(n for n in range(ROWS) if pooled.starts[n + 1] - pooled.starts[n] == 2 and pooled.train()[n])
    row_id = pooled.rows["id"][row].as_py()
    straight, flipped = asked(view, Change(), [row_id]), asked(view, Change(), [row_id], (row_id,))
    assert straight.d.any() and np.allclose(straight.d, -flipped.d)
    heldout = pooled.rows["id"][int(np.flatnonzero(~pooled.train())[0])].as_py()
    with pytest.raises(InputError, match="training rows to count tokens in"):
        asked(view, Change(), [heldout])


def test_in_a_flipped_ranking_the_first_and_the_last_change_places(view: View) -> None:
    pooled, vocabulary = open_pooled(view), len(open_head(view).weight)
    row = next(n for n in range(ROWS) if pooled.starts[n + 1] - pooled.starts[n] == 3 and pooled.train()[n])
    only, row_id = np.arange(ROWS) == row, pooled.rows["id"][row].as_py()
    (top, others), (after, rest) = (counted(view, one, only, vocabulary) for one in (pooled, turned(pooled, [row_id])))
    lengths = np.concatenate([pq.read_table(part)["tokens"].combine_chunks().flatten() for part in view.parts])
    first, middle, last = (int(n) for n in lengths[pooled.starts[row] : pooled.starts[row + 1]])
    assert (top.sum(), others.sum()) == (first, middle + last)
    assert (after.sum(), rest.sum()) == (last, middle + first)


def test_rows_that_are_not_scored_yet_cannot_be_counted(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_demo(workspace, ROWS, done=40)
    view = open_view(workspace, "demo")
    assert len(asked(view, Change(smooth=1)).rewards["reward_mean"]) == 40
    with pytest.raises(InputError, match=r"found 10 of 12.*deft score demo"):
        asked(view, Change(source="forum"))


def test_a_what_if_is_saved_as_a_column_of_the_score_set(workspace: Workspace, view: View) -> None:
    change = Change(mask=("punctuation",), smooth=1)
    found, pooled = asked(view, change), open_pooled(view)
    path = save(view, pooled, "plain", change, found)
    view = open_view(workspace, "demo")
    assert view.what_ifs == (path,)
    table = light_table(view).set_index("id").loc[pooled.rows["id"].to_pylist()]
    for name, column in zip(("plain", "plain_rejected", "plain_margin", "plain_mean"), REWARDS, strict=True):
        assert np.array_equal(table[name], found.rewards[column])
    about = json.loads(pq.read_schema(path).metadata[b"what_if"])
    assert (about["mask"], about["smooth"], about["source"], about["kept"]) == (["punctuation"], 1, None, None)
    assert about["rank_correlation"] == found.rank_correlation
    with pytest.raises(InputError, match="a what-if already"):
        save(view, pooled, "plain", change, found)
    save(view, pooled, "plain", Change(), asked(view, Change()), replace=True)
    table = light_table(open_view(workspace, "demo"))
    assert np.allclose(table["plain"], table["reward_chosen"], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["reward_chosen", "Turns", "chosen", "reward", "extra_topic", "Decision", "noise_mine", "a name", "9", "", "x" * 41]
)
def test_a_column_name_that_is_taken_or_none_is_refused(view: View, name: str) -> None:
    with pytest.raises(InputError, match=r"a column name of|a name whose columns"):
        save(view, open_pooled(view), name, Change(), asked(view, Change()))


def test_smoothing_by_less_than_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        Change(smooth=-1)


def test_counts_and_rewards_of_the_real_scorer(small: Workspace, tiny: Path) -> None:
    score(small, "small", ScoreSettings(model=str(tiny), batch_tokens=512))
    view = open_view(small, "small")
    pooled, folder = open_pooled(view), view.parts[0].parent
    totals = read_counts(folder).totals()
    again = counted(view, pooled, pooled.train(), len(totals[0]))
    assert all(np.array_equal(one, other) for one, other in zip(totals, again, strict=True))
    found, table = asked(view, Change()), light_table(view).set_index("id")
    ids = pooled.rows["id"].to_pylist()
    for column in REWARDS:
        assert np.abs(found.rewards[column] - table.loc[ids, column]).max() < 1e-6
