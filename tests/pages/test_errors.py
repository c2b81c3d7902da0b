"""What is damaged, gone or impossible is said in words, and leaves a way out."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from deft_core.queries import light_table, open_view
from deft_core.workspace import Workspace
from tests.pages.driving import ROWS, address, checked, metric, opened, widget
from tests.score_sets import preferences, write_dataset, write_demo, write_scores


def test_a_dataset_that_is_not_there_is_explained(scored: Workspace) -> None:
    app = opened("explore", dataset="gone")
    words = app.error[0].value.replace("\\", "")
    assert "no 'gone'" in words and "bring it on the Data page" in words and "deft import" not in words


def test_a_score_set_that_is_not_there_is_explained(scored: Workspace) -> None:
    app = opened("explore", dataset="demo", scores="gone")
    assert "no 'gone'" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("bad", ["../../etc", "a b", "<script>alert(1)</script>", "x" * 500])
def test_a_name_that_cannot_be_is_explained(scored: Workspace, bad: str) -> None:
    assert "a dataset name of letters" in message(opened("explore", dataset=bad))


IMPOSSIBLE = {
    "between a": "a filter such as",
    "between 0 1 gone": "a filter on a column of this view",
    "between 0 1 source": "a range of a column of numbers",
    "matches (": "a regular expression",
}


@pytest.mark.parametrize("bad", IMPOSSIBLE)
def test_a_filter_that_cannot_work_is_explained_and_can_be_removed(scored: Workspace, bad: str) -> None:
    app = opened("explore", filter=[bad, 'is ["forum"] source'])
    assert IMPOSSIBLE[bad] in message(app) and "`" not in message(app)
    chips = widget(app, "multiselect", "Filters")
    assert len(chips.value) == 2
    checked(chips.set_value(chips.value[1:]).run())
    assert not app.error and metric(app, "rows") == "12" and address(app, "filter") == ['is ["forum"] source']


def test_beside_a_filter_that_cannot_work_another_can_be_set(scored: Workspace) -> None:
    app = opened("explore", filter=["between a"])
    checked(widget(app, "selectbox", "Split").set_value("train").run())
    assert address(app, "filter") == ["between a", 'is ["train"] split']


def test_a_filter_on_rewards_that_are_not_there_yet_can_be_removed(workspace: Workspace) -> None:
    write_demo(workspace, 8, done=0, state="running")
    app = opened("explore", filter=["between 0.05 0.1 reward_chosen"])
    assert "'reward_chosen'" in message(app) and "Scoring has begun" in app.info[0].value
    checked(widget(app, "multiselect", "Filters").set_value([]).run())
    assert not app.error and metric(app, "rows") == "8"


def test_a_pattern_that_cannot_work_stays_in_the_box_to_be_mended(scored: Workspace) -> None:
    app = opened("explore")
    checked(widget(app, "text_input", "this text").set_value("/(/").run())
    assert "a regular expression" in message(app) and "filter" not in app.query_params
    assert metric(app, "rows") == "60" and widget(app, "text_input", "this text").value == "/(/"
    checked(widget(app, "text_input", "this text").set_value("/(question 1)\\d:/").run())
    assert not app.error and metric(app, "rows") == "10" and widget(app, "text_input", "this text").value == ""


def test_a_measure_that_is_none_is_passed_over(scored: Workspace) -> None:
    assert widget(opened("explore", measure="nothing"), "selectbox", "Measure").value == "reward"


def test_a_row_that_is_not_there_is_explained(scored: Workspace) -> None:
    for name, tab in (("explore", ""), ("curate", "Kept"), ("curate", "Borderline")):
        app = opened(name, row="no<b>thing", tab=tab, keep="highest")
        assert "has no row no\\<b\\>thing" in app.warning[0].value and app.dataframe
        checked(widget(app, "button", "close").click().run())
        assert not app.error and not app.warning and not address(app, "row")


@pytest.mark.parametrize("file", ["datasets/demo/pairs.parquet", "scores/demo/tiny/part-00001.parquet"])
def test_a_damaged_file_is_explained(scored: Workspace, file: str) -> None:
    (scored.root / file).write_bytes(b"PAR1 damaged")
    assert "What to do" in opened("explore").error[0].value


@pytest.mark.parametrize("page", ["overview", "datasets"])
def test_a_damaged_dataset_is_named_and_the_others_stay_listed(scored: Workspace, page: str) -> None:
    write_dataset(scored, "other", preferences(8))
    damage(scored, "datasets/demo/dataset.json")
    for dataset in ("demo", "other"):
        app = opened(page, dataset=dataset)
        assert not app.error and list(app.dataframe[0].value["dataset"]) == ["other"]
        assert "demo** cannot be read" in app.warning[0].value and "datasets/demo/dataset.json" in plain(app.warning[0].value)


def test_a_damaged_dataset_alone_leaves_the_way_to_data(scored: Workspace) -> None:
    damage(scored, "datasets/demo/dataset.json")
    app = opened("overview")
    assert "demo** cannot be read" in app.warning[0].value and widget(app, "button", "Choose a source")


@pytest.mark.parametrize("file", ["datasets/demo/dataset.json", "scores/demo/tiny/score.json"])
def test_explore_says_which_description_is_damaged(scored: Workspace, file: str) -> None:
    damage(scored, file)
    assert file in message(opened("explore")) and file in message(opened("explore", dataset="demo", scores="tiny"))


@pytest.mark.parametrize("file", ["scores/demo/tiny/status.json", "scores/demo/tiny/score.json"])
def test_a_damaged_score_set_is_named_and_the_others_stay_listed(scored: Workspace, file: str) -> None:
    made = preferences(ROWS)
    write_scores(scored, "demo", made, list(light_table(open_view(scored, "demo"))["id"]), score_id="second")
    damage(scored, file)
    app = opened("overview")
    assert not app.error and file in plain(app.warning[0].value)
    sets = app.dataframe[1].value.set_index("score set")["state"]
    assert dict(sets) == {"second": "finished", "tiny": "damaged"}
    assert not opened("datasets").error


def test_a_damaged_status_takes_no_reward_away(scored: Workspace) -> None:
    damage(scored, "scores/demo/tiny/status.json")
    app = opened("explore")
    assert "status.json" in plain(app.warning[0].value) and metric(app, "rows") == "60" and not app.error


def damage(workspace: Workspace, file: str) -> None:
    (workspace.root / file).write_text("{half", encoding="utf-8")


def message(app: AppTest) -> str:
    return plain(app.error[0].value)


def plain(markdown: str) -> str:
    return markdown.replace("\\", "")
