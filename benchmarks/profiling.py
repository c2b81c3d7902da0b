"""Where the time of what torch computes goes, by kind of operation."""

from __future__ import annotations

from typing import Any

__all__ = ["print_shares"]

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
