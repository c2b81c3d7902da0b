"""A run's margins by row, before and after training: which rows they are taken of, and the columns of row_margins.parquet.

The rows trained on and as many of the training rows that were not, each at most MOST, by one fixed order of chance: so what a filter
finds among them is a share of all. The model's side of it is deft_core.lm.row_margins.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from deft_core.selection import Ids, control

__all__ = ["COLUMNS", "MOST", "dropped_ids", "sample"]

MOST = 1_000  # rows of each side

COLUMNS = {  # beside id
    "kept": "category",  # whether the run trained on the row
    "logp_margin_before": "number",  # log p(chosen) - log p(rejected), summed, under the base model
    "logp_margin_after": "number",  # the same under the trained one
    "implicit_margin": "number",  # beta times their difference
    "learned": "category",  # whether that is above 0
}


def dropped_ids(pairs: Path, kept: Collection[str]) -> set[str]:
    """As many training rows as were kept, but not those; by chance, MOST at most, all where there are fewer."""
    table = pq.read_table(pairs, columns=["id", "split"]).to_pandas()
    others = (table["split"] == "train") & ~table["id"].isin(set(kept))
    return set(table["id"][control(np.asarray(others), Ids(table["id"]), min(MOST, len(kept)))])


def sample(ids: Collection[str]) -> set[str]:
    """MOST of the rows by chance, all where there are fewer."""
    listed = sorted(ids)
    drawn = control(np.ones(len(listed), dtype=bool), Ids(listed), MOST)
    return {row for row, picked in zip(listed, drawn, strict=True) if picked}
