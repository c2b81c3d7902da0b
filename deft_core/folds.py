"""What becomes of the rewards under the d of one half of the conversations: the two halves compared, and every row without itself.

A row's own tokens are counted in d, which flatters it. Cross-fitted, it is rewarded by the d of the fold its conversation is not in; the
share of rows whose chosen answer stands above the rejected one, with and without, says how much of the agreement was circular.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deft_core.discrepancy import discrepancy
from deft_core.group_counts import GroupCounts, group_of
from deft_core.pooled import Head, Pooled, direction, rewards_under
from deft_core.relations import agreement
from deft_core.reliability import FOLDS, fold_d

__all__ = ["Folds", "above", "compare", "cosine"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Folds:
    """Over the training rows scored so far. Correlations are of ranks by reward_chosen, overlaps of the highest 5 % by it."""

    rows: int
    cosine: float  # of the two folds' d
    rank_correlation: float  # of the rewards under the one fold's d and under the other's
    kept_overlap: float
    cross_rank_correlation: float  # of the rewards as they are and cross-fitted
    cross_kept_overlap: float
    above: float  # share of rows with the chosen answer above the rejected, ties one half
    cross_above: float


def compare(pooled: Pooled, head: Head, counts: GroupCounts) -> Folds:
    """`counts` needs conversations in both folds, with tokens on both sides."""
    ds = [discrepancy(*counts.totals()), *(fold_d(counts, fold) for fold in range(FOLDS))]
    train = pooled.train()
    other = FOLDS - 1 - np.array([group_of(name) % FOLDS for name in pooled.rows["conversation"].filter(train).to_pylist()])
    chosen, margin = (_under(pooled, head, ds, column)[train] for column in ("reward_chosen", "reward_margin"))
    crossed, crossed_margin = (np.take_along_axis(values, 1 + other[:, None], axis=1)[:, 0] for values in (chosen, margin))
    whole, *folds = chosen.T
    return Folds(
        int(train.sum()),
        cosine(*ds[1:]),
        *agreement(*folds),
        *agreement(whole, crossed),
        above(margin[:, 0]),
        above(crossed_margin),
    )


def _under(pooled: Pooled, head: Head, ds: list[Floats], column: str) -> Floats:
    """A reward column [N, 3] under each d."""
    us, offsets = zip(*(direction(head, d) for d in ds), strict=True)
    found = np.empty((pooled.rows.num_rows, len(ds)))
    for rows, under in rewards_under(pooled, column, np.stack(us), np.array(offsets), head.scale):
        found[rows] = under
    return found


def cosine(a: Floats, b: Floats) -> float:
    return float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))


def above(margins: Floats) -> float:
    """Share of positive margins, 0 counting one half; NaN margins do not count."""
    known = margins[~np.isnan(margins)]
    return float(((known > 0) + 0.5 * (known == 0)).mean())
