"""What the benchmarks measure on is what it says, and ours and the peer do the same."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from deft_core.pooled import open_head, open_pooled
from deft_core.queries import open_view
from deft_core.runs import metrics
from deft_core.runs.spec import Settings
from deft_core.what_if import Change, answer
from deft_core.workspace import Workspace
from tests.lm.run_folders import run_folder

SIZES = {"width": 8, "vocabulary": 300}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return Workspace(tmp_path)


def test_generated_states_have_the_rewards_that_stand_in_the_parts(workspace: Workspace) -> None:
    generated = import_module("generated")
    generated.generate(workspace, "generated", 200, texts=False)
    generated.add_states(workspace, "generated", **SIZES)
    view = open_view(workspace, "generated")
    same = answer(view, open_pooled(view), open_head(view), Change())
    assert (same.rank_correlation, same.kept_overlap) == (pytest.approx(1, abs=1e-5), 1)
    counted_again = answer(view, open_pooled(view), open_head(view), Change(kept="all"), _training_rows(workspace))
    assert np.allclose(counted_again.rewards["reward_margin"], same.rewards["reward_margin"], atol=1e-5)


def _training_rows(workspace: Workspace) -> list[str]:
    pooled = open_pooled(open_view(workspace, "generated"))
    return pooled.rows.filter(pooled.train())["id"].to_pylist()


def test_a_what_if_is_measured_beside_a_peer_that_finds_the_same(workspace: Workspace) -> None:
    found = import_module("what_if").measured(workspace, 300, 1, **SIZES)
    assert list(found)[:4] == ["rows", "what_if_ms", "compare_ms", "ratio"]
    assert found["rows"] == 300 and found["difference"] < 1e-5
    assert found["rank_correlation"] == pytest.approx(found["peer_rank_correlation"], abs=1e-3)
    assert found["kept_overlap"] == found["peer_kept_overlap"] and found["rank_correlation"] < 0.999


def test_a_run_on_everything_is_extrapolated_by_tokens(workspace: Workspace) -> None:
    end_to_end = import_module("end_to_end")
    before = {"tokens": 100, "steps": 20.0, "reading": 4.0, "process": 30.0}  # 6 s apart from both
    after = {"tokens": 300, "steps": 40.0, "reading": 4.0, "process": 54.0}  # 10 s
    subset = {"step_times": [5.0, 10.0, 15.0, 20.0], "process": 28.0}
    found = end_to_end.summary(before, after, subset, scoring=100.0, tokens=4000.0)
    # a token: (20 + 40) / 400 = 0.15 s a step, (4 + 4) / 400 = 0.02 s of reference; fixed (6 + 10) / 2 = 8 s
    assert (found["step_ms_a_token"], found["reference_ms_a_token"], found["fixed_seconds"]) == (150, 20, 8)
    # everything: 8 + 4,000 x (0.02 + 0.15) = 688, two epochs 8 + 4,000 x (0.02 + 0.30) = 1,288
    assert (found["full_seconds_one_epoch"], found["full_seconds"]) == (688, 1288)
    # of the subset's 28 s, the second epoch took 20 - 10
    assert (found["subset_seconds_one_epoch"], found["subset_seconds"]) == (18, 28)
    # 688 / (100 + 18) and 1,288 / (100 + 28)
    assert (found["ratio_one_epoch"], found["ratio"]) == (5.83, 10.06)


def test_a_bare_run_says_what_it_took(workspace: Workspace, tmp_path: Path, tiny: Path) -> None:
    folder = run_folder(tmp_path / "run", tiny, Settings(steps=3, lr=1e-3))
    found = import_module("bare_runs").train(folder)
    assert len(found["losses"]) == len(found["step_times"]) == 3
    assert found["step_times"] == sorted(found["step_times"])
    assert found["wall"] > found["step_times"][-1] > 0 and found["wall"] > found["steps"] + found["reading"]
    evaluations = [event for event in metrics.read(folder)[0] if event["event"] == "evaluation"]
    assert {tuple(event) for event in evaluations} == {("event", "step", "time")}  # nothing was looked at


def test_a_slope_of_one_is_linear(workspace: Workspace) -> None:
    scale = import_module("scale")
    # ten times the rows: 10 times the seconds is 1, 100 times 2, and from 100 to 300 for ten times 0.477 = log10(3)
    assert scale.slopes_of([10, 100, 1_000, 10_000], [0.1, 1, 100, 300]) == [1.0, 2.0, 0.48]
    # 100 times the rows, 10 times the seconds: half
    assert scale.slopes_of([10, 1_000], [1, 10]) == [0.5]


def test_every_stage_measures_what_is_there(workspace: Workspace) -> None:
    scale = import_module("scale")
    scale.prepare(workspace.root, 300)
    without_the_model = [stage for stage in scale.STAGES if stage != "count"]
    found = {stage: scale.STAGES[stage](workspace.root) for stage in without_the_model}
    assert all(one["seconds"] > 0 for one in found.values())
    assert found["order"]["part_rows"] == 128  # 16, 32, 64, 128 and 60
    assert found["export"]["rows_out"] == 12  # 5 % of the 240 or so training rows
