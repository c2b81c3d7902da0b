"""Figures from numbers: what is drawn, what is counted, and how little is sent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from deft_core.charts import (
    BARS,
    COLOURS,
    POINTS,
    Axis,
    agreement_curve,
    axis_of,
    bars,
    binned,
    bins,
    histogram,
    kept_bars,
    label,
    matrix,
    sampled,
    scatter,
    title,
    token_bars,
)

RNG = np.random.default_rng(0)


def drawn_bars(series: dict[str, np.ndarray], axis: Axis, title: str, **more: object) -> go.Figure:
    return histogram({name: binned(values, axis) for name, values in series.items()}, axis, title, **more)


def test_every_value_is_in_a_bar() -> None:
    values = RNG.normal(size=10_000)
    axis = axis_of(values)
    figure = drawn_bars({"chosen": values}, axis, "reward")
    assert sum(figure.data[0].y) == 10_000 and axis.beyond == 0


def test_extreme_values_are_counted_where_they_are_not_drawn() -> None:
    values = np.concatenate([RNG.normal(size=9_995), [1e6] * 5])
    axis = axis_of(values)
    assert axis.beyond == 5 and axis.edges[-1] < 10
    figure = drawn_bars({"chosen": values}, axis, "perplexity")
    assert figure.layout.xaxis.title.text == f"perplexity ({axis.beyond:,} beyond the axis)"
    assert sum(figure.data[0].y) + axis.beyond == 10_000


def test_a_mean_beyond_the_axis_is_named_at_its_end() -> None:
    values = np.concatenate([RNG.normal(size=995), [1e6] * 5])
    note = drawn_bars({"chosen": values}, axis_of(values), "perplexity").layout.annotations[0]
    assert note.text.endswith("chosen 5e+03 →") and note.xanchor == "right"


def test_bars_stand_on_whole_numbers() -> None:
    axis = axis_of(np.array([1.0, 2.0, 2.0, 4.0]))
    assert axis.whole and list(axis.edges) == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert list(drawn_bars({"mean": np.array([1.0, 2.0, 2.0, 4.0])}, axis, "turns").data[0].y) == [1, 2, 0, 1]


def test_a_column_without_values_or_with_one_is_drawn_too() -> None:
    for values in (np.array([]), np.array([np.nan]), np.array([0.25]), np.array([3.0, 3.0])):
        figure = drawn_bars({"chosen": values}, axis_of(values), "reward")
        assert sum(figure.data[0].y) == np.isfinite(values).sum()


def test_chosen_and_rejected_have_their_colours_and_their_means() -> None:
    figure = drawn_bars({"rejected": np.array([0.0, 0.1]), "chosen": np.array([0.2, 0.4])}, axis_of(np.array([0.0, 0.4])), "reward")
    assert [trace.marker.color for trace in figure.data] == [COLOURS["rejected"], COLOURS["chosen"]]
    assert [note.text.split("</span>")[1] for note in figure.layout.annotations] == [" rejected 0.05", " chosen 0.3"]
    assert figure.layout.uirevision == "kept"


def test_a_range_that_was_drawn_is_shown() -> None:
    values = np.linspace(0, 1, 50)
    shapes = drawn_bars({"chosen": values}, axis_of(values), "reward", drawn=(0.2, 0.4)).layout.shapes
    assert [(shape.x0, shape.x1) for shape in shapes if shape.type == "rect"] == [(0.2, 0.4)]


def test_few_bytes_whatever_the_number_of_rows() -> None:
    values = RNG.normal(size=200_000)
    assert len(drawn_bars({"chosen": values, "rejected": values}, axis_of(values), "reward").to_json()) < 12_000
    rows, total = sampled(RNG.permutation(200_000), None)
    figure = scatter(values[rows], values[rows], ("length", "reward"), name="chosen", rows=total)
    assert len(figure.data[0].x) == POINTS and len(figure.to_json()) < 120_000
    assert figure.layout.xaxis.title.text == "length (5,000 of 200,000 rows drawn)"


def test_few_points_are_all_drawn() -> None:
    figure = scatter(np.array([1.0, 2.0]), np.array([3.0, 4.0]), ("length", "reward"), name="chosen", rows=2)
    assert list(figure.data[0].x) == [1.0, 2.0] and figure.layout.xaxis.title.text == "length"


def test_a_sample_is_of_the_rows_left_and_points_stay_while_filters_leave_them() -> None:
    order, passed = RNG.permutation(40_000), np.arange(40_000) < 30_000
    whole, every = sampled(order, None)
    some, left = sampled(order, passed)
    assert (len(whole), every, len(some), left) == (POINTS, 40_000, POINTS, 30_000) and some.max() < 30_000
    assert set(whole[whole < 30_000]) <= set(some)
    few, ten = sampled(order, np.arange(40_000) < 10)  # far less than a sample: all of them
    assert list(few) == list(range(10)) and ten == 10
    rows, there = sampled(order[order != 3], np.arange(40_000) < 10)  # row 3 has no value in one of the columns
    assert list(rows) == [0, 1, 2, 4, 5, 6, 7, 8, 9] and there == 9


def test_the_most_frequent_categories_are_drawn_and_the_rest_is_counted() -> None:
    counts = pd.Series({f"source {n}": n for n in range(1, 31)})
    figure = bars(counts, "source", ("source 30",))
    assert len(figure.data[0].x) == BARS and figure.data[0].customdata[-1] == "source 30"
    assert figure.layout.xaxis.title.text == "source, the 20 most frequent of 30"
    assert figure.data[0].marker.color[-1] == COLOURS["kept"]


def test_text_of_a_dataset_is_no_markup_in_a_figure() -> None:
    assert label("<a href='x'>t</a> & <b>") == "&lt;a href='x'&gt;t&lt;/a&gt; &amp; &lt;b&gt;"
    assert title("extra_<b>") == "&lt;b&gt;"
    figure = bars(pd.Series({"<img src=x>": 3}), "source")
    assert figure.data[0].text[0] == "3  &lt;img src=x&gt;"


def test_a_range_with_an_open_end_is_drawn_to_the_end_of_the_axis() -> None:
    axis = axis_of(np.arange(10.0))
    shape = drawn_bars({"mean": np.arange(10.0)}, axis, "tokens cut off", drawn=(1.0, np.inf)).layout.shapes[-1]
    assert (shape.x0, shape.x1) == (1.0, axis.edges[-1])


def test_tokens_are_drawn_with_their_intervals_and_pale_where_zero_is_inside() -> None:
    tokens = pd.DataFrame(
        {"token": ["␣I", "<b>"], "token_id": [7, 9], "d": [0.004, -0.002], "low": [0.001, -0.005], "high": [0.007, 0.001]}
    )
    figure = token_bars(tokens.assign(count_chosen=[1200, 3], count_rejected=[900, 8]))
    trace = figure.data[0]
    assert np.allclose(trace.x, [4, -2]) and list(trace.customdata) == ["7", "9"]  # per 1,000
    assert np.allclose(trace.error_x.array, [3, 3]) and np.allclose(trace.error_x.arrayminus, [3, 3])
    assert list(trace.marker.color) == [COLOURS["chosen"], COLOURS["rejected"]] and list(trace.marker.opacity) == [0.95, 0.4]
    assert list(figure.layout.yaxis.ticktext) == ["␣I", "&lt;b&gt;"] and figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert trace.hovertext[0] == "1,200 times chosen, 900 times rejected"


def test_the_agreement_of_halves_is_drawn_with_the_model_now_and_the_goal() -> None:
    curve = pd.DataFrame({"conversations": [50, 100], "cosine": [0.1, 0.25], "low": [-0.2, 0.1], "high": [0.3, 0.4]})
    figure = agreement_curve(curve, 200, constant=300.0, goal=0.9)
    band, line, model, now, goal = figure.data
    assert list(band.x) == [50, 100, 100, 50] and list(band.y) == [0.3, 0.4, 0.1, -0.2]
    assert list(line.y) == [0.1, 0.25] and model.x[0] == 50 and np.allclose(model.y, model.x / (model.x + 300))
    assert (now.x[0], now.y[0]) == (200, 0.4)  # 200 / 500
    assert np.allclose((goal.x[0], goal.y[0]), (2700, 0.9))  # 300 * 0.9 / 0.1
    assert [note.text for note in figure.layout.annotations] == ["now: 200", "0.9 at about 2,700"]
    assert len(agreement_curve(curve, 200, float("inf"), 0.9).data) == 2  # nothing to foretell


def test_bins_are_those_of_the_histogram() -> None:
    values = np.concatenate([RNG.normal(size=995), [1e6] * 5, [np.nan] * 3])
    axis = axis_of(values)
    counts = np.bincount(bins(values, axis), minlength=len(axis.edges))
    assert list(counts[:-1]) == list(np.histogram(values[:-3], axis.edges)[0]) and counts[-1] == axis.beyond + 3
    assert list(bins(np.array([0.0, 0.5, 1.0]), axis_of(np.array([0.0, 0.5, 1.0])))) == [0, 30, 59]


def test_kept_and_dropped_rows_stand_on_each_other_with_the_cut_between_them() -> None:
    axis = axis_of(np.array([1.0, 2.0, 2.0, 4.0]))
    counts = {"kept": np.array([0, 0, 0, 1]), "dropped": np.array([1, 2, 0, 0])}
    figure = kept_bars(counts, axis, "turns", cuts=[4.0], band=(3.5, 9.0))
    assert [(trace.name, list(trace.y), trace.marker.color) for trace in figure.data] == [
        ("kept", [0, 0, 0, 1], COLOURS["kept"]),
        ("dropped", [1, 2, 0, 0], COLOURS["dropped"]),
    ]
    band, cut = figure.layout.shapes
    assert (band.x0, band.x1, cut.x0) == (3.5, 4.5, 4.0) and figure.layout.barmode == "stack"
    assert figure.layout.annotations[0].text == "cut 4"
    low, high = kept_bars(counts, axis, "turns", cuts=[2.0, 3.0]).layout.annotations
    assert (low.xanchor, high.xanchor) == ("right", "left")  # each on its own side of the range


def test_a_correlation_next_to_none_has_no_sign() -> None:
    assert matrix(np.array([[1.0, -0.001], [-0.001, 1.0]]), ["a", "b"]).data[0].text.tolist() == [["1.00", "0.00"], ["0.00", "1.00"]]


def test_a_matrix_of_columns_has_its_figures_in_the_cells_while_there_is_room() -> None:
    values = np.array([[1.0, -0.25], [-0.25, np.nan]])
    cells = matrix(values, ["a", "<b>"]).data[0]
    assert cells.text.tolist() == [["1.00", "-0.25"], ["-0.25", ""]] and cells.zmin == -1 and cells.texttemplate == "%{text}"
    assert cells.customdata[0][1] == "a, &lt;b&gt;"
    shares = matrix(np.full((15, 15), 0.05), [str(place) for place in range(15)], share=True).data[0]
    assert shares.text[0][0] == "5%" and shares.zmin == 0 and shares.texttemplate == ""


def test_the_labels_of_cuts_stay_inside_of_the_chart() -> None:
    axis, counts = axis_of(np.arange(101.0)), {"kept": np.ones(51, dtype=int), "dropped": np.zeros(51, dtype=int)}

    def sides(*cuts: float) -> list[tuple[str, int]]:
        return [(note.xanchor, note.yshift) for note in kept_bars(counts, axis, "turns", cuts).layout.annotations]

    assert sides(30, 70) == [("right", 0), ("left", 0)]  # outward
    assert sides(0, 100) == [("left", 0), ("right", 0)]  # where there is no room, inward
    assert sides(90, 100) == [("right", 0), ("right", 15)]  # one above the other


def test_without_rows_no_numbers_are_invented() -> None:
    axis = axis_of(np.array([0.0, 4.0]))
    empty = binned(np.empty(0), axis)
    for figure in (histogram({"mean": empty}, axis, "turns"), kept_bars({"kept": empty.counts}, axis, "turns")):
        assert (figure.layout.yaxis.range, figure.layout.yaxis.tickvals) == ((0, 1), (0,))
        assert figure.layout.xaxis.range == (axis.edges[0], axis.edges[-1])
    points = scatter(np.empty(0), np.empty(0), ("x", "y"), name="chosen", rows=0, axes=(axis, axis_of(np.array([1.0, 2.0]))))
    assert points.layout.xaxis.range == (-0.5, 4.5) and points.layout.yaxis.range == (0.5, 2.5)
    some = scatter(np.ones(1), np.ones(1), ("x", "y"), name="chosen", rows=1, axes=(axis, axis))
    assert some.layout.xaxis.range is None
