"""What a run is doing, told from the files in its folder and from whether its process lives. Reads only, and loads nothing heavy.

finished | stopped | failed    exit.json says so, in the words of the process that status.json names
queued | running               status.json says so, and that process (pid and start time) lives; another machine's, as far as one can tell
stopped                        a stop was asked for and the process is gone; or there never was one
lost                           the process is gone without a word: killed, out of memory, a full disk, the machine switched off
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import psutil

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.processes import alive, elsewhere, lives
from deft_core.runs import labels
from deft_core.runs.labels import Labels
from deft_core.runs.spec import Run, read_run
from deft_core.workspace import Workspace, read_json

__all__ = ["LIVE", "STATES", "Listed", "Listing", "Progress", "is_elsewhere", "last_words", "listing", "log_tail"]
__all__ += ["listed", "progress", "status", "suspended"]

STATES = ("queued", "running", "finished", "stopped", "failed", "lost")
LIVE = ("queued", "running")
_TAIL_BYTES = 65_536
_TOLD_BY = (file_names.RUN, file_names.STATUS, file_names.EXIT, file_names.STOP, file_names.LABELS)  # what a line of the list comes from


@dataclass(frozen=True)
class Progress:
    step: int
    of: int  # 0: not known before it is started
    phase: str
    seconds: float  # in all processes so far
    seconds_left: float | None = None  # known while it runs
    pairs_per_second: float | None = None
    done: int | None = None  # of what the phase counts, and of how many
    total: int | None = None


@dataclass(frozen=True)
class Listed:
    """A line of the list of runs; without `run` the folder cannot be read, and `problem` says why."""

    run_id: str
    status: str
    progress: Progress
    run: Run | None
    problem: DeftError | None = None
    labels: Labels = Labels()  # noqa: RUF009  (frozen)

    @property
    def name(self) -> str:
        return self.labels.name_of(self.run) if self.run else self.run_id


def status(folder: Path) -> str:
    """One of STATES."""
    said = _read(folder / file_names.STATUS)
    if exit_ := _exit(folder, said):
        return str(exit_["state"])
    if said and lives(said, folder / file_names.STATUS):
        return str(said["state"])
    return "lost" if said and not (folder / file_names.STOP).is_file() else "stopped"


def _exit(folder: Path, said: dict[str, Any]) -> dict[str, Any]:
    """How the run's newest process ended; empty where it has not said so."""
    exit_ = _read(folder / file_names.EXIT)
    same = all(exit_.get(key) == said.get(key) for key in ("pid", "started"))
    return exit_ if said and same else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}


def progress(folder: Path) -> Progress:
    said = _read(folder / file_names.STATUS)
    live = status(folder) == "running"
    left, rate = (said.get(name) if live else None for name in ("seconds_left", "pairs_per_second"))
    counted = int(said.get("step", 0)), int(said.get("of", 0))
    phase = (said.get("done"), said.get("total")) if live and said.get("counted") == said.get("phase") else (None, None)
    return Progress(*counted, str(said.get("phase", "")) if live else "", float(said.get("seconds", 0.0)), left, rate, *phase)


def is_elsewhere(folder: Path) -> bool:
    """Whether the run's newest process is another machine's: what stands here is what has been copied, and nobody here can stop it."""
    return elsewhere(_read(folder / file_names.STATUS))


def suspended(folder: Path) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z) holds the process of a run that lives: it does nothing until another one lets it go on."""
    said = _read(folder / file_names.STATUS)
    with suppress(psutil.NoSuchProcess):
        return (
            bool(said)
            and not elsewhere(said)
            and alive(int(said["pid"]), float(said["started"]))
            and psutil.Process(int(said["pid"])).status() == psutil.STATUS_STOPPED
        )
    return False


def last_words(folder: Path) -> tuple[str, str] | None:
    """(what happened, what to do) of a run that ended otherwise than it should; None where there is nothing to say."""
    state, exit_ = status(folder), _exit(folder, _read(folder / file_names.STATUS))
    again = f"`deft run resume {folder.name}` goes on from its last checkpoint."
    if state == "lost" and is_elsewhere(folder):
        return (
            "it ran on another machine, from which nothing has come for ten minutes",
            "Look there; or bring its folder here, and resume it.",
        )
    if state == "lost":
        return "its process is gone without a word: killed, out of memory, without room on the disk, or the machine was switched off", again
    if state == "stopped" and not exit_:
        begun = (folder / file_names.STATUS).is_file()
        return (
            ("it was stopped before it could say where", again) if begun else ("it was never started", f"`deft run resume {folder.name}`.")
        )
    return (str(exit_["message"]), str(exit_["remedy"])) if exit_.get("message") else None


def listing(workspace: Workspace) -> list[Listed]:
    """Every run, newest first; those that cannot be read at the end."""
    return Listing(workspace).read()


class Listing:
    """The list of runs for who asks again and again: a run that has ended is read once, unless its files change. For all threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self._lock = workspace, Lock()
        self._ended: dict[str, tuple[object, Listed]] = {}  # with what its files were

    def read(self) -> list[Listed]:
        """Every run, newest first; those that cannot be read at the end."""
        with self._lock:
            known, self._ended = self._ended, {}
            found = [self._line(self.workspace.run(run_id), known) for run_id in self.workspace.run_ids()]
        return sorted(found, key=lambda one: (one.run.created if one.run else "", one.run_id), reverse=True)

    def _line(self, folder: Path, known: dict[str, tuple[object, Listed]]) -> Listed:
        files = [_file(folder / name) for name in _TOLD_BY]
        before = known.get(folder.name)
        line = before[1] if before and before[0] == files else listed(folder)
        if line.status not in LIVE:
            self._ended[folder.name] = (files, line)
        return line


def _file(path: Path) -> tuple[int, int, int] | None:
    """By what a file that is replaced is known."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def listed(folder: Path) -> Listed:
    """One run as the list has it."""
    try:
        found = Listed(folder.name, status(folder), progress(folder), read_run(folder))
    except DeftError as error:
        return Listed(folder.name, "lost", Progress(0, 0, "", 0.0), None, error)
    try:
        return replace(found, labels=labels.read(folder))
    except DeftError as error:  # of a name or a note: the run itself is whole
        return replace(found, problem=error)


def log_tail(folder: Path, lines: int = 20) -> list[str]:
    """The last lines of what the run's processes wrote, however long the log is."""
    path = folder / file_names.LOG
    if not path.is_file():
        return []
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - _TAIL_BYTES))
        text = handle.read().decode(errors="replace")
    whole = text.splitlines()[1 if size > _TAIL_BYTES else 0 :]
    return whole[-lines:] if lines else []
