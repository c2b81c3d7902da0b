"""A run's numbers as TensorBoard's event files, written by its own writer where the package is installed; we do not ask for it."""

from __future__ import annotations

import math
import shutil
from importlib.util import find_spec
from pathlib import Path

from deft_core.errors import InputError
from deft_core.runs.curves import Curves, Table

__all__ = ["installed", "place", "write"]


def installed() -> bool:
    return find_spec("tensorboard") is not None


def place(folder: Path) -> Path:
    return folder / "tensorboard"


def write(folder: Path, curves: Curves) -> Path:
    """Everything known of the run, in the place of what was written before; training and evaluation as two of TensorBoard's runs."""
    if not installed():
        raise InputError("the package tensorboard", "none", "Install it: pip install tensorboard.")
    shutil.rmtree(place(folder), ignore_errors=True)
    for name, table in (("training", curves.training), ("heldout", curves.evaluations)):
        _write(place(folder) / name, table)
    return place(folder)


def _write(target: Path, table: Table) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    times = table.column("time")
    writer = EventFileWriter(str(target))
    for line, step in enumerate(table.steps.tolist()):
        values = {name: float(column[line]) for name, column in table.columns.items() if name != "time"}
        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items() if math.isfinite(value)])
        writer.add_event(Event(wall_time=float(times[line]), step=step, summary=summary))
    writer.close()
