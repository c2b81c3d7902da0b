"""Checkpoints of a run on disk: written beside, flushed, renamed, so that one is there whole or not at all; the newest is kept.

<run>/checkpoints/checkpoint-<step>/   trained.safetensors (what learns), optimiser, schedule, generators, trainer_state.json, cost.json
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from deft_core import file_names
from deft_core.lm.failures import storing

__all__ = ["clear_optimiser", "due", "newest", "prepare_folder", "publish", "scratch", "step_of"]

_NAME = re.compile(r"checkpoint-([0-9]+)")
_OPTIMISER = ("optimizer.pt", "scheduler.pt", "optimizer_0", "optimizer.bin", "rng_state.pth")  # the two in the middle are FSDP's


def due(since_seconds: float, cost_seconds: float) -> bool:
    """Whether to save again, so long after the last time, which took so long: every five minutes, and never more than 5 % of the time."""
    return since_seconds >= max(300.0, 20 * cost_seconds)


def step_of(checkpoint: Path | None) -> int:
    """The step after which a checkpoint was written, 0 for none."""
    found = _NAME.fullmatch(checkpoint.name) if checkpoint else None
    return int(found[1]) if found else 0


def newest(folder: Path) -> Path | None:
    """The checkpoint a run goes on from."""
    found = [path for path in (folder / file_names.CHECKPOINTS).glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    return max(found, key=step_of, default=None)


def scratch(folder: Path) -> Path:
    """Where a checkpoint grows until it is whole."""
    return folder / file_names.CHECKPOINTS / ".growing"


def prepare_folder(folder: Path) -> None:
    """Clear what a killed process left half written, and find out at once whether one may write here."""
    with storing(folder, "a run folder that can be written to"):
        shutil.rmtree(scratch(folder), ignore_errors=True)
        scratch(folder).mkdir(parents=True)
        probe = scratch(folder) / "probe"
        probe.write_bytes(b"probe")
        probe.unlink()


def publish(growing: Path, target: Path) -> None:
    """The finished checkpoint takes its name; older ones go. One of the same step, which is the same bits, stays."""
    for path in growing.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
    if target.is_dir():
        shutil.rmtree(growing)
    else:
        growing.rename(target)
    for other in target.parent.glob("checkpoint-*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def clear_optimiser(folder: Path) -> None:
    """Of a run that has ended: nobody goes on from here, but its weights and counts stay."""
    shutil.rmtree(scratch(folder), ignore_errors=True)
    checkpoint = newest(folder)
    assert checkpoint is not None  # the last step has one
    for path in [checkpoint / name for name in _OPTIMISER] + list(checkpoint.glob("rng_state_*.pth")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
