"""Which rows of a signal its usual action is about, and beside which other row each of them is read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["beside", "meant"]

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def meant(action: str, values: Numbers, first: Mask, training: Mask, kept: Mask, dropped: Mask) -> Mask:
    """[N]: the rows the action would change.

    `values` [N] are the signal's, NaN where it has none; `first` marks the first row of each group in the order of the data, `kept` and
    `dropped` what a person decided. "all but one": of each group the rows kept by hand stay, without any the first one that is not
    dropped. "training": all training rows. "all": all rows. What is dropped already is not meant again. "flip": every row, for a
    flip undoes a flip.
    """
    marked = np.isfinite(values)
    if action == "flip":
        return marked
    if action == "training":
        return marked & training & ~dropped
    return marked & ~dropped & ~_staying(values, first, kept, dropped) if action == "all but one" else marked & ~dropped


def _staying(groups: Numbers, first: Mask, kept: Mask, dropped: Mask) -> Mask:
    rows = np.flatnonzero(np.isfinite(groups) & ~dropped)
    order = rows[np.lexsort((~first[rows], ~kept[rows], groups[rows]))]  # by group; kept by hand, then the first row, then the others
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = groups[order][1:] != groups[order][:-1]
    stays = np.zeros(len(groups), dtype=bool)
    stays[order[leads]] = True
    return stays | (kept & np.isfinite(groups))


def beside(groups: Numbers, first: Mask) -> tuple[Places, Places]:
    """Every row of a group but its first, by group, and the first row of that group: to be read side by side."""
    rows = np.flatnonzero(np.isfinite(groups))
    order = rows[np.lexsort((~first[rows], groups[rows]))]
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = groups[order][1:] != groups[order][:-1]
    leaders = order[np.maximum.accumulate(np.where(leads, np.arange(len(order)), 0))]
    return order[~leads], leaders[~leads]
