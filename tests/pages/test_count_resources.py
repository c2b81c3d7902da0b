"""Counts of what filters leave, whichever part of the rows is looked at."""

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from pages.shared import count_resources, resources
from pages.shared.count_resources import part_of, tally

VERSION = ("test",)
VALUES = [0.5, -1.0, np.nan, 2.0, 0.0, 3.5, -0.5, np.inf]


@pytest.fixture
def table():
    frame = pd.DataFrame({"reward": VALUES, "split": "train"})
    return frame.assign(source=pd.Categorical(["a", "b", "a", None, "b", "a", "a", "c"]))


@pytest.fixture(autouse=True)
def fresh():
    st.cache_resource.clear()


def test_the_smaller_part_is_looked_at():
    few, many = np.arange(8) < 3, np.arange(8) < 6
    assert (part_of(few).places.tolist(), part_of(few).but) == ([0, 1, 2], False)
    assert (part_of(many).places.tolist(), part_of(many).but) == ([6, 7], True)


@pytest.mark.parametrize("left", [[0, 1, 3], [0, 1, 2, 3, 4, 5], list(range(8)), []])
def test_a_part_comes_to_what_its_rows_come_to(table, left):
    mask = np.isin(np.arange(8), left)
    own = np.array([VALUES[k] for k in left], dtype=float)
    own = own[np.isfinite(own)]
    found = tally(VERSION, "reward", table, part_of(mask))
    assert (found.rows, found.above, found.at) == (len(own), (own > 0).sum(), (own == 0).sum())
    assert found.total == pytest.approx(own.sum())
    axis = resources.axis(VERSION, ("reward",), table)
    bars = count_resources.bars(VERSION, "reward", ("reward",), table, part_of(mask))
    assert bars.counts.tolist() == np.histogram(own, axis.edges)[0].tolist()
    assert bars.mean == (pytest.approx(own.mean()) if len(own) else None)
    names = table["source"][mask].value_counts()
    counted = count_resources.categories(VERSION, "source", table, part_of(mask))
    assert {name: count for name, count in counted.items() if count} == {name: count for name, count in names.items() if count}


def test_without_a_part_all_rows_count(table):
    # 0.5 - 1 + 2 + 0 + 3.5 - 0.5 = 4.5 of the six that have a number; above 0: 0.5, 2 and 3.5
    found = tally(VERSION, "reward", table, None)
    assert (found.rows, found.total, found.above, found.at, found.mean) == (6, 4.5, 3, 1, 0.75)
