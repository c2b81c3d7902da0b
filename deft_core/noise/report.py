"""How many rows each signal marks in a dataset and one of its score sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from deft_core.noise import stored, swapped
from deft_core.noise.signals import SIGNALS, Signal
from deft_core.queries import NEWEST, light_table, open_view
from deft_core.workspace import Workspace

__all__ = ["NoiseReport", "counts", "marked", "report", "values"]

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoiseReport:
    """What `deft noise --json` prints."""

    counts: dict[str, int | None]  # rows by signal; None where the dataset has no scores to tell by
    dataset: str
    rows: int
    path: str
    seconds: float  # that computing the stored columns took
    notes: dict[str, str]
    limits: dict[str, dict[str, float]]  # of the swapped pairs' margins in this score set


def report(workspace: Workspace, dataset: str, score_id: str | None = NEWEST) -> NoiseReport:
    """Counts of all signals, from the stored columns and the score set."""
    file = stored.found(workspace, dataset)
    table = light_table(open_view(workspace, dataset, score_id))
    limits = {rule.signal.name: swapped.limits(table, rule) for rule in swapped.RULES if set(rule.margins) <= set(table)}
    return NoiseReport(counts(table), dataset, len(table), str(file.path), file.seconds, file.notes, limits)


def counts(table: pd.DataFrame) -> dict[str, int | None]:
    """Rows by signal in a light table; None where it has no column to tell by."""
    masks = marked(table)
    return {signal.name: int(masks[signal.name].sum()) if signal.name in masks else None for signal in SIGNALS}


def marked(table: pd.DataFrame, as_scored: pd.DataFrame | None = None) -> dict[str, Mask]:
    """By signal, the rows it marks [N]; without those that the table cannot tell. `as_scored`: of a table with flips, the one without."""
    return {signal.name: np.isfinite(found) for signal in SIGNALS if (found := values(table, signal, as_scored)) is not None}


def values(table: pd.DataFrame, signal: Signal, as_scored: pd.DataFrame | None = None) -> Numbers | None:
    """[N]: the signal's numbers (of a category its code), NaN where a row is not meant; None where the table cannot tell."""
    for rule in swapped.RULES:
        if rule.signal == signal:
            return swapped.column(table, rule, as_scored) if set(rule.margins) <= set(table) else None
    if signal.column not in table:
        return None
    if isinstance(table[signal.column].dtype, pd.CategoricalDtype):
        codes = table[signal.column].cat.codes.to_numpy().astype(float)
        return np.where(codes >= 0, codes, np.nan)
    return table[signal.column].to_numpy(dtype=float, na_value=np.nan)
