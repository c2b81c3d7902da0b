"""What a person sees when something breaks; docs/faults.md tells it in words."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deft_core.runs import groups, launch, metrics, monitor, queue
from deft_core.workspace import Workspace, read_json, write_json
from pages.shared import run_resources
from tests.pages.driving import checked, opened, widget
from tests.pages.test_runs import GONE, charts, live, press, runs, words  # noqa: F401  (a fixture)
from tests.pages.test_train import best, start  # noqa: F401  (a fixture)
from tests.runs.made import a_run, gone, until


@pytest.fixture
def running(workspace: Workspace) -> Iterator[Path]:
    """A real process that trains in no time, waits before its third step, and asks nobody whether it should stop."""
    folder = a_run(workspace)
    write_json(folder / "plan.json", {"steps": 4, "hold": 3, "deaf": True})
    launch.start(workspace, folder.name, "tests.runs.stand_in")
    until((folder / "holding.json").is_file)
    yield folder
    for entry in queue.entries_of(workspace.runs).values():
        os.kill(entry["pid"], signal.SIGKILL)


def test_a_suspended_process_is_named_with_what_lets_it_go_on(workspace: Workspace, running: Path) -> None:
    pid = read_json(running / "status.json")["pid"]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: monitor.suspended(running))
    assert f"its process {pid} is suspended: `kill -CONT {pid}` lets it go on" in words(opened("runs", run=running.name))
    assert opened("runs").dataframe[0].value["state"].tolist() == ["⏸ suspended"]


def test_a_stop_goes_on_in_the_next_server_and_can_be_hurried(workspace: Workspace, running: Path) -> None:
    """The server that was asked to stop it, and would have killed it in the end, is gone."""
    pid = read_json(running / "status.json")["pid"]
    write_json(running / "stop.json", {"asked": 1.0})
    app = opened("runs", run=running.name)
    thread = run_resources._stopping(str(workspace.root))[running.name]
    assert thread.is_alive() and widget(app, "button", "Stopping …").disabled
    press(app, "Kill it now")
    until(lambda: monitor.status(running) == "stopped")
    assert gone(pid)
    thread.join()
    assert "it was stopped before it could say where. Resume" in words(opened("runs", run=running.name)).replace("\n\n", ". ")


def test_a_killed_process_is_lost_and_its_curves_are_there(workspace: Workspace, running: Path) -> None:
    os.kill(read_json(running / "status.json")["pid"], signal.SIGKILL)
    until(lambda: monitor.status(running) == "lost")
    app = opened("runs", run=running.name)
    assert "Lost: its process is gone without a word" in words(app)
    assert charts(app)[0]["parts"][0]["lines"]
    assert opened("runs").dataframe[0].value["state"].tolist() == ["? lost"]


def test_a_folder_deleted_while_it_is_looked_at(workspace: Workspace, runs: ModuleType) -> None:  # noqa: F811
    folder = live(runs, workspace)
    app = opened("runs", run="live")
    shutil.rmtree(folder)
    assert "There is no run live here: its folder was deleted, moved, or belongs to another workspace." in words(checked(app.run()))


def test_a_torn_last_line_leaves_the_curves_before_it(workspace: Workspace, runs: ModuleType) -> None:  # noqa: F811
    folder = live(runs, workspace, step=12)
    write_json(folder / "status.json", read_json(folder / "status.json") | GONE)
    whole = charts(opened("runs", run="live"))[0]
    with (folder / "metrics.jsonl").open("a") as handle:
        handle.write('{"event": "step", "step": 13, "lo')
    app = opened("runs", run="live")
    assert not app.error
    assert charts(app)[0] == whole
    metrics.append(folder, "start", 12)  # the run goes on
    metrics.append(folder, "step", 13, loss=0.5)
    app = opened("runs", run="live")
    assert not app.error
    assert charts(app)[0]["range"][1] == 13


def test_three_hundred_finished_runs_are_listed_searched_and_turned_over(workspace: Workspace, runs: ModuleType) -> None:  # noqa: F811
    for number in range(300):
        runs.finish(runs.generate_run(workspace, f"run-{number:03d}", 1, evaluations=1, seed=number), 1)
    app = opened("runs")
    assert app.dataframe[0].value["run"].tolist() == [f"run-{number:03d}" for number in range(299, 274, -1)]
    press(app, "later →")
    assert app.dataframe[0].value["run"].tolist()[0] == "run-274"
    assert opened("runs", **{"find-run": "run-007"}).dataframe[0].value["run"].tolist() == ["run-007"]


def test_of_a_group_that_was_started_halfway_it_is_said_which_runs_go_on(
    best: Workspace,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    whole: Any = groups.start_group

    def until_full(_: object, run_id: str) -> None:
        if started:
            raise OSError(28, "No space left on device")
        started.append(run_id)

    monkeypatch.setattr(groups, "start_group", lambda *given, **more: whole(*given, **more, start=until_full))
    app = opened("train")
    start(app)
    found = words(app)
    assert "Expected to start 2 runs" in found
    assert "best@2 dpo started; random control of best@2 dpo not: No space left on device" in found
    assert "What has started goes on." in found and "resume the others: they are in the list of runs as stopped" in found


def test_settings_that_a_failure_names_are_found_in_the_form(workspace: Workspace, runs: ModuleType) -> None:  # noqa: F811
    folder = runs.generate_run(workspace, "large", 3, of=20)
    write_json(folder / "status.json", GONE | {"state": "failed", "step": 3, "of": 20, "seconds": 5.0})
    remedy = "Lower accumulation_tokens in run.json (now 2048) and resume the run; or start one with --lora-rank 16."
    write_json(folder / "exit.json", GONE | {"state": "failed", "message": "Expected memory; found none.", "remedy": remedy})
    found = words(opened("runs", run="large"))
    assert "Clone with changes opens its settings for a new run; accumulation_tokens is “Tokens a forward”" in found
    assert "--lora-rank is “What learns” there." in found
