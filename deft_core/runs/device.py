"""What a run can have on this machine: the memory of a GPU, or of the computer, and the room on its disk. Imports no torch."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from deft_core.runs import queue

__all__ = ["Device", "device", "free_disk_bytes", "gpu_of"]

_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container
_QUERY = ["nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Device:
    kind: str  # cpu | gpu
    name: str  # for people
    total_bytes: float | None  # None: nobody can tell
    free_bytes: float | None  # now; other runs give theirs back when they end


def device() -> Device:
    """The one that a run gets when its turn comes."""
    first = queue.devices()[0]
    return _cpu() if first == "cpu" else gpu_of(_nvidia_smi(), first)


def _cpu() -> Device:
    memory = psutil.virtual_memory()
    total = memory.total
    with suppress(OSError, ValueError):  # no such file, or "max"
        total = min(total, int(_LIMIT.read_text()))
    return Device("cpu", "this machine", float(total), float(min(total, memory.available)))


def _nvidia_smi() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(_QUERY, capture_output=True, text=True, timeout=5, check=True).stdout
    return ""


def gpu_of(listed: str, number: str) -> Device:
    """The GPU of this number among the lines of nvidia-smi; its sizes are in MiB."""
    for line in listed.splitlines():
        index, name, total, free = (part.strip() for part in line.split(","))
        if index == number:
            return Device("gpu", name, int(total) * _MIB, int(free) * _MIB)
    return Device("gpu", f"GPU {number}", None, None)


def free_disk_bytes(folder: Path) -> float:
    """Of the disk that a folder is or will be on."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    return float(shutil.disk_usage(there).free)
