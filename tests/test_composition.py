"""Means and shares of a few rows."""

import numpy as np
import pandas as pd

from deft_core.composition import means, shares

TABLE = pd.DataFrame({"turns": [1, 2, 3, 6], "reward_chosen": [0.5, np.nan, 1.5, np.nan], "source": ["b", "a", "b", None]}).astype(
    {"source": "category"}
)


def test_means_are_over_rows_with_a_value():
    every = np.ones(4, dtype=bool)
    assert means(TABLE, every).to_dict() == {"reward_chosen": 1.0, "turns": 3.0}  # (0.5 + 1.5) / 2, 12 / 4
    some = means(TABLE, np.array([False, True, False, True]), ["turns", "reward_chosen"])
    assert some["turns"] == 4.0 and np.isnan(some["reward_chosen"])
    assert np.isnan(means(TABLE, ~every, ["turns"])["turns"])


def test_shares_add_up_to_one():
    assert shares(TABLE, np.ones(4, dtype=bool)).to_dict() == {"": 0.25, "a": 0.25, "b": 0.5}
    assert shares(TABLE, np.array([True, True, True, False])).round(4).to_dict() == {"a": 0.3333, "b": 0.6667}
    assert shares(TABLE, np.array([True, False, False, False])).to_dict() == {"a": 0.0, "b": 1.0}
    assert shares(TABLE, np.zeros(4, dtype=bool)).to_dict() == {"a": 0.0, "b": 0.0}
