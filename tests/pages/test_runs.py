"""Runs: the list and its queue, one run as it goes on, what a person does with it."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from deft_core.runs import labels, launch, metrics, queue
from deft_core.workspace import Workspace, read_json, write_json
from pages.shared import run_resources
from tests.pages.driving import address, checked, metric, opened, widget

GONE = {"pid": 2**22 + 1, "started": 1.0}  # no process has this pid
PANELS = 8


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return import_module("generated_runs")


@pytest.fixture
def group(workspace: Workspace, runs: ModuleType) -> list[Path]:
    """A finished run and its control, both evaluated, and one older run that failed."""
    failed = runs.generate_run(workspace, "old", 10, of=20, evaluations=2, seed=1, name="older", selection="worst")
    write_json(failed / "status.json", GONE | {"state": "failed", "step": 10, "of": 20, "seconds": 5.0})
    write_json(
        failed / "exit.json", GONE | {"state": "failed", "message": "Expected a finite loss; found nan.", "remedy": "Lower the rate."}
    )
    best = runs.generate_run(workspace, "best", 20, evaluations=2, seed=2, name="the best")
    control = runs.generate_run(
        workspace, "control", 20, evaluations=2, seed=3, name="random control of the best", role="random", control_of="best", group="best"
    )
    for folder, gain in ((best, 0.3), (control, 0.0)):
        runs.finish(folder, 20)
        runs.evaluate(folder, gain)
    return [best, control, failed]


def live(runs: ModuleType, workspace: Workspace, run_id: str = "live", step: int = 12, **about: object) -> Path:
    folder = runs.generate_run(workspace, run_id, step, of=20, evaluations=2, seed=9, **about)
    runs.live(folder, step, 20)
    return folder


def queued(runs: ModuleType, workspace: Workspace, run_id: str, seed: int) -> Path:
    folder = runs.generate_run(workspace, run_id, 0, of=20, seed=seed)
    runs.live(folder, 0, 20)
    said = read_json(folder / "status.json")
    write_json(folder / "status.json", said | {"state": "queued", "phase": "queued"})
    entries = read_json(workspace.runs / ".queue.json")
    entries[run_id] |= {"device": None, "created": str(seed)}
    write_json(workspace.runs / ".queue.json", entries)
    return folder


def words(app: AppTest) -> str:
    kinds = ("markdown", "caption", "warning", "error", "info", "text", "subheader")
    return " ".join(one.value for kind in kinds for one in getattr(app, kind)).replace("\\", "").replace("*", "")


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.json) for one in app.get("bidi_component")]


def press(app: AppTest, label: str) -> AppTest:
    return checked(next(one for one in app.button if one.label.replace("\\", "") == label).click().run())


def answering(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[object, ...]]:
    """Calls of a function of launch, which does nothing."""
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(launch, name, lambda workspace, *about: asked.append(about))
    return asked


# the list


def test_runs_stand_in_groups_the_newest_first(group: list[Path]) -> None:
    table = opened("runs").dataframe[0].value
    assert table["run"].tolist() == ["the best", "↳ random control", "older"]
    assert table["state"].tolist() == ["✓ finished", "✓ finished", "✗ failed"]
    assert table["step"].tolist() == ["20 / 20", "20 / 20", "10 / 20"]
    assert table["selection"].tolist() == ["best@1", "best@1", "worst@1"]


def test_runs_are_found_by_the_words_of_name_tag_and_state(group: list[Path]) -> None:
    labels.change(group[0], tags=["seed 7"])
    for asked, found in (("SEED 7", 1), ("best", 2), ("failed worst", 1), ("nowhere", 0)):
        app = opened("runs", **{"find-run": asked})
        assert (len(app.dataframe[0].value) if found else "No run has all of these words" in words(app)) == (found or True)


def test_a_list_has_pages(workspace: Workspace, runs: ModuleType) -> None:
    for number in range(27):
        runs.finish(runs.generate_run(workspace, f"run-{number:02d}", 1, evaluations=1, seed=number), 1)
    app = opened("runs")
    assert app.dataframe[0].value["run"].tolist()[:2] == ["run-26", "run-25"] and len(app.dataframe[0].value) == 25
    press(app, "later →")
    assert app.dataframe[0].value["run"].tolist() == ["run-01", "run-00"]


def test_a_damaged_run_is_named_and_the_others_are_listed(group: list[Path]) -> None:
    (group[2] / "run.json").write_text("{half")
    (group[0] / "labels.json").write_text("{half")
    app = opened("runs")
    assert app.dataframe[0].value["run"].tolist() == ["the best", "↳ random control", "old"]
    assert "run.json" in words(app) and "labels.json" in words(app)


def test_those_that_wait_are_moved_and_cancelled(workspace: Workspace, runs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "ask_to_stop")
    for place, name in enumerate(("first", "second", "third")):
        queued(runs, workspace, name, place)
    app = opened("runs")
    assert [one.value for one in app.text] == ["1. first", "2. second", "3. third"]
    checked(app.button(key="run next-third").click().run())
    assert queue.waiting(queue.entries_of(workspace.runs)) == ["third", "first", "second"]
    assert [one.value for one in app.text] == ["1. third", "2. first", "3. second"]
    checked(app.button(key="cancel-first").click().run())
    assert asked == [("first",)]


def test_ticked_runs_are_compared(group: list[Path]) -> None:
    app = opened("runs")
    assert widget(app, "button", "Compare").disabled
    app.session_state["_picked-runs"] = ["best", "control", "deleted meanwhile"]
    press(checked(app.run()), "Compare 2 runs")
    assert address(app, "compare") == ["best", "control"]
    press(app, "All runs")
    assert address(app, "compare") == [] and len(app.dataframe[0].value) == 3


# one run


def test_a_live_run_shows_how_far_it_is_and_its_curves(workspace: Workspace, runs: ModuleType) -> None:
    folder = live(runs, workspace, name="the live one")
    metrics.append(folder, "alert", 8, kind="kl_drift", words="The model is 0.7 nats a token away.")
    labels.change(folder, tags=["seed 1"], note="why it was made")
    app = opened("runs", run="live")
    assert (metric(app, "step"), metric(app, "pairs a second"), metric(app, "time left")) == ("12 / 20", "0.40", "1 min 20 s")
    assert len(app.get("bidi_component")) == PANELS
    assert "Step 8: Far from the base." in app.warning[0].value and "why it was made" in words(app)
    assert not widget(app, "button", "Stop").disabled and widget(app, "button", "Delete").disabled


def test_an_alert_is_marked_on_its_step_in_its_own_chart(workspace: Workspace, runs: ModuleType) -> None:
    metrics.append(live(runs, workspace), "alert", 8, kind="kl_drift", words="far")
    marked = [[step for step, _ in chart["marks"]] for chart in charts(opened("runs", run="live"))]
    assert marked == [[], [], [], [], [8], [], [], []]


def test_samples_of_a_step_are_shown_beside_the_base(workspace: Workspace, runs: ModuleType) -> None:
    live(runs, workspace)
    shown = [one.proto.body for one in opened("runs", run="live").get("html")]
    assert any("at step 10" in one for one in shown)
    shown = [one.proto.body for one in opened("runs", run="live", **{"samples-at": "0"}).get("html")]
    assert any("at step 0" in one for one in shown)


def test_texts_of_a_run_are_never_read_as_html_or_markdown(workspace: Workspace, runs: ModuleType) -> None:
    folder = live(runs, workspace, name="<b>x</b> **y**")
    line = {"step": 10, "id": "row-0", "prompt": "<script>1</script>", "base": "<i>", "tuned": "<u>"}
    (folder / "samples.jsonl").write_text(json.dumps(line) + "\n")
    app = opened("runs", run="live")
    html = "".join(one.proto.body for one in app.get("html") if not one.proto.unsafe_allow_javascript)
    assert "<script>" not in html and "&lt;script&gt;" in html and "<u>" not in html
    assert app.subheader[0].value == "\\<b\\>x\\<\\/b\\> \\*\\*y\\*\\*"


def test_a_finished_run_has_its_verdict_on_top(group: list[Path]) -> None:
    app = opened("runs", run="best")
    assert "Better than one draw of as many random rows: accuracy_implicit +" in words(app) and "prompts)" in words(app)
    press(app, "Compare with random control")
    assert address(app, "compare") == ["best", "control"]


def test_a_finished_control_has_its_verdict_beside_its_run(group: list[Path]) -> None:
    app = opened("runs", run="control")
    assert "Worse than the run it is held against: accuracy_implicit -" in words(app)
    press(app, "Compare with the best")
    assert address(app, "compare") == ["control", "best"]


def test_a_control_that_is_not_evaluated_yet_is_waited_for(group: list[Path]) -> None:
    (group[1] / "evaluation.json").unlink()
    found = words(opened("runs", run="best"))
    assert "Better than its base model" in found and "random control: finished. It was never evaluated." in found


def test_a_run_without_a_control_says_what_that_means(group: list[Path]) -> None:
    launch.delete(Workspace(group[1].parents[1]), "control")
    assert "No random control was run" in words(opened("runs", run="best"))
    about = read_json(group[0] / "run.json")
    write_json(group[0] / "run.json", about | {"rule": about["rule"] | {"keep": "random", "seed": 1}})
    assert "No random control" not in words(opened("runs", run="best"))


def test_a_rule_of_a_later_version_is_not_told_as_another(group: list[Path]) -> None:
    about = read_json(group[0] / "run.json")
    for rule, after in ((about["rule"], ": highest 5 % by reward_chosen"), ({"keep": "wisest"}, "")):
        write_json(group[0] / "run.json", about | {"rule": rule})
        (link,) = [one.proto for one in opened("runs", run="best").get("page_link") if one.proto.label.startswith("selection")]
        assert link.label.replace("\\", "") == f"selection {about['selection']}@{about['version']}{after}"
        assert ("keep=" in link.query_string) == bool(after)


def test_a_run_that_failed_says_why_and_is_resumed(group: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, "resume")
    app = opened("runs", run="old")
    assert "Failed: Expected a finite loss; found nan." in words(app) and "Lower the rate." in words(app)
    press(app, "Resume")
    assert asked == [("old",)]


def test_a_killed_run_is_lost_and_says_from_where_it_goes_on(workspace: Workspace, runs: ModuleType) -> None:
    folder = live(runs, workspace)
    metrics.append(folder, "checkpoint", 10)
    write_json(folder / "status.json", read_json(folder / "status.json") | GONE)
    found = words(opened("runs", run="live"))
    assert "Lost: its process is gone without a word" in found and "Resume goes on from step 10." in found


def test_a_stopped_run_says_from_where_it_goes_on(workspace: Workspace, runs: ModuleType) -> None:
    folder = live(runs, workspace)
    metrics.append(folder, "checkpoint", 12)
    for name, more in (("status.json", {}), ("exit.json", {"message": None, "remedy": None})):
        write_json(folder / name, GONE | {"state": "stopped", "step": 12, "of": 20, "seconds": 5.0} | more)
    assert "Resume goes on from step 12." in words(opened("runs", run="live"))


def test_a_live_run_is_stopped_in_the_background(workspace: Workspace, runs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(run_resources, "stop", lambda workspace, *about: asked.append(about))
    folder = live(runs, workspace)
    app = opened("runs", run="live")
    press(app, "Stop")
    assert asked == [("live",)]
    write_json(folder / "stop.json", {"asked": 1.0})
    app = opened("runs", run="live")
    assert widget(app, "button", "Stopping …").disabled
    press(app, "Kill it now")
    again = ("live",)  # the page goes on with a stop that another server may have begun
    assert asked == [("live",), again, ("live", 0.0), again]


def test_a_run_of_another_machine_has_nothing_to_stop_it_with(workspace: Workspace, runs: ModuleType) -> None:
    folder = live(runs, workspace)
    write_json(folder / "status.json", read_json(folder / "status.json") | {"machine": "another"})
    app = opened("runs", run="live")
    assert "It runs on another machine: what stands here is what has been copied from there." in words(app)
    assert not {"Stop", "Resume"} & {button.label for button in app.button}


def test_a_run_is_named_tagged_and_noted(group: list[Path]) -> None:
    app = opened("runs", run="best")
    widget(app, "text_input", "Name").set_value("a better name")
    widget(app, "text_input", "Tags, separated by commas").set_value("x, y")
    widget(app, "text_area", "Note").set_value("why")
    press(app, "Save")
    assert labels.read(group[0]) == labels.Labels("a better name", ("x", "y"), "why")
    assert app.subheader[0].value == "a better name"


def test_a_run_is_deleted_with_a_second_click(group: list[Path]) -> None:
    app = opened("runs", run="old")
    press(app, "Delete older")
    assert not group[2].exists() and address(app, "run") == [] and len(app.dataframe[0].value) == 2


def test_a_folder_that_is_gone_is_said(workspace: Workspace, group: list[Path]) -> None:
    app = opened("runs", run="nobody")
    assert "There is no run nobody here" in words(app)
    press(app, "All runs")
    assert len(app.dataframe[0].value) == 3


@pytest.mark.parametrize("file", ["metrics.jsonl", "labels.json", "evaluation.json", "evaluation_rows.parquet", "run.json"])
def test_a_damaged_file_is_named_and_the_run_can_be_deleted(group: list[Path], file: str) -> None:
    (group[0] / file).write_text("{half\n")
    app = opened("runs", run="best")
    expected = "the tables of an evaluation" if file.endswith("parquet") else file
    assert expected in words(app) and any(one.label.startswith("Delete") for one in app.button)


def test_curves_are_looked_at_as_the_address_says(workspace: Workspace, runs: ModuleType) -> None:
    folder = runs.generate_run(workspace, "long", 400, evaluations=4, seed=1)
    runs.finish(folder, 400)
    drawn = charts(opened("runs", run="long", span="50", log="on", steps="100-200"))
    gradient, loss = drawn[6], drawn[0]
    assert gradient["range"] == [100, 200] and gradient["parts"][0]["log"]
    assert not loss["parts"][0]["log"]  # the guidance term is below 0
    assert {one["view"] for one in drawn} == {"long 100 200"}


# elsewhere


def test_the_sidebar_of_every_page_leads_to_runs_that_live(workspace: Workspace, runs: ModuleType) -> None:
    live(runs, workspace, name="the live one")
    queued(runs, workspace, "waits", 1)
    links = [one.proto.label.replace("\\", "") for one in opened("overview").get("page_link")]
    assert links == ["training the live one step 12 / 20, 1 min 20 s left", "1 run waiting"]


def test_an_empty_workspace_has_no_runs(workspace: Workspace) -> None:
    assert run_resources.runs(workspace) == []
