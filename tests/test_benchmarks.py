"""What the benchmarks measure on is what it says, and ours and the peer do the same."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from deft_core.pooled import open_head, open_pooled
from deft_core.queries import open_view
from deft_core.what_if import Change, answer
from deft_core.workspace import Workspace

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
