"""Rows that belong together: each group has a first row, its leader, and a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["by_key", "led", "numbered"]

Leaders = npt.NDArray[np.int64]  # [N]: the first row of each row's group; a row alone leads itself


def by_key(keys: npt.NDArray[np.uint64]) -> Leaders:
    """Rows with the same key."""
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def led(count: int, pairs: npt.NDArray[np.int64], alike: Callable[[int, int], bool]) -> Leaders:
    """Each row joins the first leader it is alike to, so that every row of a group is alike to its leader (no chains).

    `pairs` [P, 2] are the candidates a < b, by b then a; `alike` decides on a leader and a row.
    """
    leaders = np.arange(count)
    tried: tuple[int, set[int]] = (-1, set())
    for a, b in pairs.tolist():
        leader = int(leaders[a])
        if tried[0] != b:
            tried = (b, set())
        if leaders[b] != b or leader in tried[1]:
            continue
        tried[1].add(leader)
        if alike(leader, b):
            leaders[b] = leader
    return leaders


def numbered(leaders: Leaders) -> pa.Array:
    """1, 2, ... by leader for the rows of groups of two or more; null for a row alone."""
    first, place, size = np.unique(leaders, return_inverse=True, return_counts=True)
    numbers = np.zeros(len(first), dtype=np.int32)
    numbers[size > 1] = np.arange(1, int((size > 1).sum()) + 1)
    found = numbers[place]
    return pa.array(found, pa.int32(), mask=found == 0)
