"""What earlier runs took on this machine: the best word on what the next one will take.

Reads the ends of metrics.jsonl alone, however long it is: its first lines name the machine, its last ones what the steps have cost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.processes import machine
from deft_core.runs.monitor import Listed
from deft_core.runs.spec import Run, Settings
from deft_core.workspace import Workspace, read_json

__all__ = ["Speed", "kind", "measured", "speed_of"]

_END_BYTES = 65_536


@dataclass(frozen=True)
class Speed:
    """Of one run that was trained to its end."""

    run_id: str
    tokens_per_second: float  # of training
    peak_bytes: float | None  # of its process while it trained
    between_seconds: float | None  # one evaluation while it trained
    final_seconds: float | None  # the full evaluation
    heldout_rows: int


def measured(workspace: Workspace, runs: Iterable[Listed], model: str, settings: Settings) -> Speed | None:
    """Of the first of these runs of this model, method and kind of training that was trained on this machine; None where there is none."""
    for one in runs:
        if one.run and one.run.model == model and kind(one.run.settings) == kind(settings):
            found = speed_of(workspace.run(one.run_id), one.run)
            if found:
                return found
    return None


def kind(settings: Settings) -> tuple[object, ...]:
    """What makes runs alike in speed."""
    names = ("method", "dtype", "gradient_checkpointing", "rows_per_step", "accumulation_tokens")
    return bool(settings.lora_rank), *(getattr(settings, name) for name in names)


def speed_of(folder: Path, run: Run) -> Speed | None:
    """None where it was trained elsewhere, or not to its end."""
    try:
        first, last = _both_ends(folder / file_names.METRICS)
    except OSError:
        return None
    start, end = _newest(first, "start"), _newest(last, "end")
    if not end or not end.get("seconds") or not end.get("tokens") or start.get("machine") != machine():
        return None
    peak, between = end.get("peak_memory_bytes"), _evaluation_seconds(last)
    return Speed(run.run_id, end["tokens"] / end["seconds"], peak, between, _final_seconds(folder), run.heldout_rows)


def _both_ends(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with path.open("rb") as handle:
        first = handle.read(_END_BYTES)
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - _END_BYTES))
        last = handle.read()
    return _events(first), _events(last)


def _events(part: bytes) -> list[dict[str, Any]]:
    """The lines that are whole: a part may begin and end in the middle of one."""
    found = []
    for line in part.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def _newest(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((event for event in reversed(events) if event.get("event") == kind), {})


def _evaluation_seconds(events: list[dict[str, Any]]) -> float | None:
    """Of the last evaluation, from the step before it, which is said as soon as it is done."""
    for before, event in reversed(list(pairwise(events))):
        if event.get("event") == "evaluation" and before.get("event") == "step":
            return float(event["time"]) - float(before["time"])
    return None


def _final_seconds(folder: Path) -> float | None:
    try:
        seconds = read_json(folder / file_names.EVALUATION, ("cost",))["cost"].get("evaluation_seconds")
    except (OSError, DeftError):
        return None
    return None if seconds is None else float(seconds)
