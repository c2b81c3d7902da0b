"""The study's arms are the planned ones, and its statistics do what they say, by hand."""

import json
import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core.rule import Rule
from deft_core.runs import metrics
from deft_core.runs.prepare import ROWS
from deft_core.runs.spec import read_run, write_run
from deft_core.selection import kept
from deft_core.workspace import write_json
from tests.runs.test_spec import a_run

STUDY = Path(__file__).parents[1] / "docs" / "study"


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))


@pytest.fixture
def table():
    chance = np.random.default_rng(3)
    rows = 400
    return pd.DataFrame(
        {
            "id": [f"row-{k:03d}" for k in range(rows)],
            "split": "train",
            "reward_chosen": chance.normal(size=rows),
            "tokens_chosen": chance.integers(1, 200, rows),
        }
    )


def test_the_primary_arms_are_the_planned_ones(table):
    runs = list(import_module("arms").planned(table))
    assert pd.Series([one.arm for one in runs]).value_counts().to_dict() == {"random": 20, "length-matched": 10, "highest": 5, "lowest": 5}
    assert len({one.name for one in runs}) == 40
    masks = {one.name: kept(table, one.rule) for one in runs if one.arm in ("random", "highest", "lowest")}
    assert {mask.sum() for mask in masks.values()} == {20}
    assert len({mask.tobytes() for name, mask in masks.items() if name.startswith("random")}) == 20
    assert len({mask.tobytes() for name, mask in masks.items() if name.startswith("highest")}) == 1
    assert sorted(one.settings.seed for one in runs if one.arm == "highest") == [0, 1, 2, 3, 4]
    assert {(one.settings.method, one.settings.guidance, one.settings.beta) for one in runs} == {("dpo", 0.0, 0.1)}
    assert len({(one.settings.lr, one.settings.epochs) for one in runs}) == 1


def test_length_matched_rows_are_as_long_as_the_highest_and_none_of_them(table):
    found = import_module("arms").matched(table, 0)
    top = kept(table, Rule("highest", fraction=0.05))
    assert len(set(found)) == top.sum() == 20
    assert not set(found) & set(table["id"][top])
    lengths = sorted(table.set_index("id").loc[found, "tokens_chosen"])
    # 380 other rows over 200 lengths: the 10 nearest are within about 4 tokens, so sorted lengths are as well
    assert max(abs(a - b) for a, b in zip(lengths, sorted(table["tokens_chosen"][top]), strict=True)) <= 8
    assert found != import_module("arms").matched(table, 1)


def test_the_lowest_rows_have_a_control_of_length_of_their_own(table):
    runs = list(import_module("arms").lengths(table))
    assert [one.name for one in runs] == [f"lowest-lengths-{number}" for number in range(4)]
    masks = [np.array([row in one.rule.where for row in table["id"]]) for one in runs]
    low = kept(table, Rule("lowest", fraction=0.05))
    assert {(mask & low).sum() for mask in masks} == {0}
    assert {mask.sum() for mask in masks} == {20}
    assert len({mask.tobytes() for mask in masks}) == 4
    ours, theirs = (sorted(table["tokens_chosen"][mask]) for mask in (masks[0], low))
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 8  # as above


def test_a_contrast_is_a_difference_of_means():
    # a: runs of means 1.0 and 0.5; b: 0.25. (1.0 + 0.5) / 2 - 0.25 = 0.5
    a, b = np.array([[1.0, 1, 1, 1], [1, 0, 1, 0]]), np.array([[0.0, 1, 0, 0]])
    found = import_module("crossed").contrast(a, b, np.arange(4), draws=200)
    assert found.value == 0.5
    assert found.low <= 0.5 <= found.high


def test_without_chance_between_rows_only_runs_are_drawn():
    # every row alike: of runs 0 and 1 two are drawn, so the mean is 0, 0.5 or 1 with shares 1/4, 1/2, 1/4; b is always 0
    a, b = np.array([[0.0] * 3, [1.0] * 3]), np.zeros((5, 3))
    found = import_module("crossed").contrast(a, b, np.arange(3), level=0.9, draws=4000)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert found.p == pytest.approx(2 * 0.25, abs=0.05)  # a quarter of the draws is at 0 or below


def test_rows_of_one_conversation_are_drawn_together():
    # two conversations of 50 rows, one all 1, one all 0: the mean is 0, 0.5 or 1; were rows drawn alone it would stay near 0.5
    a, b = np.array([[1.0] * 50 + [0.0] * 50]), np.zeros((1, 100))
    found = import_module("crossed").contrast(a, b, np.repeat([7, 8], 50), draws=500)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    alone = import_module("crossed").contrast(a, b, np.arange(100), draws=500)
    assert 0.35 < alone.low < alone.high < 0.65


def test_p_of_a_rank_counts_the_value_itself():
    others = np.array([0.1, 0.2, 0.3])
    crossed = import_module("crossed")
    # above: 0.3 alone is at least 0.25, (1 + 1) / 4; below: 0.1 and 0.2, (1 + 2) / 4
    assert (crossed.rank_p(0.25, others, True), crossed.rank_p(0.25, others, False)) == (0.5, 0.75)
    assert crossed.rank_p(0.9, np.zeros(20), True) == 1 / 21


