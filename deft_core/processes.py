"""Processes that outlive the one that started them: who they are, whether they live, how they are started.

A process is named by its pid and the time of its creation, so that a pid the system has given away again is never mistaken for it. That
time is counted from the start of the machine: psutil's is of the day, and moves when somebody sets the clock. Of a process on another
machine, whose folder is shared or copied here as it goes on, nothing is known but what it writes.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

from deft_core import file_names

__all__ = ["SILENT_SECONDS", "alive", "elsewhere", "identity", "lives", "machine", "start_detached", "start_scoring", "started_at"]

_TOLERANCE_SECONDS = 0.05  # creation times are read from clock ticks; two processes of one pid lie further apart
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STARTTIME = 22 - 3  # of /proc/<pid>/stat (proc(5), from 1), of what follows the name in brackets
_BOOT_SECONDS = 1e8  # between two starts of the machine: more than one runs for
SILENT_SECONDS = 600.0  # without a word in the copy of its status: a process on another machine is taken for gone


def identity(pid: int | None = None) -> dict[str, Any]:
    """`pid`, `started` (see `started_at`) and `machine` of a process here, else of this one, as they stand in a status file."""
    pid = os.getpid() if pid is None else pid
    return {"pid": pid, "started": started_at(pid), "machine": machine()}


def started_at(pid: int) -> float:
    """When a process was created: seconds since the machine was started, and what tells that start from others. Raises NoSuchProcess."""
    if not _BOOT.is_file():
        return float(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    ticks = int(stat.rpartition(")")[2].split()[_STARTTIME])
    return int(_BOOT.read_text()[:4], 16) * _BOOT_SECONDS + ticks / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Stands for this machine without naming it: what was measured on another one says little here."""
    return blake2b(platform.node().encode(), digest_size=4).hexdigest()


def alive(pid: int, started: float) -> bool:
    """Whether the process with this pid *and* this creation time still runs (a zombie does not)."""
    try:
        return abs(started_at(pid) - started) < _TOLERANCE_SECONDS and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def elsewhere(said: Mapping[str, Any]) -> bool:
    """Whether the process that a status file names is another machine's."""
    return bool(said.get("machine", machine()) != machine())


def lives(said: Mapping[str, Any], file: Path) -> bool:
    """Whether the process that a status file names runs; another machine's, whether the file has changed lately."""
    if elsewhere(said):
        return time.time() - file.stat().st_ctime < SILENT_SECONDS
    return alive(int(said["pid"]), float(said["started"]))


def start_detached(arguments: Sequence[str], log: Path) -> int:
    """Start `python arguments...` in a session of its own, output appended to `log`; returns its pid.

    Standard input is closed and the output is a file, never a pipe: nothing the caller does or stops doing can end it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).parents[1],
        )
    Thread(target=child.wait, daemon=True).start()  # reaps it, should this process outlive it
    return child.pid


def start_scoring(
    root: Path, dataset: str, model: str | None = None, *, max_length: int | None = None, batch_tokens: int | None = None
) -> int:
    """Score `dataset` of the workspace at `root` in a detached process; returns its pid. A second one follows the first."""
    arguments = ["-m", "deft_core", "--workspace", str(root.resolve()), "score", dataset]
    for option, value in (("--model", model), ("--max-length", max_length), ("--batch-tokens", batch_tokens)):
        arguments += [option, str(value)] if value else []
    return start_detached(arguments, root / "scores" / dataset / file_names.LOG)
