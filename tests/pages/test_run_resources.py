"""A run is stopped by the server, whatever the page that asked for it does; the server kills it when asked to."""

from __future__ import annotations

from pathlib import Path

from deft_core.runs import launch, monitor
from deft_core.workspace import Workspace, read_json, write_json
from pages.shared import run_resources
from tests.runs.made import a_run, until


def test_a_run_is_stopped_in_a_thread_of_the_server(workspace: Workspace) -> None:
    folder = a_run(workspace)
    write_json(folder / "plan.json", {"steps": 4, "hold": 2})
    launch.start(workspace, folder.name, "tests.runs.stand_in")
    until((folder / "holding.json").is_file)
    run_resources.stop(workspace, folder.name)
    until(lambda: monitor.status(folder) == "stopped")
    assert read_json(folder / "exit.json")["step"] == 1, "it was held in its second step"


def test_a_run_that_does_not_heed_is_killed_when_somebody_asks_for_that(workspace: Workspace) -> None:
    folder = a_run(workspace)
    write_json(folder / "plan.json", {"steps": 4, "hold": 2, "deaf": True})
    launch.start(workspace, folder.name, "tests.runs.stand_in")
    until((folder / "holding.json").is_file)
    run_resources.stop(workspace, folder.name)
    until((folder / "stop.json").is_file)
    assert monitor.status(folder) == "running"
    run_resources.stop(workspace, folder.name, 0.0)
    until(lambda: monitor.status(folder) not in monitor.LIVE)


def test_stopping_a_run_that_has_ended_changes_nothing(workspace: Workspace) -> None:
    folder = a_run(workspace)
    run_resources.stop(workspace, folder.name)
    run_resources.stop(workspace, "nobody")
    until(lambda: not any(thread.is_alive() for thread in run_resources._stopping(str(workspace.root)).values()))
    assert not Path(folder / "stop.json").exists()
