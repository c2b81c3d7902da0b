"""Who runs and who waits: one run a device at a time, the others in the order in which they were made.

A queued run is a process already: it waits here and loads nothing. So nobody has to start the next one: the end of a run, a
kill -9 included, lets it in. `.queue.json` beside the run folders names the processes; one that is gone no longer counts, and until
it is gone its memory is taken. The order can be changed (`move`); a control that waits for its parent's omega stays behind it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.processes import alive
from deft_core.runs.spec import Run
from deft_core.workspace import read_json, write_json

__all__ = ["devices", "enlist", "entries_of", "move", "opened", "turn", "waiting"]

_GPUS = Path("/proc/driver/nvidia/gpus")
Entries = dict[str, dict[str, Any]]  # run id -> created, pid, started, device (None while it waits), after (a parent), place (once moved)


def devices() -> list[str]:
    """What a run can have to itself: each GPU that is visible, by its number, else the CPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = visible.split(",") if visible is not None else [str(number) for number, _ in enumerate(_GPUS.glob("*"))]
    return [name.strip() for name in there if name.strip() not in ("", "-1")] or ["cpu"]


@contextmanager
def opened(runs: Path) -> Iterator[Entries]:
    """The entries whose processes live, nobody else reading or writing them; as they are left, they are written."""
    with FileLock(runs / ".queue.lock"):
        entries = entries_of(runs)
        before = {run_id: dict(entry) for run_id, entry in entries.items()}
        yield entries
        if entries != before:
            write_json(runs / ".queue.json", entries)


def entries_of(runs: Path) -> Entries:
    path = runs / ".queue.json"
    found = read_json(path) if path.is_file() else {}
    return {run_id: entry for run_id, entry in found.items() if alive(entry["pid"], entry["started"])}


def enlist(entries: Entries, folder: Path, run: Run, process: Mapping[str, Any]) -> None:
    """The run waits, in this process; what an earlier process said of its end no longer stands."""
    other = entries.get(folder.name)
    if other and (other["pid"], other["started"]) != (process["pid"], process["started"]):
        remedy = "Stop that one first (`deft run stop`), or let it go on."
        raise InputError(f"the run {folder.name} in no other process", f"process {other['pid']}, which has it", remedy)
    if not other:
        after = run.omega_of if run.omega is None else None
        entries[folder.name] = {"created": run.created, "device": None, "after": after, **process}
        path = folder / file_names.STATUS
        said = read_json(path) if path.is_file() else {}
        write_json(path, {**said, **process} | {"state": "queued", "phase": "queued", "of": run.settings.total_steps(run.rows)})
        for name in (file_names.EXIT, file_names.STOP):
            (folder / name).unlink(missing_ok=True)


def turn(folder: Path) -> str | None:
    """The device this run has from now on; None while others are before it."""
    with opened(folder.parent) as entries:
        taken = {entry["device"] for entry in entries.values()}
        free = [device for device in devices() if device not in taken]
        place = waiting(entries).index(folder.name)
        if place >= len(free):
            return None
        entries[folder.name]["device"] = free[place]
        return free[place]


def waiting(entries: Entries) -> list[str]:
    """The runs that wait, the next one first: those that somebody has moved, then the others in the order in which they were made."""
    queued = {run_id: entry for run_id, entry in entries.items() if entry["device"] is None}
    order = sorted(queued, key=lambda run_id: (queued[run_id].get("place", math.inf), queued[run_id]["created"], run_id))
    for run_id in reversed(list(order)):
        parent = queued[run_id].get("after")
        if parent in queued and order.index(parent) > order.index(run_id):
            order.remove(run_id)
            order.insert(order.index(parent) + 1, run_id)
    return order


def move(runs: Path, run_id: str, place: int) -> None:
    """A run that waits, to this place among those that wait (0: next)."""
    with opened(runs) as entries:
        order = waiting(entries)
        if run_id not in order:
            raise InputError("a run that waits for its turn", f"{run_id}, which does not", "It has begun, or has ended.")
        order.remove(run_id)
        order.insert(max(0, place), run_id)
        for number, one in enumerate(order):
            entries[one]["place"] = number
