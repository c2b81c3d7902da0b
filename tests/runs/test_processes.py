"""Runs as processes: started, queued, stopped, killed and resumed. Training is a stand-in (stand_in.py); the processes are real."""

import json
import os
import random
import signal
from dataclasses import replace

import psutil
import pytest

from deft_core.errors import InputError, NotFoundError
from deft_core.processes import started_at
from deft_core.runs import labels, launch, metrics, monitor, queue
from deft_core.runs.spec import read_run, write_run
from deft_core.status import read_status
from deft_core.workspace import append_line, read_json, write_json
from tests.runs.made import a_run, gone, until

STAND_IN = "tests.runs.stand_in"


def plan(folder, **values):
    write_json(folder / "plan.json", values)


def start(workspace, folder):
    return launch.start(workspace, folder.name, STAND_IN)


def ended(folder):
    """How it ended, once its process is gone."""
    until(lambda: monitor.status(folder) not in monitor.LIVE)
    until(lambda: folder.name not in queue.entries_of(folder.parent))
    return monitor.status(folder)


def holding(folder, at):
    until(lambda: (folder / "holding.json").is_file() and read_json(folder / "holding.json")["step"] == at)


def steps(folder):
    return [event["step"] for event in metrics.standing(metrics.read(folder)[0]) if event["event"] == "step"]


@pytest.fixture(autouse=True)
def nobody_is_left(workspace):
    yield
    for entry in queue.entries_of(workspace.runs).values():
        os.kill(entry["pid"], signal.SIGKILL)


def test_margins_by_row_come_after_the_evaluation(workspace):
    folder = a_run(workspace)
    start(workspace, folder)
    assert ended(folder) == "finished"
    assert (folder / "row_margins.parquet").exists()


def test_a_run_without_them_has_finished_too(workspace):
    folder = a_run(workspace)
    plan(folder, margins="fail")
    start(workspace, folder)
    assert ended(folder) == "finished"
    log = (folder / "log.txt").read_text()
    assert "a base as it was" in log and f"deft evaluate {folder.name} --rows" in log
    assert monitor.last_words(folder) is None


def test_asked_to_stop_while_they_are_taken_it_has_finished(workspace):
    folder = a_run(workspace)
    plan(folder, margins="hold")
    start(workspace, folder)
    holding(folder, "margins")
    assert launch.stop(workspace, folder.name) == "finished"
    assert not (folder / "row_margins.parquet").exists()


def test_a_run_goes_its_way(workspace):
    folder = a_run(workspace)
    assert monitor.status(folder) == "stopped"
    assert monitor.last_words(folder) == ("it was never started", f"`deft run resume {folder.name}`.")
    pid = start(workspace, folder)
    assert read_json(folder / "status.json")["pid"] == pid
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]
    assert read_json(folder / "evaluation.json") == {"evaluated": True}
    exit_ = read_json(folder / "exit.json")
    assert [exit_[key] for key in ("state", "code", "message", "remedy", "step", "pid")] == ["finished", 0, None, None, 3, pid]
    assert monitor.last_words(folder) is None
    assert read_status(folder)["state"] == "finished"
    log = monitor.log_tail(folder)
    assert log[0].endswith(f"{folder.name}, processes: 1")
    assert any("training" in line for line in log)


def test_its_process_has_a_session_of_its_own(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2)
    pid = start(workspace, folder)
    holding(folder, 2)
    assert os.getsid(pid) == pid != os.getsid(0)
    progress = monitor.progress(folder)
    assert (monitor.status(folder), progress.step, progress.of) == ("running", 1, 2)  # 8 rows, 4 a step, as the run's settings say
    (folder / "go").touch()
    assert ended(folder) == "finished"


def test_stop_stops_and_resume_resumes(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2)
    start(workspace, folder)
    holding(folder, 2)
    assert launch.stop(workspace, folder.name) == "stopped"
    assert (read_json(folder / "exit.json")["step"], monitor.progress(folder).step, steps(folder)) == (1, 1, [1])
    (folder / "go").touch()
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]
    assert [event["step"] for event in metrics.read(folder)[0] if event["event"] == "start"] == [0, 1]


def test_one_that_does_not_listen_is_killed_with_its_children(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2, deaf=True, child=True)
    pid = start(workspace, folder)
    holding(folder, 2)
    child = read_json(folder / "child.json")["pid"]
    assert launch.stop(workspace, folder.name, grace_seconds=0.2) == "stopped"
    assert gone(pid)
    until(lambda: gone(child))
    assert monitor.last_words(folder)[0] == "it was stopped before it could say where"


def test_a_killed_run_is_lost_not_alive_and_can_be_resumed(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2)
    pid = start(workspace, folder)
    holding(folder, 2)
    os.kill(pid, signal.SIGKILL)
    assert ended(folder) == "lost"
    words, remedy = monitor.last_words(folder)
    assert "without a word" in words
    assert "deft run resume" in remedy
    assert monitor.progress(folder).seconds_left is None
    (folder / "go").touch()
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]


