"""Rows in an order, some of them left: pages of them, and where one stands."""

import numpy as np
import pytest

from deft_core import ordered
from deft_core.ordered import Ordered

ORDER = np.array([4, 1, 3, 0, 2, 5])
LEFT = np.array([True, False, True, True, True, False])  # in order: 4, 3, 0, 2


@pytest.fixture(params=[65_536, 2], ids=["one block", "many blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(ordered, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_pages_of_the_rows_that_are_left():
    rows = Ordered(ORDER, LEFT)
    assert len(rows) == 4
    assert [list(rows.some(start, 2)) for start in (0, 1, 2, 3, 4)] == [[4, 3], [3, 0], [0, 2], [2], []]


@pytest.mark.usefixtures("block")
def test_where_a_row_stands():
    rows = Ordered(ORDER, LEFT)
    assert [rows.place(row) for row in range(6)] == [2, -1, 3, 1, 0, -1]
    assert Ordered(np.array([3, 1])).place(1) == 1 and Ordered(np.array([3, 1])).place(0) == -1


def test_without_a_mask_all_are_left():
    assert len(Ordered(ORDER)) == 6 and list(Ordered(ORDER).some(4, 25)) == [2, 5]


@pytest.mark.usefixtures("block")
def test_large_ones_as_by_indexing():
    rng = np.random.default_rng(0)
    order, left = rng.permutation(1_000), rng.random(1_000) < 0.3
    whole, rows = order[left[order]], Ordered(order, left)
    assert all(list(rows.some(start, 25)) == list(whole[start : start + 25]) for start in (0, 100, len(whole) - 3))
    assert [rows.place(row) for row in whole[:50]] == list(range(50))
