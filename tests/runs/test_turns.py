"""Who runs and who waits, with real processes; test_queue.py has the order alone."""

import os
import signal
from dataclasses import replace

from deft_core.runs import launch, monitor, queue
from deft_core.runs.spec import read_run, write_run
from tests.runs.made import a_run
from tests.runs.test_processes import ended, holding, nobody_is_left, plan, start  # noqa: F401  (a fixture)


def test_the_queue_lets_them_in_by_age_and_a_killed_one_frees_its_place(workspace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    folders = [a_run(workspace) for _ in range(3)]
    for place, folder in enumerate(folders):
        write_run(folder, replace(read_run(folder), created=f"2026-01-0{place + 1}T00:00:00.000+00:00"))
        plan(folder, hold=1)
    first, second, third = folders
    pid = start(workspace, first)
    holding(first, 1)
    start(workspace, third)
    start(workspace, second)
    assert [monitor.status(folder) for folder in folders] == ["running", "queued", "queued"]
    os.kill(pid, signal.SIGKILL)
    holding(second, 1)  # the older one, though it was started later
    assert [monitor.status(folder) for folder in folders] == ["lost", "running", "queued"]
    (second / "go").touch()
    assert ended(second) == "finished"
    holding(third, 1)
    assert launch.stop(workspace, third.name) == "stopped"


def test_devices_are_the_gpus_that_are_visible_else_the_cpu(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(queue, "_GPUS", tmp_path)
    assert queue.devices() == ["cpu"]
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:02:00.0").mkdir()
    assert queue.devices() == ["0", "1"]
    for visible, expected in (("1", ["1"]), ("GPU-abc, 0", ["GPU-abc", "0"]), ("", ["cpu"]), ("-1", ["cpu"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert queue.devices() == expected


def test_each_device_takes_one(workspace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    folders = [a_run(workspace) for _ in range(3)]
    for folder in folders:
        plan(folder, hold=1)
        start(workspace, folder)
    holding(folders[0], 1)
    holding(folders[1], 1)
    entries = queue.entries_of(workspace.runs)
    assert {entries[folder.name]["device"] for folder in folders[:2]} == {"2", "5"}
    assert (entries[folders[2].name]["device"], monitor.status(folders[2])) == (None, "queued")
    for folder in folders[:2]:
        assert launch.stop(workspace, folder.name) == "stopped"
    holding(folders[2], 1)


def test_a_queued_run_is_stopped_before_it_began(workspace):
    first, second = a_run(workspace), a_run(workspace)
    plan(first, hold=1)
    start(workspace, first)
    holding(first, 1)
    start(workspace, second)
    assert launch.stop(workspace, second.name) == "stopped"
    assert not (second / "metrics.jsonl").exists()
    start(workspace, second)
    (first / "go").touch()
    assert (ended(first), ended(second)) == ("finished", "finished")