def test_an_old_end_does_not_stand_for_a_new_process(workspace):
    folder = a_run(workspace)
    plan(folder, hold=2)
    start(workspace, folder)
    holding(folder, 2)
    launch.stop(workspace, folder.name)
    before = (folder / "exit.json").read_text()
    pid = start(workspace, folder)
    until(lambda: monitor.status(folder) == "running")
    assert not (folder / "exit.json").exists()
    (folder / "exit.json").write_text(before)  # as if the launcher had been killed before it removed it
    assert monitor.status(folder) == "running"
    os.kill(pid, signal.SIGKILL)
    assert ended(folder) == "lost"


def test_a_pid_given_to_another_process_is_not_the_run(workspace):
    folder = a_run(workspace)
    write_json(folder / "status.json", {"state": "running", "pid": os.getpid(), "started": started_at(os.getpid()) - 100})
    assert monitor.status(folder) == "lost"
    with pytest.raises(InputError, match="nothing to stop"):
        launch.stop(workspace, folder.name)


def test_a_process_that_a_signal_holds_is_said_to_be_suspended(workspace):
    folder = a_run(workspace)
    plan(folder, hold=1)
    pid = start(workspace, folder)
    holding(folder, 1)
    assert not monitor.suspended(folder)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: monitor.suspended(folder))
    assert monitor.status(folder) == "running"
    os.kill(pid, signal.SIGCONT)
    until(lambda: not monitor.suspended(folder))
    assert launch.stop(workspace, folder.name) == "stopped" and not monitor.suspended(folder)


def test_a_stop_right_after_the_start_is_a_stop(workspace):
    folder = a_run(workspace)
    plan(folder, hold=1)
    start(workspace, folder)
    assert launch.stop(workspace, folder.name) == "stopped"  # Python had not even begun to listen
    (folder / "go").touch()
    start(workspace, folder)
    assert ended(folder) == "finished"


@pytest.mark.parametrize(
    ("fault", "message", "remedy"),
    [
        ("deft", "Expected a finite loss; found nan in step 2.", "Lower the learning rate."),
        ("os", "Expected to read or write /disk/checkpoint; found No space left on device.", "space left"),
        ("bug", "Expected a run without a fault; found KeyError: 'nothing'.", "log.txt"),
    ],
)
def test_a_failure_is_told_in_three_parts(workspace, fault, message, remedy):
    folder = a_run(workspace)
    plan(folder, fail=2, fault=fault)
    start(workspace, folder)
    assert ended(folder) == "failed"
    exit_ = read_json(folder / "exit.json")
    assert (exit_["code"], exit_["step"], exit_["message"]) == (1, 1, message)
    assert remedy in exit_["remedy"]
    assert monitor.last_words(folder) == (exit_["message"], exit_["remedy"])
    assert ("Traceback" in "\n".join(monitor.log_tail(folder, 100))) == (fault == "bug")
    plan(folder)
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"


def test_a_stop_while_it_is_evaluated_leaves_only_the_evaluation_to_do(workspace):
    folder = a_run(workspace)
    plan(folder, hold_evaluation=True)
    start(workspace, folder)
    holding(folder, "evaluation")
    assert monitor.progress(folder).phase == "evaluating"
    assert launch.stop(workspace, folder.name) == "stopped"
    (folder / "judge").touch()
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert [event["step"] for event in metrics.read(folder)[0] if event["event"] == "start"] == [0]  # trained once


def test_what_lives_or_is_finished_is_not_started_again_and_what_lives_not_deleted(workspace):
    folder = a_run(workspace)
    plan(folder, hold=1)
    start(workspace, folder)
    for act in (start, lambda workspace, folder: launch.delete(workspace, folder.name)):
        with pytest.raises(InputError, match=r"which is (queued|running)"):
            act(workspace, folder)
    (folder / "go").touch()
    assert ended(folder) == "finished"
    with pytest.raises(InputError, match="which is finished"):
        start(workspace, folder)
    launch.delete(workspace, folder.name)
    assert not folder.exists()
    assert not [path for path in workspace.runs.iterdir() if path.is_dir()]
    with pytest.raises(NotFoundError, match=r"there: none yet"):
        launch.delete(workspace, folder.name)


def test_a_second_process_on_a_run_leaves_it_alone(workspace):
    folder = a_run(workspace)
    plan(folder, hold=1)
    start(workspace, folder)
    holding(folder, 1)
    said = read_json(folder / "status.json")
    second = launch.start_detached(["-m", STAND_IN, str(folder)], folder / "second.txt")
    until(lambda: gone(second))
    assert "in no other process" in (folder / "second.txt").read_text()
    assert {key: read_json(folder / "status.json")[key] for key in ("pid", "state")} == {key: said[key] for key in ("pid", "state")}


def test_a_folder_that_was_copied_runs_where_it_is(workspace, tmp_path):
    folder = a_run(workspace)
    folder.rename(tmp_path / folder.name)
    folder = tmp_path / folder.name
    launch.start_detached(["-m", STAND_IN, str(folder)], folder / "log.txt")
    until((folder / "exit.json").is_file)
    assert ended(folder) == "finished"


