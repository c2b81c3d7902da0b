"""What becomes of a run when something breaks; docs/faults.md tells it. Training is a stand-in (stand_in.py); the processes are real."""

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from deft_core.errors import DeftError, InputError
from deft_core.processes import SILENT_SECONDS, identity
from deft_core.runs import launch, monitor, queue
from deft_core.workspace import Workspace, write_json
from tests.runs.made import a_run, gone, until
from tests.runs.test_processes import STAND_IN, ended, holding, nobody_is_left, plan, start, steps  # noqa: F401  (a fixture)


def test_a_folder_deleted_under_a_run_ends_it_and_lets_the_next_one_in(workspace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    first, second = a_run(workspace), a_run(workspace)
    plan(first, hold=2)
    pid = start(workspace, first)
    holding(first, 2)
    start(workspace, second)
    assert monitor.status(second) == "queued"
    first.rename(first.with_name(".away"))  # at once, as no deletion file by file is
    shutil.rmtree(first.with_name(".away"))
    assert ended(second) == "finished"
    assert gone(pid)
    assert not first.exists(), "it does not come back as a folder without a run"
    assert [one.run_id for one in monitor.listing(workspace)] == [second.name]


@pytest.fixture
def small_disk(tmp_path):
    """A workspace on a disk of its own, of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nobody may mount a small disk here")
    yield Workspace(place / "workspace")
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(workspace):
    with suppress(OSError), (workspace.root / "filler").open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))


def test_a_disk_that_is_full_to_the_last_byte_ends_a_run_and_room_lets_it_go_on(small_disk):
    folder = a_run(small_disk)
    plan(folder, hold=2)
    pid = start(small_disk, folder)
    holding(folder, 2)
    os.kill(pid, signal.SIGSTOP)  # it writes while it waits
    (folder / "go").touch()
    fill(small_disk)
    os.kill(pid, signal.SIGCONT)
    until(lambda: gone(pid))
    assert monitor.status(folder) == "lost"  # there was no room to say why
    assert "without room on the disk" in monitor.last_words(folder)[0]
    (small_disk.root / "filler").unlink()
    launch.resume(small_disk, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]


def test_on_a_full_disk_a_run_can_be_stopped(small_disk):
    folder = a_run(small_disk)
    plan(folder, hold=2)
    pid = start(small_disk, folder)
    holding(folder, 2)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: monitor.suspended(folder))
    fill(small_disk)
    assert launch.stop(small_disk, folder.name, grace_seconds=0.2) == "lost"  # there was no room to note that it was asked for
    assert gone(pid)


def test_two_people_who_resume_at_once_have_one_process(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2)

    def resume(_):
        try:
            return launch.resume(workspace, folder.name, STAND_IN)
        except DeftError as error:
            return error

    with ThreadPoolExecutor(2) as both:
        answers = sorted(both.map(resume, range(2)), key=str)
    pid, refused = answers
    assert f"{folder.name}, which is queued" in refused.found or f"{folder.name}, which is running" in refused.found
    holding(folder, 2)
    assert {run_id: entry["pid"] for run_id, entry in queue.entries_of(workspace.runs).items()} == {folder.name: pid}
    assert launch.stop(workspace, folder.name) == "stopped"
    assert steps(folder) == [1]


def test_a_suspended_run_is_killed_once_its_grace_is_over_and_goes_on_from_its_checkpoint(workspace):
    folder = a_run(workspace)
    plan(folder, hold=3)
    pid = start(workspace, folder)
    holding(folder, 3)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: monitor.suspended(folder))
    assert launch.stop(workspace, folder.name, grace_seconds=0.2) == "stopped"
    assert gone(pid)
    (folder / "go").touch()
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]


def test_what_is_said_not_to_have_started_has_no_process(workspace, monkeypatch):
    folder = a_run(workspace)
    plan(folder, hold=1)
    pids = []

    def full(_, __, ___, process):
        pids.append(process["pid"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(queue, "enlist", full)
    with pytest.raises(OSError, match="No space left"):
        start(workspace, folder)
    until(lambda: gone(pids[0]))
    assert monitor.status(folder) == "stopped"
    assert monitor.last_words(folder)[0] == "it was never started"


def test_a_run_of_another_machine_is_watched_and_left_alone(workspace, monkeypatch):
    folder = a_run(workspace)
    said = identity() | {"state": "running", "phase": "training", "step": 2, "of": 5, "seconds": 9.0, "machine": "another"}
    write_json(folder / "status.json", said)
    assert (monitor.status(folder), monitor.progress(folder).step, monitor.is_elsewhere(folder)) == ("running", 2, True)
    assert not monitor.suspended(folder)
    with pytest.raises(InputError, match=r"which is running on another one\. Stop it there"):
        launch.ask_to_stop(workspace, folder.name)  # the pid is this test's
    with pytest.raises(InputError, match="which is running"):
        launch.resume(workspace, folder.name)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SILENT_SECONDS + 1)
    assert monitor.status(folder) == "lost"
    assert monitor.last_words(folder)[0] == "it ran on another machine, from which nothing has come for ten minutes"