def test_p_of_a_permutation_over_all_arrangements():
    # {3} against {1, 2}: differences of means 3 - 1.5 = 1.5, 2 - 2 = 0, 1 - 2.5 = -1.5: two of three are as large
    assert import_module("crossed").permutation_p(np.array([3.0]), np.array([1.0, 2.0])) == pytest.approx(2 / 3)
    # {5, 6} against {1, 2, 3}: of 10 arrangements only this one and none on the other side reaches 5.5 - 2 = 3.5
    assert import_module("crossed").permutation_p(np.array([5.0, 6.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(1 / 10)


def test_the_smallest_difference_of_the_plan():
    # sqrt(0.4^2 / 691 + 0.02^2 / 20 + 0.01^2 / 5) = sqrt(0.0002315 + 0.00002 + 0.00002) = 0.01648; times 2.2414 + 0.8416 = 0.0508
    found = import_module("crossed").smallest_difference(0.4, 691, [(0.02, 20), (0.01, 5)], 2.2414, 0.8416)
    assert found == pytest.approx(0.0508, abs=1e-4)
    assert found == pytest.approx(3.083 * math.sqrt(0.16 / 691 + 0.0004 / 20 + 0.0001 / 5))


def test_holm_steps_down():
    # sorted 0.01, 0.02, 0.04: times 3, 2, 1 = 0.03, 0.04, 0.04; never falling
    assert import_module("crossed").holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert import_module("crossed").holm([0.5, 0.6]) == [1.0, 1.0]


def test_tuning_runs_are_evaluated_on_half_of_the_judge_split(tmp_path):
    run = import_module("run")
    rows = [
        {"id": f"row-{k}", "split": "judge", "source": "", "prompt": [{"role": "user", "content": f"question {k // 2}"}]}
        | {"responses": ["yes", "no"], "ranks": [1, 2], "scores": [None, None]}
        for k in range(400)  # two rows a conversation
    ]
    pq.write_table(pa.Table.from_pylist(rows, ROWS), tmp_path / "judge.parquet")
    write_run(tmp_path, a_run())
    run.hold_out_tuning_rows(tmp_path)
    held = pq.read_table(tmp_path / "heldout.parquet")["id"].to_pylist()
    assert 150 < len(held) < 250
    assert read_run(tmp_path).heldout_rows == len(held)
    pairs = {row_id.removeprefix("row-") for row_id in held}
    assert all(str(int(k) ^ 1) in pairs for k in pairs)  # conversations are not cut in two


def test_rules_by_a_reward_are_followed_under_draws_of_d(table):
    arms = import_module("arms")
    every = [*arms.planned(table), *arms.exploratory(1.0)]
    of_hh = import_module("run").first_arms(every, arms.HH)
    assert list(of_hh.values()) == ["highest", "lowest", "middle", "highest-margin", "lowest-margin", "highest-10"]  # each rule once
    assert import_module("run").first_arms(every, arms.QA) == {Rule("highest", fraction=0.05): "pro-highest"}


def test_what_a_run_leaves_is_what_the_tables_read(tmp_path, monkeypatch):
    run, arms = import_module("run"), import_module("arms")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    write_run(tmp_path, a_run())
    for event, step, loss in (("start", 0, None), ("step", 1, 0.7), ("step", 2, 0.6), ("start", 1, None), ("step", 2, 0.5)):
        metrics.append(tmp_path, event, step, loss=loss)
    write_json(tmp_path / "resolved.json", {"omega": 0.25})
    evaluation = {key: {} for key in ("alignment", "generalisation", "judge", "cost")} | {"prompts": 2, "new_tokens": 64, "more": 1}
    write_json(tmp_path / "evaluation.json", evaluation)
    said = {f"{name}_tuned": [0.25, 1.0] for name in run.ROWS} | {"id": ["a", "b"], "kl_tokens": [3, 4]}
    pd.DataFrame(said).to_parquet(tmp_path / "evaluation_rows.parquet")
    pd.DataFrame({"id": ["c", "d"]}).to_parquet(tmp_path / "input.parquet")
    prompt = [{"role": "user", "content": "first"}]
    again = [*prompt, {"role": "assistant", "content": "so"}, {"role": "user", "content": "second"}]
    pd.DataFrame({"id": ["a", "b"], "prompt": [prompt, again]}).to_parquet(tmp_path / "heldout.parquet")
    run.harvest(arms.Planned("primary", "highest", 0, arms.HH, Rule("highest", fraction=0.05), arms.settings()), tmp_path)
    about = json.loads((tmp_path / "results" / "highest-0.json").read_text())
    assert about["steps"] == [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5}]  # the step that was made again counts once
    assert (about["ids"], about["omega"], about["rows"], about["name"]) == (["c", "d"], 0.25, 10, "highest-0")
    rows = pd.read_parquet(tmp_path / "results" / "highest-0.parquet")
    assert rows["accuracy_implicit"].tolist() == [0.25, 1.0] and rows["kl_tokens"].tolist() == [3, 4]
    heldout = pd.read_parquet(tmp_path / "results" / "heldout-hh.parquet")
    assert heldout["conversation"].tolist() == [0, 0]  # by the first user turn
