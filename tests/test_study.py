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
from deft_core.runs.prepare import ROWS
from deft_core.runs.spec import read_run, write_run
from deft_core.selection import kept
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


def test_what_an_arm_selects_is_its_mean_over_subsets(tmp_path, monkeypatch):
    tables = import_module("tables")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    columns = dict.fromkeys(tables.SELECTED, 0.0)
    rows = [{"id": name} | columns | {"tokens_chosen": n, "kept_highest": k, "kept_lowest": 0.0} for name, n, k in ROWS_OF_FOUR]
    pd.DataFrame(rows).to_parquet(tmp_path / "training-hh.parquet")
    for number, ids in enumerate((["a", "b"], ["c", "d"], ["c", "d"])):
        one = {"name": f"random-{number}", "part": "primary", "arm": "random", "number": number, "dataset": "hh", "ids": ids}
        (tmp_path / f"random-{number}.json").write_text(json.dumps(one))
    one = {"name": "highest-0", "part": "primary", "arm": "highest", "number": 0, "dataset": "hh", "ids": ["a", "c"]}
    (tmp_path / "highest-0.json").write_text(json.dumps(one))
    found = tables.selects().set_index("arm")
    # all: (1 + 2 + 30 + 50) / 4 = 20.75; random: ((1 + 2) / 2 + (30 + 50) / 2) / 2 = 20.75, of two different subsets; highest (1 + 30) / 2
    assert found["tokens_chosen"].to_dict() == {"all training rows": "20.8", "highest": "15.5", "random": "20.8"}
    assert found["subsets"].to_dict() == {"all training rows": 1, "highest": 1, "random": 2}
    # of rows a and c draws of d keep 1.0 and 0.5 in the mean: 0.75
    assert found["kept by draws of d: highest"].to_dict() == {"all training rows": "", "highest": "0.75", "random": ""}


def test_tables_take_the_places_of_the_ones_that_are_there(monkeypatch):
    tables = import_module("tables")
    frames = {"arms": lambda: pd.DataFrame({"arm": ["a"], "runs": [2]}), "power": lambda: pd.DataFrame({"x": ["y"]})}
    monkeypatch.setattr(tables, "TABLES", frames)
    text = "Words.\n\n<!-- arms -->\n| old |\n|---|\n| 1 |\n\n| not ours |\n\n<!-- power -->\nMore.\n"
    expected = (
        "Words.\n\n<!-- arms -->\n| arm | runs |\n|---|---|\n| a | 2 |\n\n| not ours |\n\n<!-- power -->\n| x |\n|---|\n| y |\nMore.\n"
    )
    assert tables.with_tables(text) == tables.with_tables(expected) == expected


def test_the_tables_of_the_study_are_those_of_its_results():
    tables = import_module("tables")
    text = (tables.RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert "| highest - random | accuracy_implicit | 5, 20 |" in text
    assert tables.with_tables(text) == text


def test_guided_runs_are_compared_with_the_same_runs_without_guidance(tmp_path, monkeypatch):
    tables = import_module("tables")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    pd.DataFrame({"id": ["a", "b"], "conversation": [0, 1]}).to_parquet(tmp_path / "heldout-hh.parquet")
    runs = {"highest": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], "highest-guided": [[0.0, 0.5], [1.0, 0.5]], "random": [[0.0, 0.0]]}
    for name, values in (runs | {"middle": [[0.5, 0.5]], "highest-10": [[1.0, 1.0]]}).items():
        for number, of_rows in enumerate(values):
            part = "exploratory" if name in ("highest-guided", "middle", "highest-10") else "primary"
            one = {"name": f"{name}-{number}", "part": part, "arm": name, "number": number, "dataset": "hh"}
            one["evaluation"] = {"generalisation": {"kl": {"tuned": {"value": 0.1 * number}}}}
            (tmp_path / f"{name}-{number}.json").write_text(json.dumps(one))
            pd.DataFrame({"id": ["a", "b"], "accuracy_implicit": of_rows}).to_parquet(tmp_path / f"{name}-{number}.parquet")
    found = tables.exploratory().set_index("arm")
    # highest-10 has nothing yet that it is compared with
    assert found["against"].to_dict() == {"middle": "random", "highest-guided": "highest"}
    # each run with the one of its number: (0, 0.5) - (0, 0) and (1, 0.5) - (1, 0), so 0.25 in the mean and nothing of the run of number 2;
    # rows differ by 0 and 0.5 whatever the run: of two rows drawn the mean is 0, 0.25 or 0.5
    assert found["accuracy_implicit"]["highest-guided"] == "+0.2500 (95.0%: +0.0000 to +0.5000)"
    assert found["accuracy_implicit"]["middle"] == "+0.5000 (95.0%: +0.5000 to +0.5000)"
    # two guided runs and the two of their numbers; middle 0.5 above the one random run: (1 + 0) / (1 + 1)
    assert found["runs"].to_dict() == {"middle": "1, 1", "highest-guided": "2, 2"}
    assert found["means"].to_dict() == {"middle": "0.5000, 0.0000", "highest-guided": "0.5000, 0.2500"}
    assert found["KL"].to_dict() == {"middle": "0.000, 0.000", "highest-guided": "0.050, 0.050"}  # of runs 0 and 1: (0 + 0.1) / 2
    assert found["rank p"].to_dict() == {"middle": "0.500", "highest-guided": ""}
    # never 0 or below in 10,000 draws: 1 / 10,000, times 2; 0 in a quarter of them: twice 0.25, then times 1
    assert found["p (Holm)"]["middle"] == "< 0.001"
    assert float(found["p (Holm)"]["highest-guided"]) == pytest.approx(0.5, abs=0.03)


ROWS_OF_FOUR = [("a", 1, 1.0), ("b", 2, 0.0), ("c", 30, 0.5), ("d", 50, 0.5)]
