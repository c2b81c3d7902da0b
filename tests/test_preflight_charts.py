"""The figure of rows by their length."""

import numpy as np

from deft_core import preflight_charts


def test_rows_near_the_limit_are_shown_beside_it_and_cut_ones_apart():
    figure = preflight_charts.lengths(np.array([10.0, 20.0, 100.0, 100.0]), np.array([False, False, True, True]), 100)
    assert [(bar["name"], int(np.sum(bar["y"]))) for bar in figure["data"]] == [("read whole", 2), ("cut", 2)]
    (note,) = figure["layout"]["annotations"]
    assert (note["text"], note["x"]) == ("limit 100: 2 rows lose tokens", 100)


def test_short_rows_are_not_squeezed_by_a_far_limit():
    figure = preflight_charts.lengths(np.array([10.0, 20.0]), np.zeros(2, bool), 1024)
    assert not figure["layout"]["annotations"]
    assert figure["layout"]["xaxis"]["range"][1] < 30
