"""The status file of a long job: replaced about once a second, and once more when the job ends, with how it ended.

It names the process behind it (processes.py), so a reader can tell a running job from one whose process was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deft_core import file_names, processes
from deft_core.workspace import read_json, write_json

__all__ = ["Pace", "Say", "Status", "duration", "read_status"]

Say = Callable[[dict[str, Any]], None]
_COUNTERS = ("done", "tokens", "truncated")  # true of what is on disk until the process that goes on has counted again


def read_status(folder: Path) -> dict[str, Any] | None:
    """The status in `folder`, its `state` corrected to "lost" where the process is gone; None where there is none."""
    path = folder / file_names.STATUS
    if not path.is_file():
        return None
    status = read_json(path)
    state = str(status.get("state", "lost"))
    return status | {"state": "lost" if state == "running" and not processes.lives(status, path) else state}


def duration(seconds: float) -> str:
    """Seconds as people say them: 40 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Status:
    """A context: its fields stand in `folder`/status.json; an error that leaves the block becomes state and message.

    `counted` is the phase that `done` and `total` count, which stay as they are in a phase without a count of its own.
    `seconds` goes on from an earlier process of the same job, so that it is what the job has cost altogether.
    """

    def __init__(self, folder: Path, say: Say, **values: Any) -> None:
        self.before = read_status(folder) or {}
        self.path, self.say = folder / file_names.STATUS, say
        self.earlier_seconds = float(self.before.get("seconds", 0.0))
        self.values: dict[str, Any] = {key: self.before[key] for key in _COUNTERS if key in self.before}
        self.values |= processes.identity() | {"state": "running", "phase": "starting", "counted": None, "message": None} | values
        self.began = self.written = time.monotonic()

    def __enter__(self) -> Status:
        self.write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        stopped = kind is not None and not issubclass(kind, Exception)  # Ctrl-C or SIGTERM
        state = "finished" if kind is None else "stopped" if stopped else "failed"
        message = None if kind is None else "stopped by a person or a signal; the same command goes on" if stopped else str(error)
        self.values |= {"state": state, "phase": state, "counted": state if kind is None else None, "message": message}
        self.write()

    def update(self, **values: Any) -> None:
        """Take these values; they reach the disk at once with a new phase, else with the next second."""
        changed_phase = values.get("phase", self.values["phase"]) != self.values["phase"]
        self.values |= values
        if "done" in values:
            self.values["counted"] = self.values["phase"]
        if changed_phase or time.monotonic() - self.written > 0.5:
            self.write()

    def write(self) -> None:
        self.written = time.monotonic()
        self.values["seconds"] = round(self.earlier_seconds + self.written - self.began, 3)
        write_json(self.path, self.values)
        self.say(dict(self.values))


class Pace:
    """Tells a status how many pairs and tokens are done, how fast, and how long the rest will take."""

    def __init__(self, status: Status, done: int, total: int, truncated: int, earlier_tokens: int) -> None:
        self.status, self.before, self.total = status, done, total
        self.done, self.truncated, self.tokens, self.earlier_tokens = done, truncated, 0, earlier_tokens
        self.began = time.monotonic()
        status.update(phase="scoring", done=done, total=total, truncated=truncated)

    def found(self, done: int, truncated: int) -> None:
        """What is done, others' work included."""
        self.done, self.truncated = done, truncated
        self.add(0, 0, 0)

    def add(self, pairs: int, tokens: int, truncated: int) -> None:
        self.done += pairs
        self.tokens += tokens
        self.truncated += truncated
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = (self.done - self.before) / seconds
        self.status.update(
            done=self.done,
            truncated=self.truncated,
            tokens=self.earlier_tokens + self.tokens,
            pairs_per_second=round(rate, 3),
            tokens_per_second=round(self.tokens / seconds, 1),
            seconds_left=round((self.total - self.done) / rate, 1) if rate else None,
        )
