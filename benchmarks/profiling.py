"""Where the time of what torch computes goes, by kind of operation; the most memory that a process has held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["peak_memory_mb", "print_shares"]

KINDS = {
    "matrix products": ("mm", "linear"),
    "attention": ("attention",),
    "optimiser": ("adamw",),
    "copies and gathers": ("copy", "index", "cat", "gather", "fill", "select"),
}
REST = "elementwise and the rest"


def print_shares(profiled: Any) -> None:
    """Of a torch.profiler.profile."""
    shares = dict.fromkeys([*KINDS, REST], 0.0)
    for event in profiled.key_averages():
        kind = next((kind for kind, marks in KINDS.items() if any(mark in event.key for mark in marks)), REST)
        shares[kind] += event.self_cpu_time_total
    for kind, microseconds in shares.items():
        print(f"{kind:<26}{microseconds / sum(shares.values()):>6.1%}")


def peak_memory_mb(process: int | str = "self") -> float:
    """Of itself alone: what getrusage says of a process begins with its parent's."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
