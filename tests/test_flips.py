"""Flipped rows: hand-worked columns of pairs and rankings, and what does not change."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core import queries
from deft_core.flips import flipped_pairs, flipped_row, flipped_table, flipped_texts, swapped
from deft_core.preferences import Message, Preference, Response
from tests.score_sets import preferences, write_dataset, write_scores


def test_the_first_and_the_last_change_places():
    assert swapped("abcd") == ["d", "b", "c", "a"]
    assert swapped([1, 2]) == [2, 1]


def test_the_columns_of_a_flipped_ranking_by_hand():
    """Responses y1 y2 (both top), y3, y4 (worst); flipped: y4 y2 | y3 y1."""
    values = {
        "ranks": [1, 1, 2, 3],
        "rewards": [0.5, 0.4, 0.1, -0.3],
        "logps": [-8.0, -6.0, -10.0, -2.0],
        "tokens": [3, 2, 4, 2],
        "predicted": [4, 3, 5, 2],  # y4 was cut: no end token
    }
    found = flipped_row(values)
    # mean log-probabilities: y1 -8/4 = -2, y3 -10/5 = -2, y4 -2/2 = -1
    assert found == pytest.approx(
        {
            "reward_chosen": -0.3,
            "reward_rejected": 0.3,  # (0.1 + 0.5) / 2
            "reward_margin": -0.6,
            "logp_chosen": -2.0,
            "logp_rejected": -9.0,  # (-10 - 8) / 2
            "logp_margin": 7.0,
            "mean_logp_chosen": -1.0,
            "mean_logp_rejected": -2.0,  # (-2 - 2) / 2
            "mean_logp_margin": 1.0,
            "tokens_chosen": 2,
            "tokens_rejected": 3.5,  # (4 + 3) / 2
            "perplexity_chosen": np.e,  # exp(1)
            "perplexity_rejected": np.e**2,
        }
    )


def test_an_answer_without_a_reward_leaves_none():
    values = {"ranks": [1, 2, 3], "rewards": [0.5, 0.1, None], "logps": [-1, -1, -1], "tokens": [1, 1, 0], "predicted": [1, 1, 1]}
    found = flipped_row(values)
    assert np.isnan([found["reward_chosen"], found["reward_margin"]]).all()
    assert found["reward_rejected"] == pytest.approx(0.3)


def test_the_sources_scores_move_with_their_answers(workspace):
    prompt = (Message("user", "q"),)
    pair = Preference(prompt, (Response("a", 1, 4.0), Response("b", 2, 1.0)))
    ranking = Preference(prompt, (Response("c", 1, 9.0), Response("d", 2, 6.0), Response("e", 3, 1.0)))
    unrated = Preference(prompt, (Response("f", 1), Response("g", 2), Response("h", 3)))
    ids = write_dataset(workspace, "rated", [pair, ranking, unrated])
    view = queries.open_view(workspace, "rated")
    found = flipped_table(queries.light_table(view), view, ids)[["score_chosen", "score_rejected", "score_margin"]].to_numpy()
    # of the ranking e d | c: 1 against (6 + 9) / 2 = 7.5
    assert found[:2].tolist() == [[1.0, 4.0, -3.0], [1.0, 7.5, -6.5]] and np.isnan(found[2]).all()


@pytest.fixture
def scored(workspace):
    made = preferences(24)
    ids = write_dataset(workspace, "demo", made)
    write_scores(workspace, "demo", made, ids, done=20)
    return workspace, ids


def test_a_flipped_pair_has_its_columns_swapped_and_its_margins_negated(scored):
    workspace, ids = scored
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view).set_index("id", drop=False)
    flipped = flipped_table(table, view, {ids[1], "of another dataset"})
    before, after = table.loc[ids[1]], flipped.loc[ids[1]]
    for name in ("reward", "logp", "mean_logp", "perplexity", "tokens", "characters"):
        assert (after[f"{name}_chosen"], after[f"{name}_rejected"]) == (before[f"{name}_rejected"], before[f"{name}_chosen"]), name
    for name in ("reward", "logp", "mean_logp"):
        assert after[f"{name}_margin"] == -before[f"{name}_margin"] != 0, name
    assert after["reward_mean"] == before["reward_mean"]
    others = [row for row in table["id"] if row != ids[1]]
    pd.testing.assert_frame_equal(flipped.loc[others], table.loc[others])
    assert list(flipped.columns) == list(table.columns)


def test_a_margin_of_nothing_stays_without_a_sign(scored):
    workspace, ids = scored
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view).assign(reward_margin=0.0)
    assert not np.signbit(flipped_table(table, view, [ids[1]])["reward_margin"]).any()


def test_a_flipped_ranking_is_read_from_its_own_responses(scored):
    workspace, _ = scored
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view)
    ranking = table.loc[(table["n_responses"] == 3) & table["reward_chosen"].notna(), "id"].iloc[0]
    rewards = queries.response_scores(view, ranking)["reward"].tolist()
    before = table.set_index("id").loc[ranking]
    after = flipped_table(table, view, [ranking]).set_index("id").loc[ranking]
    assert after["reward_chosen"] == rewards[2]
    assert after["reward_rejected"] == pytest.approx((rewards[1] + rewards[0]) / 2)
    assert (after["characters_chosen"], after["characters_rejected"]) == (before["characters_rejected"], before["characters_chosen"])
    assert after["reward_mean"] == before["reward_mean"]


def test_flips_without_scores_swap_what_there_is(workspace):
    ids = write_dataset(workspace, "demo", preferences(5))
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view)
    after = flipped_table(table, view, ids)
    assert after["characters_chosen"].tolist() == table["characters_rejected"].tolist()
    assert flipped_table(table, view, []) is table


def test_a_row_that_is_not_scored_yet_has_no_values_when_flipped(scored):
    workspace, _ = scored
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view)
    missing = table.loc[table["reward_chosen"].isna(), "id"].tolist()
    assert len(missing) == 4
    after = flipped_table(table, view, missing).set_index("id").loc[missing]
    assert after[["reward_chosen", "reward_rejected", "reward_margin"]].isna().all(axis=None)


def test_a_saved_what_if_follows_in_pairs_and_has_no_value_in_flipped_rankings(scored):
    workspace, ids = scored
    folder = workspace.score_set("demo", "tiny") / "columns"
    folder.mkdir()
    pq.write_table(
        pa.table({"id": ids[:2], "calm": [3.0, 1.0], "calm_rejected": [1.0, 0.5], "calm_margin": [2.0, 0.5], "calm_mean": [2.0, 0.75]}),
        folder / "calm.parquet",
    )
    view = queries.open_view(workspace, "demo")
    table = queries.light_table(view)
    names = ["calm", "calm_rejected", "calm_margin", "calm_mean"]
    after = flipped_table(table, view, ids[:2]).set_index("id")[names]
    assert after.loc[ids[1]].tolist() == [0.5, 1.0, -0.5, 0.75]
    assert after.loc[ids[0]].isna().tolist() == [True, True, True, False]  # a ranking of three


def test_texts_come_in_the_flipped_order_and_scores_with_them(workspace):
    ids = write_dataset(workspace, "demo", preferences(5))
    texts = queries.texts(queries.open_view(workspace, "demo"), ids[:2])
    texts["scores"] = [[3.0, 2.0, 1.0], [1.0, 0.0]]
    flipped = flipped_texts(texts, frozenset(ids[:1]))
    first, second, third = texts["responses"][0]
    assert flipped["responses"][0] == [third, second, first]
    assert flipped["scores"][0] == [1.0, 2.0, 3.0]
    assert list(flipped["ranks"][0]) == [1, 2, 3]
    assert list(flipped["responses"][1]) == list(texts["responses"][1])


def test_a_persons_question_sees_the_rows_as_they_are_flipped(scored):
    workspace, ids = scored
    view = queries.open_view(workspace, "demo")
    before = queries.user_sql(view, "SELECT * FROM pairs ORDER BY id").to_pandas().set_index("id")
    flipped = flipped_pairs(view, {ids[0], ids[1], "of another dataset"})
    after = queries.user_sql(view, "SELECT * FROM pairs ORDER BY id", flipped=flipped)
    table = flipped_table(queries.light_table(view), view, ids[:2]).set_index("id")
    found = after.to_pandas().set_index("id")
    assert found.index.tolist() == before.index.tolist()
    for name in ("reward_chosen", "reward_margin", "tokens_rejected", "characters_chosen"):
        assert found.loc[table.index, name].tolist() == pytest.approx(table[name].tolist(), nan_ok=True)
    assert found.loc[ids[1], ["chosen", "rejected", "prompt"]].tolist() == before.loc[ids[1], ["rejected", "chosen", "prompt"]].tolist()
    assert after.schema == queries.user_sql(view, "SELECT * FROM pairs").schema
    condition = f"reward_margin = {-float(before.loc[ids[1], 'reward_margin'])!r}"
    assert list(queries.where_ids(view, condition, flipped=flipped)) == [ids[1]]
    assert list(queries.where_ids(view, condition)) == []
    assert flipped_pairs(view, []) is None
    assert flipped_pairs(view, ["') OR ('' = '"]).num_rows == 0


def test_a_search_of_one_field_sees_the_flipped_order(workspace):
    made = [
        Preference((Message("user", "Which?"),), tuple(Response(text, rank) for text, rank in zip(texts, ranks, strict=True)))
        for texts, ranks in ((("tea", "rain"), (1, 2)), (("bread", "maps", "music", "tea"), (1, 1, 2, 3)), (("tea", "maps"), (1, 2)))
    ]
    pair, ranking, other = write_dataset(workspace, "demo", made)
    view = queries.open_view(workspace, "demo")

    def found(pattern, field):
        return set(queries.matching_ids(view, pattern, field=field, flipped=[pair, ranking]))

    assert found("tea", "chosen") == {ranking, other} and found("tea", "rejected") == {pair}
    assert found("bread", "rejected") == {ranking} and found("bread", "chosen") == set()
    assert found("maps", "chosen") == {ranking} and found("music", "rejected") == {ranking}  # these two stay where they are
    assert found("tea", "all") == {pair, ranking, other}