def test_the_worker_names_a_folder_that_is_no_run(tmp_path):
    log = tmp_path / "log.txt"
    pid = launch.start_detached(["-m", STAND_IN, str(tmp_path)], log)
    until(lambda: gone(pid))
    assert "Name the folder of a run" in log.read_text()
    assert not (tmp_path / "exit.json").exists()


def test_alerts_are_raised_while_it_runs(workspace):
    folder = a_run(workspace)
    plan(folder, kl=0.9)
    start(workspace, folder)
    assert ended(folder) == "finished"
    (alert,) = [event for event in metrics.read(folder)[0] if event["event"] == "alert"]
    assert (alert["kind"], alert["step"]) == ("kl_drift", 3)
    assert "0.90 nats a token" in alert["words"]


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing(workspace):
    folder = a_run(workspace)
    plan(folder, steps=200, pause=0.04)  # 8 s: more than ten processes of at most 0.8 s can do
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, reached = random.Random(seed), []
    for _ in range(10):
        process = psutil.Process(start(workspace, folder))
        with pytest.raises(psutil.TimeoutExpired):
            process.wait(rng.uniform(0.0, 0.8))
        process.kill()
        assert ended(folder) == "lost"
        reached.append(max(steps(folder), default=0))
    start(workspace, folder)
    assert ended(folder) == "finished"
    assert steps(folder) == list(range(1, 201))
    assert reached == sorted(reached)


# a control takes its parent's omega


def a_pair(workspace):
    """A run that measures its omega, and a control of it."""
    parent, control = a_run(workspace, guidance=None), a_run(workspace, guidance=None)
    write_run(control, replace(read_run(control), control_of=parent.name))
    return parent, control


def test_a_control_waits_for_its_parents_omega(workspace, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    parent, control = a_pair(workspace)
    plan(parent, hold=1)
    start(workspace, parent)
    holding(parent, 1)
    start(workspace, control)
    write_json(parent / "resolved.json", {"omega": 0.25, "norms": None})
    assert ended(control) == "finished"
    assert read_run(control).omega == 0.25
    assert monitor.status(parent) == "running"


def test_without_a_parent_that_will_ever_measure_it_a_control_fails(workspace):
    parent, control = a_pair(workspace)
    start(workspace, control)
    assert ended(control) == "failed"
    words, remedy = monitor.last_words(control)
    assert f"the guidance weight that {parent.name} measured" in words
    assert remedy.startswith("Resume that run first")


# listing


def test_runs_are_listed_newest_first_and_a_damaged_one_with_its_problem(workspace):
    first, second, damaged = a_run(workspace), a_run(workspace), a_run(workspace)
    for place, folder in enumerate((second, first)):
        write_run(folder, replace(read_run(folder), created=f"2026-01-0{place + 1}T00:00:00.000+00:00"))
    (damaged / "run.json").write_text("{")
    found = monitor.listing(workspace)
    assert [one.run_id for one in found] == [first.name, second.name, damaged.name]
    assert [one.status for one in found] == ["stopped", "stopped", "lost"]
    assert "damaged" in str(found[2].problem)
    assert found[0].run == read_run(first)


def test_a_list_that_is_read_again_reads_what_has_changed_alone(workspace, monkeypatch):
    first, second = a_run(workspace), a_run(workspace)
    listing, read, asked = monitor.Listing(workspace), monitor.read_run, []
    before = listing.read()
    monkeypatch.setattr(monitor, "read_run", lambda folder: (asked.append(folder.name), read(folder))[1])
    assert listing.read() == before and not asked
    labels.change(second, name="the better one", tags=["seed 1"])
    found = {one.run_id: one for one in listing.read()}
    assert asked == [second.name]
    assert (found[second.name].name, found[second.name].labels.tags) == ("the better one", ("seed 1",))
    assert found[first.name].name == read(first).name
    (second / "labels.json").write_text("{half")
    damaged = next(one for one in listing.read() if one.run_id == second.name)
    assert "labels.json" in str(damaged.problem) and damaged.run == read(second)
    launch.delete(workspace, first.name)
    assert [one.run_id for one in listing.read()] == [second.name]


def test_the_end_of_a_long_log(tmp_path):
    assert monitor.log_tail(tmp_path) == []
    (tmp_path / "log.txt").write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert monitor.log_tail(tmp_path, 2) == ["line 19998", "line 19999"]
    lines = monitor.log_tail(tmp_path, 100_000)
    assert 1000 < len(lines) < 20_000
    assert all(line.startswith("line ") for line in lines)


def test_metrics_torn_by_the_kill_do_not_stop_the_resumed_run(workspace):
    folder = a_run(workspace)
    plan(folder, hold=3)
    pid = start(workspace, folder)
    holding(folder, 3)
    os.kill(pid, signal.SIGKILL)
    assert ended(folder) == "lost"
    with (folder / "metrics.jsonl").open("a") as handle:
        handle.write('{"event": "step", "step": 3, "lo')
    append_line(folder / "samples.jsonl", json.loads("{}"))
    (folder / "go").touch()
    launch.resume(workspace, folder.name, STAND_IN)
    assert ended(folder) == "finished"
    assert steps(folder) == [1, 2, 3]
