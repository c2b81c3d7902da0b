"""A process is its pid and its creation time."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from deft_core.processes import SILENT_SECONDS, alive, identity, start_detached, started_at
from deft_core.status import Pace, Status, duration, read_status
from deft_core.workspace import write_json


def test_this_process_is_alive_and_one_with_its_pid_but_another_start_is_not():
    me = identity()
    assert me["pid"] == os.getpid()
    assert alive(me["pid"], me["started"])
    assert not alive(me["pid"], me["started"] - 10)


def test_a_clock_that_is_set_leaves_a_process_alive(monkeypatch):
    me, before = identity(), psutil.Process().create_time()
    boot_time = psutil._psplatform.boot_time
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot_time() + 3600)  # what setting the clock does to /proc/stat
    assert psutil.Process().create_time() > before + 3000
    assert alive(me["pid"], me["started"]) and identity() == me


def test_a_process_that_is_gone_has_no_start():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(psutil.NoSuchProcess):
        started_at(child.pid)


def test_a_killed_process_is_lost_even_before_it_is_reaped(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_json(tmp_path / "status.json", identity(child.pid) | {"state": "running"})
    assert read_status(tmp_path)["state"] == "running"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, still a zombie
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert read_status(tmp_path)["state"] == "lost"
    child.communicate()
    assert read_status(tmp_path)["state"] == "lost"


def test_final_states_are_believed(tmp_path):
    write_json(tmp_path / "status.json", {"state": "finished", "pid": 1, "started": 0})
    assert read_status(tmp_path)["state"] == "finished"
    write_json(tmp_path / "status.json", {})
    assert read_status(tmp_path)["state"] == "lost"


def test_a_process_of_another_machine_lives_as_long_as_its_file_changes(tmp_path, monkeypatch):
    write_json(tmp_path / "status.json", {"state": "running", "pid": os.getpid(), "started": 0.0, "machine": "another"})
    assert read_status(tmp_path)["state"] == "running", "no pid of this machine says anything"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + SILENT_SECONDS + 1)
    assert read_status(tmp_path)["state"] == "lost"


def test_a_detached_process_has_its_own_session_and_writes_to_its_log(tmp_path):
    log = tmp_path / "new" / "log.txt"
    pid = start_detached(["-c", "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '')"], log)
    psutil.Process(pid).wait()
    assert log.read_text() == "True True\n"


def test_status_tells_how_a_block_ended(tmp_path):
    with Status(tmp_path, lambda _: None, total=3) as status:
        status.update(phase="working", done=1)
        inside = read_status(tmp_path)
    assert (inside["state"], inside["phase"], inside["done"], inside["total"]) == ("running", "working", 1, 3)
    assert read_status(tmp_path)["state"] == "finished"
    for error, state in ((ValueError("no luck"), "failed"), (KeyboardInterrupt(), "stopped"), (SystemExit(143), "stopped")):
        try:
            with Status(tmp_path, lambda _: None):
                raise error
        except BaseException as caught:
            assert caught is error
        assert read_status(tmp_path)["state"] == state
    assert read_status(tmp_path)["message"] == "stopped by a person or a signal; the same command goes on"


def test_seconds_of_earlier_processes_are_kept(tmp_path):
    with Status(tmp_path, lambda _: None) as first:
        first.earlier_seconds = 100.0
    with Status(tmp_path, lambda _: None):
        pass
    assert 100 <= read_status(tmp_path)["seconds"] < 110


def test_pace_counts_from_where_an_earlier_process_stopped(tmp_path):
    with Status(tmp_path, lambda _: None) as status:
        pace = Pace(status, done=50, total=60, truncated=2, earlier_tokens=1000)
        pace.began -= 2.0  # as if two seconds had gone by
        pace.add(pairs=4, tokens=200, truncated=1)
        values = status.values
    assert (values["done"], values["truncated"], values["tokens"]) == (54, 3, 1200)
    assert abs(values["pairs_per_second"] - 2.0) < 0.1  # 4 pairs in 2 s
    assert abs(values["seconds_left"] - 3.0) < 0.2  # 6 pairs at 2 a second


def test_no_status_is_none(tmp_path):
    assert read_status(tmp_path) is None


def test_durations_as_people_say_them():
    assert [duration(seconds) for seconds in (0.4, 59, 200, 7500)] == ["0 s", "59 s", "3 min 20 s", "2 h 5 min"]
