"""Starting, stopping, resuming and deleting runs. The process of a run has a session of its own: nothing that starts it can end it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.processes import identity, machine, start_detached
from deft_core.runs import monitor, queue
from deft_core.runs.spec import read_run
from deft_core.workspace import Workspace, read_json, write_json

__all__ = ["GRACE_SECONDS", "ask_to_stop", "delete", "resume", "start", "stop"]

GRACE_SECONDS = 120.0  # for the step or the evaluation under way, and a checkpoint
WORKER = "deft_core.runs.worker"


def start(workspace: Workspace, run_id: str, worker: str = WORKER) -> int:
    """Start a run that does not live, from its last checkpoint where it has one; the pid of its process, which may have to wait.

    `worker` is the module to run, with the folder as its argument.
    """
    folder = workspace.existing_run(run_id)
    run = read_run(folder)
    with queue.opened(folder.parent) as entries:
        state = monitor.status(folder)
        if state in (*monitor.LIVE, "finished"):
            remedy = "Start another with `deft train`." if state == "finished" else f"Watch it with `deft run show {run_id}`."
            raise InputError("a run that can be started: stopped, failed or lost", f"{run_id}, which is {state}", remedy)
        entries.pop(run_id, None)  # of a process that has said its last word but is not gone yet
        pid = start_detached(["-m", worker, str(folder.resolve())], folder / file_names.LOG)
        try:
            queue.enlist(entries, folder, run, _identity(pid))
        except OSError:  # a full disk: what is said not to have started has not
            with suppress(psutil.NoSuchProcess):
                _kill(psutil.Process(pid))
            raise
    return pid


def _identity(pid: int) -> dict[str, Any]:
    with suppress(psutil.NoSuchProcess):
        return identity(pid)
    return {"pid": pid, "started": 0.0, "machine": machine()}  # it has ended already


def resume(workspace: Workspace, run_id: str, worker: str = WORKER) -> int:
    """Go on with a run that was stopped, failed or was lost."""
    return start(workspace, run_id, worker)


def ask_to_stop(workspace: Workspace, run_id: str) -> None:
    """Ask a run to end: at the next step it saves a checkpoint and does so. Returns at once."""
    _asked(workspace.existing_run(run_id))


def stop(workspace: Workspace, run_id: str, grace_seconds: float = GRACE_SECONDS) -> str:
    """Stop a run and wait until it is gone; after the grace period it is killed, with all its processes. How it ended."""
    folder = workspace.existing_run(run_id)
    process = _asked(folder)
    try:
        process.wait(grace_seconds)
    except psutil.TimeoutExpired:
        _kill(process)
    return monitor.status(folder)


def _asked(folder: Path) -> psutil.Process:
    """The run's process, after SIGTERM."""
    state = monitor.status(folder)
    if state in monitor.LIVE and monitor.is_elsewhere(folder):
        remedy = f"Stop it there: `deft run stop {folder.name}`, or as that machine's queue has it."
        raise InputError("a run of this machine", f"{folder.name}, which is {state} on another one", remedy)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(read_json(folder / file_names.STATUS)["pid"]) if state in monitor.LIVE else None
        if process and monitor.status(folder) in monitor.LIVE:  # still the same process
            with suppress(OSError):  # a full disk is no reason to go on
                write_json(folder / file_names.STOP, {"asked": time.time()})
            process.terminate()
            return process
    raise InputError("a run that is queued or running", f"{folder.name}, which is {monitor.status(folder)}", "There is nothing to stop.")


def _kill(process: psutil.Process) -> None:
    """The process, its children and, where it leads its own group, the group: no other's."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        family = [process, *process.children(recursive=True)]
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family)


def delete(workspace: Workspace, run_id: str) -> None:
    """Take a run and everything it made away, at once and for good."""
    folder = workspace.existing_run(run_id)
    with queue.opened(folder.parent):
        state = monitor.status(folder)
        if state in monitor.LIVE:
            raise InputError("a run that has ended", f"{run_id}, which is {state}", f"Stop it first: `deft run stop {run_id}`.")
        scratch = folder.with_name(f".{run_id}.{uuid4().hex}.tmp")
        folder.rename(scratch)
    shutil.rmtree(scratch)
