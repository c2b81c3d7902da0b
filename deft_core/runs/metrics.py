"""metrics.jsonl: what a run reports, one JSON object a line, only ever appended to; read from the byte where the last reading stopped.

Events are {"event": kind, "step": int, "time": seconds since the epoch, ...}, each kind one of EVENTS. A `start` at step s that
follows other events is a resume: steps after s are done again, and what was said of them no longer stands.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.workspace import append_line, read_lines_from

__all__ = ["EVENTS", "append", "read", "standing"]

EVENTS = ("start", "step", "evaluation", "omega", "checkpoint", "alert", "end")
Event = dict[str, Any]


def append(folder: Path, event: str, step: int, **values: Any) -> None:
    """One event. Safe against a kill of this process at any moment; not flushed to the disk each time, as a step may take milliseconds."""
    assert event in EVENTS, event
    line = {"event": event, "step": step, "time": time.time()} | values
    append_line(folder / file_names.METRICS, _plain(line), flush=False)


def _plain(value: Any) -> Any:
    """Strict JSON: numbers of any library as Python's own, those that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, Integral):
        return int(value)
    number = float(value if isinstance(value, Real) else value.item())  # NumPy's and torch's scalars
    return number if math.isfinite(number) else None


def read(folder: Path, offset: int = 0, most_bytes: int = -1) -> tuple[list[Event], int]:
    """(events from this byte on, the byte to go on from); a last line that is still being written waits.

    With `most_bytes` about so much of the file, and the same offset where nothing more is whole.
    """
    return read_lines_from(folder / file_names.METRICS, offset, most_bytes)


def standing(events: Iterable[Event]) -> list[Event]:
    """The events without those that a resume has taken back: of each step the last that was said. Alerts stay, and omega, measured once.

    What was said at the very step a run goes on from, before its checkpoint, is not said again; but a run that begins anew evaluates anew.
    """
    found: list[Event] = []
    for event in events:
        if event["event"] == "start":
            last = event["step"]
            found = [one for one in found if one["event"] in ("alert", "omega") or (one["step"] <= last and last > 0)]
        found.append(event)
    return found
