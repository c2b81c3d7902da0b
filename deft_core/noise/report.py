"""How many rows each signal marks in a dataset and one of its score sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from deft_core.noise import stored, swapped
from deft_core.noise.signals import STORED
from deft_core.queries import NEWEST, light_table, open_view
from deft_core.workspace import Workspace

__all__ = ["NoiseReport", "counts", "report"]


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
    """Rows by signal in a light table; None where it has no such column."""
    found: dict[str, int | None] = {s.name: int(table[s.column].notna().sum()) if s.column in table else None for s in STORED}
    for rule in swapped.RULES:
        scored = set(rule.margins) <= set(table)
        found[rule.signal.name] = int(np.isfinite(swapped.column(table, rule)).sum()) if scored else None
    return found
