"""Every page in every state of its workspace: content or guidance, never a traceback and never "something it does not know"."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import overrides, selecting, selections
from deft_core.processes import identity
from deft_core.rule import Rule
from deft_core.workspace import Workspace, read_json, write_json
from tests.pages.driving import PAGES, opened
from tests.score_sets import preferences, write_dataset, write_scores

UNKNOWN = "met something it does not know"
BEGIN = dict.fromkeys(("discrepancy", "explore", "curate", "train", "try_model"), "There is no dataset yet")
BEGIN |= {"overview": "", "datasets": "", "runs": "There is no run yet"}
STATES = [  # page, rows scored, what it says, a button it offers
    *(("discrepancy", done, "Click a bar, or search a token", None) for done in (0, 4, 16)),
    ("discrepancy", None, "this one has no scores yet", "Score it"),
    ("explore", None, "This dataset has no rewards yet", "keep these"),
    ("explore", 0, "Scoring has begun", "keep these"),
    ("explore", 4, "", "find these rows"),
    ("explore", 16, "Scoring was stopped at 16 of 60 rows", "Go on scoring"),
    ("curate", None, "This dataset has no rewards yet: rows can be kept by other columns", "Save 2 rows"),
    ("curate", 0, "Scoring has begun: until the first rewards are there", "Save 2 rows"),
    *(("curate", done, "", "Save 1 row") for done in (4, 16)),
    ("train", None, "This dataset has no scores yet", "Score it"),
    *(("train", done, "Nothing is selected yet", "Choose what to keep") for done in (0, 16)),
    ("try_model", None, "There is no model to ask yet", "Score it"),
    *(("try_model", done, "No run has finished yet", "Ask") for done in (0, 16)),
]
TABS = {  # what each says; rows of its tables with a rule by turns, without scores, and with four rows scored
    "Borderline": ("", [[2, 10], [1, 2]]),
    "Kept": ("", [[2], [1]]),
    "Dropped": ("", [[25], [25]]),
    "Contrast": ("", [[1, 4], [4]]),
    "Noise": ("Nobody has looked through the texts yet", [[], []]),
    "Decisions": ("Nothing is decided yet", [[], []]),
    "Conflicts": ("No decision disagrees with this rule", [[], []]),
    "Versions": ("Nothing is saved yet", [[], []]),
}
LARGE = ("discrepancy", "explore", "curate", "train")
FILES = {  # file: the pages that need it, which name it
    **dict.fromkeys(("datasets/demo/pairs.parquet", "datasets/demo/dataset.json"), LARGE),
    **dict.fromkeys(("scores/demo/tiny/score.json", "scores/demo/tiny/part-00001.parquet"), LARGE),
    "scores/demo/tiny/discrepancy.parquet": ("discrepancy", "train"),
    "scores/demo/tiny/counts.parquet": ("discrepancy",),
    **dict.fromkeys(("scores/demo/tiny/pooled-00001.npy", "scores/demo/tiny/head.npy"), ()),  # for what is asked on a click
    "datasets/demo/overrides.jsonl": ("train",),  # a torn line was never said to be saved; but a selection was made with it
    "datasets/demo/noise.parquet": ("curate",),
    **dict.fromkeys(("selections/best/v1/selection.json", "selections/best/v1/kept.parquet"), ("curate", "train")),
}
NAMED_OTHERWISE = {"datasets/demo/noise.parquet": "The file of what was found is damaged"}


def said(app: AppTest) -> str:
    words = [one.value for kind in ("error", "warning", "info") for one in getattr(app, kind)]
    assert not [one for one in words if UNKNOWN in one], words
    return " ".join(words).replace("\\", "")


def test_there_is_a_case_for_every_page() -> None:
    assert set(BEGIN) == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_workspace_leads_to_data(workspace: Workspace, page: str) -> None:
    app = opened(page)
    words = said(app)
    assert BEGIN[page] in words and bool(words) == bool(BEGIN[page])
    labels = [one.label for one in app.button]
    if page == "datasets":
        assert len(app.get("file_uploader")) == 1
    else:
        first = {"overview": ["Load the demo", "Choose a source"], "runs": ["Train a model"]}.get(page, ["Bring data"])
        assert labels[: len(first)] == first


@pytest.mark.parametrize(("page", "done", "words", "button"), STATES)
def test_scores_that_are_missing_or_on_their_way_are_said(
    workspace: Workspace, page: str, done: int | None, words: str, button: str | None
) -> None:
    made = preferences(60)
    ids = write_dataset(workspace, "demo", made)
    if done is not None:
        write_scores(workspace, "demo", made, ids, done=done, state="running" if done < 16 else "stopped")
    app = opened(page)
    found = said(app)
    assert words in found and bool(words) == bool(found) and not app.error
    assert button is None or button in [one.label for one in app.button]


@pytest.mark.parametrize("page", ["discrepancy", "explore", "curate", "train", "try_model"])
def test_a_scorer_of_the_command_is_seen_before_it_has_scores(workspace: Workspace, page: str) -> None:
    write_dataset(workspace, "demo", preferences(60))
    folder = workspace.root / "scores" / "demo"
    folder.mkdir(parents=True)
    write_json(folder / "status.json", identity() | {"state": "running", "phase": "loading the model"})
    app = opened(page)
    assert "Scoring has begun" in said(app) or "being scored now" in " ".join(one.value for one in app.text)
    assert "Score it" not in [one.label for one in app.button]
    assert app.sidebar.get("page_link")[0].proto.label == "scoring demo: loading the model"


def test_a_scorer_that_ended_before_its_first_part_is_offered_once(workspace: Workspace) -> None:
    made = preferences(60)
    folder = write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made), done=0, state="stopped")
    write_json(folder / "status.json", read_json(folder / "status.json") | {"done": 4})  # counted, not yet written to a part
    app = opened("explore")
    assert "Scoring was stopped at 0 of 60 rows" in said(app)
    assert [one.label for one in app.button if "cor" in one.label] == ["Go on scoring"]


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("done", [None, 4])
def test_every_tab_of_curate_does_without_scores(workspace: Workspace, tab: str, done: int | None) -> None:
    made = preferences(60)
    ids = write_dataset(workspace, "demo", made)
    if done:
        write_scores(workspace, "demo", made, ids, done=done, state="stopped")
    by = {"keep": "highest"} if done else {"by": "turns"}
    app = opened("curate", tab=tab, **by)
    found, (words, rows) = said(app), TABS[tab]
    assert words in found and ("has no rewards yet" in found) == (done is None) and not app.error
    assert [len(one.value) for one in app.dataframe] == rows[done is not None]


@pytest.mark.parametrize("page", LARGE)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named_where_it_is_needed(scored: Workspace, page: str, file: str) -> None:
    overrides.append(scored, "demo", "keep", [first_id(scored)])
    selections.save(scored, "best", selecting.draft(scored, "demo", Rule("highest")))
    path = scored.root / file
    path.write_bytes(b"{half")
    app = opened(page, **({"tab": "Versions"} if "selections" in file else {"tab": "Noise"} if "noise" in file else {}))
    words = said(app)
    if page in FILES[file]:
        assert NAMED_OTHERWISE.get(file, path.name) in words
    else:
        assert path.name not in words and not app.error


def first_id(workspace: Workspace) -> str:
    return str(overrides.dataset_ids(workspace, "demo")[0])
