"""The study's statistics: contrasts of two arms with both sources of chance, conversations and runs. NumPy alone; see plan.md.

An arm is a matrix of values [runs, rows]: one line a run (a random subset, or a seed of a rule), one column a held-out row, the same rows
in every arm. A contrast is the mean of one arm minus the mean of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contrast", "contrast", "holm", "permutation_p", "rank_p", "smallest_difference"]

Floats = NDArray[np.float64]
DRAWS = 10_000


@dataclass(frozen=True)
class Contrast:
    value: float
    low: float
    high: float
    p: float  # two-sided, of the bootstrap: twice the smaller share of draws on one side of 0


def contrast(a: Floats, b: Floats, conversations: NDArray[np.int64], level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Contrast:
    """mean(a) - mean(b) of arms [runs, rows], with the interval of a bootstrap that draws conversations [rows] and, in each arm, runs.

    The same conversations are drawn for both arms; all rows of a conversation go together.
    """
    chance = np.random.default_rng(seed)
    groups, places = np.unique(conversations, return_inverse=True)
    sums = [_by_group(arm, places, len(groups)) for arm in (a, b)]  # [runs, groups]
    sizes = np.bincount(places, minlength=len(groups)).astype(np.float64)
    found = np.empty(draws)
    for k in range(draws):
        weights = chance.multinomial(len(groups), np.full(len(groups), 1 / len(groups))).astype(np.float64)
        means = [(arm @ weights)[chance.integers(len(arm), size=len(arm))].mean() / (sizes @ weights) for arm in sums]
        found[k] = means[0] - means[1]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    p = 2 * min((found <= 0).mean(), (found >= 0).mean())
    return Contrast(float(a.mean() - b.mean()), float(low), float(high), float(min(1.0, max(p, 1 / draws))))


def _by_group(arm: Floats, places: NDArray[np.int64], groups: int) -> Floats:
    return np.stack([np.bincount(places, run, groups) for run in arm])


def rank_p(value: float, others: Floats, above: bool) -> float:
    """(1 + number of the others at least as extreme) / (1 + their number): one-sided, whether the value is unusual among them."""
    extreme = (others >= value) if above else (others <= value)
    return (1 + int(extreme.sum())) / (1 + len(others))


def permutation_p(a: Floats, b: Floats) -> float:
    """Two-sided, over all arrangements of the labels: share whose difference of means is at least as large as the one seen."""
    together, seen = np.concatenate([a, b]), abs(a.mean() - b.mean())
    total, n, m = together.sum(), len(a), len(b)
    chosen = np.array([together[list(places)].sum() for places in combinations(range(n + m), n)])
    differences = np.abs(chosen / n - (total - chosen) / m)
    return float((differences >= seen - 1e-12).mean())


def smallest_difference(
    spread_conversations: float, conversations: int, spreads: list[tuple[float, int]], z_alpha: float, z_power: float
) -> float:
    """(z_alpha + z_power) times the standard error of a contrast; `spreads` are (spread between runs, runs) of each arm."""
    variance = spread_conversations**2 / conversations + sum(spread**2 / runs for spread, runs in spreads)
    return (z_alpha + z_power) * math.sqrt(variance)


def holm(ps: list[float]) -> list[float]:
    """Holm's adjusted p-values (Holm 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda k: ps[k])
    adjusted, least = [0.0] * len(ps), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * ps[k]))
        adjusted[k] = least
    return adjusted
