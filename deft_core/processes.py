"""Processes that outlive the one that started them: who they are, whether they live, how they are started.

A process is named by its pid and its creation time, so that a pid the system has given away again is never mistaken
for it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

__all__ = ["alive", "identity", "machine", "start_detached", "start_scoring", "status_of"]

_TOLERANCE_SECONDS = 0.05  # creation times are read from clock ticks; two processes of one pid lie further apart


def identity() -> dict[str, Any]:
    """`pid` and `started` (seconds since the epoch) of this process, as they stand in a status file."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def machine() -> str:
    """Stands for this machine without naming it: what was measured on another one says little here."""
    return blake2b(platform.node().encode(), digest_size=4).hexdigest()


def alive(pid: int, started: float) -> bool:
    """Whether the process with this pid *and* this creation time still runs (a zombie does not)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < _TOLERANCE_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def status_of(status: Mapping[str, Any]) -> str:
    """The state of a status file: what it says when it is final, else running or lost by the process behind it."""
    state = str(status.get("state", "lost"))
    if state != "running":
        return state
    return "running" if alive(int(status["pid"]), float(status["started"])) else "lost"


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
    return start_detached(arguments, root / "scores" / dataset / "log.txt")
