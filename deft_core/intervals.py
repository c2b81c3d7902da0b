"""Bootstrap intervals of figures over prompts, and of the difference between two models on the same prompts. NumPy alone.

A figure is a function of sums over prompts: an accuracy is (sum of hits) / (prompts), a KL a token (sum of KL) / (tokens), corpus BLEU a
function of n-gram counts. So one table of sums by prompt and one set of resampled weights give the figure, its interval and, with the same
weights for two models, the interval of their difference, paired by prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["REPLICATES", "Figure", "Measure", "difference", "figure", "flat", "mean", "ratio", "share"]

REPLICATES = 2000
_Z = 1.959963984540054  # the 97.5 % quantile of a standard normal

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measure:
    sums: Floats  # [N, K] what each prompt adds; a line of zeros: a prompt without a value
    of: Callable[[Floats], Floats]  # the figure [B] of sums [B, K]


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; None where the prompts do not say."""

    value: float | None
    low: float | None
    high: float | None
    prompts: int  # that have a value

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


def mean(values: ArrayLike) -> Measure:
    """The mean over prompts of one value each; NaN is no value."""
    given = np.asarray(values, np.float64)
    return ratio(given, np.ones_like(given))


def ratio(numerators: ArrayLike, denominators: ArrayLike, of: Callable[[Floats], Floats] = lambda quotient: quotient) -> Measure:
    """of(sum of numerators / sum of denominators) over prompts; where a numerator is NaN, the prompt has no value."""
    sums = np.stack([np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)], axis=1)
    return Measure(np.where(np.isnan(sums[:, :1]), 0.0, sums), lambda total: of(_quotient(total[:, 0], total[:, 1])))


def figure(measure: Measure, replicates: int = REPLICATES, seed: int = 0) -> Figure:
    """The figure over all prompts, with the 2.5 % and 97.5 % quantiles of it over prompts drawn with replacement."""
    whole = measure.of(measure.sums.sum(axis=0, keepdims=True))[0]
    drawn = measure.of(_weights(len(measure.sums), replicates, seed) @ measure.sums)
    return _figure(float(whole), drawn, int(measure.sums.any(axis=1).sum()))


def difference(a: Measure, b: Measure, replicates: int = REPLICATES, seed: int = 0) -> Figure:
    """b's figure minus a's over the same prompts, drawn together; a prompt that lacks a value on a side is left out."""
    both = a.sums.any(axis=1) & b.sums.any(axis=1)
    weights = _weights(int(both.sum()), replicates, seed)
    sides = [(measure, measure.sums[both]) for measure in (b, a)]
    whole = [float(measure.of(sums.sum(axis=0, keepdims=True))[0]) for measure, sums in sides]
    drawn = [measure.of(weights @ sums) for measure, sums in sides]
    return _figure(whole[0] - whole[1], drawn[0] - drawn[1], int(both.sum()))


def share(hits: float, prompts: int) -> Figure:
    """A share with Wilson's 95 % interval (Wilson 1927), honest where a bootstrap has nothing to draw from: all right of three."""
    if not prompts:
        return Figure(None, None, None, 0)
    p, spread = hits / prompts, _Z**2 / prompts
    middle = (p + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(p * (1 - p) / prompts + spread / (4 * prompts)) / (1 + spread)
    return Figure(p, max(0.0, middle - reach), min(1.0, middle + reach), prompts)


def flat(figures: dict[str, Figure]) -> dict[str, float | None]:
    """name, name_low and name_high of each figure, as a line of metrics has them."""
    found: dict[str, float | None] = {}
    for name, one in figures.items():
        found |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
    return found


def _weights(prompts: int, replicates: int, seed: int) -> Floats:
    """[B, N]: how often each prompt is drawn."""
    if not prompts:
        return np.zeros((replicates, 0))
    return np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), replicates).astype(np.float64)


def _quotient(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _figure(whole: float, drawn: Sequence[float] | Floats, prompts: int) -> Figure:
    value = whole if math.isfinite(whole) else None
    known = np.asarray(drawn)[np.isfinite(drawn)]
    if value is None or prompts < 2 or not len(known):
        return Figure(value, None, None, prompts)
    low, high = np.quantile(known, [0.025, 0.975])
    return Figure(value, float(low), float(high), prompts)
