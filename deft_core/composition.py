"""How a subset differs from the whole: means of columns and shares of categories. Pure: table and masks in, small tables out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MEASURES", "means", "shares"]

Rows = npt.NDArray[np.bool_] | npt.NDArray[np.int64]  # a mask, or places: of few rows far quicker to gather by

MEASURES = ("reward_chosen", "reward_rejected", "reward_margin", "tokens_chosen", "tokens_rejected", "tokens_prompt", "turns")


def means(table: pd.DataFrame, rows: Rows, columns: Sequence[str] = MEASURES) -> pd.Series[float]:
    """The mean of each column that is there, over the rows that have a value; NaN where none has."""
    found = {}
    for name in columns:
        if name in table:
            values = table[name].to_numpy()[rows].astype(float)
            there = values[~np.isnan(values)]
            found[name] = float(there.mean()) if len(there) else np.nan
    return pd.Series(found, dtype=float)


def shares(table: pd.DataFrame, rows: Rows, column: str = "source") -> pd.Series[float]:
    """The share of each value of a category among the rows, by value; rows without one are under ""."""
    categories = table[column].astype("category").cat
    counts = np.bincount(categories.codes.to_numpy()[rows] + 1, minlength=len(categories.categories) + 1)
    found = pd.Series(counts / max(1, counts.sum()), ["", *categories.categories.astype(str)])
    return found.groupby(level=0).sum().sort_index() if found.iloc[0] else found.iloc[1:].sort_index()
