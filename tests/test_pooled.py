"""Pooled vectors by row: rewards from them by hand, against token rewards, and against the real scorer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core.discrepancy import read_table
from deft_core.errors import InputError, NotFoundError
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.pooled import (
    REWARDS,
    Head,
    Part,
    Pooled,
    direction,
    directions,
    open_head,
    open_pooled,
    rewards,
    rewards_under,
    row_vectors,
    turned,
)
from deft_core.queries import View, open_view
from deft_core.workspace import Workspace, read_json, write_json
from tests.score_sets import SCORED

ROWS = 60


def by_hand(folder: Path) -> Pooled:
    """A pair and a ranking of three with a tie below the top, in two parts, H = 2."""
    rows = pa.table({"id": ["a", "b"], "split": ["train", "heldout"]})
    vectors = np.array([[1, 0], [0, 1], [2, 2], [4, 0], [0, 8]], np.float32)
    np.save(folder / "0.npy", vectors[:2])
    np.save(folder / "1.npy", vectors[2:])
    top = np.array([True, False, True, False, False])
    return Pooled(
        rows, np.array([0, 2, 5]), np.array([0, 2]), top, np.zeros(5, bool), (Part(0, 2, folder / "0.npy"), Part(1, 3, folder / "1.npy"))
    )


def columns(view: View, names: list[str]) -> dict[str, np.ndarray]:
    table = pa.concat_tables([pq.read_table(part, columns=names) for part in view.parts])
    return {name: table[name].to_numpy() for name in names}


def test_rows_have_one_vector_for_each_reward_column(tmp_path: Path) -> None:
    pooled = by_hand(tmp_path)
    vectors = {column: np.concatenate([found for _, found in row_vectors(pooled, column)]) for column in REWARDS}
    # row b: chosen (2, 2); rejected ((4, 0) + (0, 8)) / 2 = (2, 4); margin (0, -2); mean (6, 10) / 3
    assert vectors["reward_chosen"].tolist() == [[1, 0], [2, 2]]
    assert vectors["reward_rejected"].tolist() == [[0, 1], [2, 4]]
    assert vectors["reward_margin"].tolist() == [[1, -1], [0, -2]]
    assert np.allclose(vectors["reward_mean"], [[0.5, 0.5], [2, 10 / 3]])


def test_rewards_with_a_bias_and_a_scale_by_hand(tmp_path: Path) -> None:
    head = Head(np.array([[1, 0], [0, 1], [1, 1]], np.float32), np.array([1, 0, 2], np.float32), 2.0)
    d = np.array([0.5, 0.25, -0.75])
    u, offset = direction(head, d)
    # u = 0.5 (1, 0) + 0.25 (0, 1) - 0.75 (1, 1) = (-0.25, -0.5); b . d = 0.5 - 1.5 = -1
    assert u.tolist() == [-0.25, -0.5] and offset == -1
    found = rewards(by_hand(tmp_path), head, d)
    # row a: 2 (-0.25 - 1) = -2.5 and 2 (-0.5 - 1) = -3; row b: 2 (-1.5 - 1) = -5, 2 (-1 - 1) = -4, 2 (-4 - 1) = -10
    assert found["reward_chosen"].tolist() == [-2.5, -5]
    assert found["reward_rejected"].tolist() == [-3, -7]
    assert found["reward_margin"].tolist() == [0.5, 2]
    assert found["reward_mean"].tolist() == pytest.approx([-2.75, -19 / 3])
    us, offsets = directions(head, np.array([2, 0, 1]), np.array([[-0.75, 0.5, 0.25], [0, 0, 0]]))
    assert us.tolist() == [[-0.25, -0.5], [0, 0]] and offsets.tolist() == [-1, 0]
    for column in REWARDS:
        under = np.concatenate([values for _, values in rewards_under(by_hand(tmp_path), column, us, offsets, 2.0)])
        assert np.allclose(under[:, 0], found[column]) and not under[:, 1].any()


def test_rewards_agree_with_the_token_rewards(view: View) -> None:
    pooled, head = open_pooled(view), open_head(view)
    found = rewards(pooled, head, read_table(view.parts[0].parent)["d"].to_numpy())
    stored = columns(view, [*REWARDS, "id", "token_rewards"])
    assert pooled.rows["id"].to_pylist() == list(stored["id"]) and pooled.row_of(stored["id"][17]) == 17
    assert pooled.row_of("nobody") is None and pooled.train().sum() == 48  # two in ten are held out or the judge's
    for column in REWARDS:
        assert np.allclose(found[column], stored[column], atol=1e-6)
    means = [np.mean(response) for response in stored["token_rewards"][5]]
    assert np.isclose(found["reward_margin"][5], means[0] - np.mean(means[1:]), atol=1e-6)


def test_a_row_turned_round_has_its_last_response_for_the_chosen_one(tmp_path: Path) -> None:
    whole = by_hand(tmp_path)
    vectors = {column: np.concatenate([found for _, found in row_vectors(turned(whole, ["b"]), column)]) for column in REWARDS}
    # row b: chosen (0, 8); rejected ((2, 2) + (4, 0)) / 2 = (3, 1); margin (-3, 7)
    assert vectors["reward_chosen"].tolist() == [[1, 0], [0, 8]]
    assert vectors["reward_rejected"].tolist() == [[0, 1], [3, 1]]
    assert vectors["reward_margin"].tolist() == [[1, -1], [-3, 7]]
    head = Head(np.eye(2, dtype=np.float32), None, 1.0)
    found = rewards(turned(whole, ["b"]), head, np.array([0.5, -0.5]))
    assert [found[column][1] for column in REWARDS[:3]] == [-4, 1, -5]  # the vectors' dot with (0.5, -0.5)
    assert whole.top.tolist() == [True, False, True, False, False]


def test_chunks_cut_between_rows_and_leave_none_out(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = open_pooled(view)
    whole = {column: np.concatenate([found for _, found in row_vectors(pooled, column)]) for column in REWARDS}
    monkeypatch.setattr("deft_core.pooled._CHUNK", 7)
    for column in REWARDS:
        pieces = list(row_vectors(pooled, column))
        assert len(pieces) > ROWS * 2 / 7
        assert [rows.start for rows, _ in pieces] == [0, *(rows.stop for rows, _ in pieces[:-1])] and pieces[-1][0].stop == ROWS
        assert np.array_equal(np.concatenate([found for _, found in pieces]), whole[column])


def test_an_answer_without_tokens_has_no_reward(view: View) -> None:
    rows = pq.read_table(view.parts[0]).to_pylist()
    place = next(n for n, row in enumerate(rows) if len(row["tokens"]) == 2)
    rows[place]["tokens"][1] = 0
    pq.write_table(pa.Table.from_pylist(rows, SCORED), view.parts[0])
    pooled, head = open_pooled(view), open_head(view)
    found = rewards(pooled, head, np.linspace(-1, 1, len(head.weight)))
    assert [bool(np.isnan(found[column][place])) for column in REWARDS] == [False, True, True, True]
    for column in REWARDS:
        vectors = np.concatenate([vectors for _, vectors in row_vectors(pooled, column)])
        assert np.array_equal(np.isnan(vectors).any(axis=1), np.isnan(found[column]))


def test_a_part_about_to_be_scored_again_has_more_vectors_than_rows(view: View) -> None:
    path = view.parts[0].with_name("pooled-00000.npy")
    vectors = np.load(path)
    np.save(path, np.concatenate([vectors, vectors]))
    assert np.array_equal(open_pooled(view).parts[0].vectors(), vectors)
    np.save(path, vectors[1:])
    with pytest.raises(InputError, match=r"pooled vectors in .*pooled-00000"):
        open_pooled(view)


def test_missing_scores_and_damaged_files_are_explained(view: View, workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="deft score demo"):
        open_pooled(open_view(workspace, "demo", None))
    folder = view.parts[0].parent
    (folder / "head.npy").write_bytes(b"not numbers")
    with pytest.raises(InputError, match=r"an array of numbers in .*head\.npy"):
        open_head(view)
    (folder / "pooled-00001.npy").unlink()
    with pytest.raises(InputError, match="pooled-00001"):
        open_pooled(view)
    write_json(folder / "score.json", read_json(folder / "score.json") | {"linear": False})
    with pytest.raises(InputError, match="linear in the hidden states"):
        open_head(view)


def test_the_real_scorers_rewards_come_back(small: Workspace, tiny: Path) -> None:
    score(small, "small", ScoreSettings(model=str(tiny), batch_tokens=512))
    view = open_view(small, "small")
    found = rewards(open_pooled(view), open_head(view), read_table(view.parts[0].parent)["d"].to_numpy())
    stored = columns(view, list(REWARDS))
    for column in REWARDS:
        assert np.abs(found[column] - stored[column]).max() < 1e-6
