"""Every page in every state of its workspace: content or guidance, never a traceback and never "something it does not know"."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import overrides, selecting, selections
from deft_core.rule import Rule
from deft_core.workspace import Workspace
from tests.pages.driving import PAGES, opened
from tests.score_sets import preferences, write_dataset, write_scores

UNKNOWN = "met something it does not know"
TABS = ("Borderline", "Kept", "Dropped", "Contrast", "Noise", "Decisions", "Conflicts", "Versions")
LARGE = ("discrepancy", "explore", "curate")
FILES = [
    *("datasets/demo/pairs.parquet", "datasets/demo/dataset.json", "datasets/demo/overrides.jsonl", "datasets/demo/noise.parquet"),
    *("scores/demo/tiny/score.json", "scores/demo/tiny/part-00001.parquet", "scores/demo/tiny/pooled-00001.npy"),
    *("scores/demo/tiny/discrepancy.parquet", "scores/demo/tiny/counts.parquet", "scores/demo/tiny/head.npy"),
    *("selections/best/v1/selection.json", "selections/best/v1/kept.parquet"),
]


def said(app: AppTest) -> str:
    words = [one.value for kind in ("error", "warning", "info") for one in getattr(app, kind)]
    assert not [one for one in words if UNKNOWN in one], words
    return " ".join(words).replace("\\", "")


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_workspace_leads_to_data(workspace: Workspace, page: str) -> None:
    app = opened(page)
    said(app)
    assert app.button or page == "datasets"


@pytest.mark.parametrize("page", LARGE)
@pytest.mark.parametrize("done", [None, 0, 4, 16])
def test_scores_that_are_missing_or_on_their_way_are_said(workspace: Workspace, page: str, done: int | None) -> None:
    made = preferences(60)
    ids = write_dataset(workspace, "demo", made)
    if done is not None:
        write_scores(workspace, "demo", made, ids, done=done, state="running" if done < 16 else "stopped")
    app = opened(page)
    assert said(app) or done


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("done", [None, 4])
def test_every_tab_of_curate_does_without_scores(workspace: Workspace, tab: str, done: int | None) -> None:
    made = preferences(60)
    ids = write_dataset(workspace, "demo", made)
    if done:
        write_scores(workspace, "demo", made, ids, done=done, state="stopped")
    by = {} if done else {"by": "turns"}
    said(opened("curate", tab=tab, **by))


@pytest.mark.parametrize("page", LARGE)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_where_it_is_needed(scored: Workspace, page: str, file: str) -> None:
    overrides.append(scored, "demo", "keep", [first_id(scored)])
    selections.save(scored, "best", selecting.draft(scored, "demo", Rule()))
    path = scored.root / file
    path.write_bytes(b"{half")
    app = opened(page, **({"tab": "Versions"} if "selections" in file else {"tab": "Noise"} if "noise" in file else {}))
    words = said(app)
    assert path.name in words or not app.error


def first_id(workspace: Workspace) -> str:
    return str(overrides.dataset_ids(workspace, "demo")[0])
