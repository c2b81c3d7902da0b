"""Likely swapped pairs: a score set puts the rejected response above the chosen one.

A margin is chosen minus rejected; its z is (x - median) / (1.4826 MAD) with both from the training rows (lengths.robust_z). Two rules, each
marking rows whose margins are below 0 and whose z are below a limit:

    swapped           the reward margin and the log-probability margin (a token), both z < -1
    reward_reversed   the reward margin alone, z < -2

The score of a row is how far the least convinced margin is on the wrong side: -max of the z. docs/noise.md says how well each does. They
are worked out from the light table whenever they are asked for, so that they always belong to the score set in view. Median and MAD are
those of the rows as they were scored: flips would move them, and rows would come into the list that were not in it before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from deft_core.noise.lengths import robust_z
from deft_core.noise.signal import Signal

__all__ = ["RULES", "SwapRule", "column", "limits", "scores"]


@dataclass(frozen=True)
class SwapRule:
    signal: Signal
    margins: tuple[str, ...]
    far: float  # robust standard deviations below the median


RULES = (
    SwapRule(
        Signal(
            "swapped", "Likely swapped", "Reward and log-probability both put the rejected answer clearly above the chosen one.", "flip"
        ),
        ("reward_margin", "mean_logp_margin"),
        1.0,
    ),
    SwapRule(
        Signal("reward_reversed", "Reward reversed", "The reward alone puts the rejected answer far above the chosen one.", "flip"),
        ("reward_margin",),
        2.0,
    ),
)


def scores(table: pd.DataFrame, rule: SwapRule, as_scored: pd.DataFrame | None = None) -> npt.NDArray[np.float64]:
    """[N]: -max of the margins' z; NaN where a row has no scores. `table` has split and the margins, `as_scored` those without flips."""
    measured = table if as_scored is None else as_scored
    margins = _margins(measured[measured["split"] == "train"], rule)
    z = [robust_z(values, training) for values, training in zip(_margins(table, rule), margins, strict=True)]
    return np.asarray(-np.max(z, axis=0))


def column(table: pd.DataFrame, rule: SwapRule, as_scored: pd.DataFrame | None = None) -> npt.NDArray[np.float64]:
    """[N]: the score of the rows that are marked, NaN for all others; all NaN without scores."""
    if not set(rule.margins) <= set(table):
        return np.full(len(table), np.nan)
    found = scores(table, rule, as_scored)
    negative = np.all([values < 0 for values in _margins(table, rule)], axis=0)
    return np.where((found > rule.far) & negative, found, np.nan)


def limits(table: pd.DataFrame, rule: SwapRule) -> dict[str, float]:
    """For each margin the value a marked row lies below: min(0, median - far * 1.4826 MAD)."""
    training = table[table["split"] == "train"]
    found = {}
    for name, values in zip(rule.margins, _margins(training, rule), strict=True):
        known = values[np.isfinite(values)]
        if len(known):
            middle = np.median(known)
            found[name] = min(0.0, float(middle - rule.far * 1.4826 * np.median(np.abs(known - middle))))
    return found


def _margins(table: pd.DataFrame, rule: SwapRule) -> list[npt.NDArray[np.float64]]:
    return [table[name].to_numpy(dtype=float, na_value=np.nan) for name in rule.margins]
