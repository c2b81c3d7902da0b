"""What the figures of a run hold: its lines, bands, marks and axes."""

import numpy as np

from deft_core.run_charts import PANELS, View, figure
from deft_core.runs import metrics
from deft_core.runs.curves import read_curves

LOSS, REWARDS, ACCURACY, R, KL, LENGTH, GRADIENT, SPEED = PANELS


def a_run(folder, steps=20, omega=0.0, **start):
    metrics.append(folder, "start", 0, of=steps, omega=omega, **start)
    metrics.append(folder, "evaluation", 0, accuracy_implicit=0.5, accuracy_implicit_low=0.4, accuracy_implicit_high=0.6, answer_tokens=30)
    for step in range(1, steps + 1):
        loss = {"loss": 1 / step, "loss_align": 1 / step + 0.1, "loss_guidance": -0.1}
        metrics.append(folder, "step", step, grad_norm=2.0, memory_bytes=3e9, tokens_per_second=100.0, **loss)
    metrics.append(folder, "evaluation", steps, accuracy_implicit=0.75, accuracy_implicit_low=0.6, accuracy_implicit_high=0.9)
    return read_curves(folder)


def lines(drawn):
    """name: x, y of the lines that the legend names"""
    return {trace.name: (list(trace.x), np.round(np.asarray(trace.y, float), 4).tolist()) for trace in drawn.data if trace.showlegend}


def test_the_parts_of_the_loss_are_drawn_where_there_is_guidance(tmp_path):
    with_it, without = (a_run(tmp_path / name, 4, omega) for name, omega in (("a", 0.5), ("b", 0.0)) if not (tmp_path / name).mkdir())
    assert list(lines(figure(LOSS, with_it, View()))) == ["loss", "alignment", "guidance"]
    assert lines(figure(LOSS, without, View())) == {"loss": ([1, 2, 3, 4], [1, 0.5, 0.3333, 0.25])}


def test_what_a_run_does_not_measure_is_not_drawn(tmp_path):
    curves = a_run(tmp_path)
    assert figure(R, curves, View()) is None and figure(REWARDS, curves, View()) is None
    assert list(lines(figure(GRADIENT, curves, View()))) == ["gradient norm"]


def test_held_out_figures_have_their_band_and_chance_its_line(tmp_path):
    drawn = figure(ACCURACY, a_run(tmp_path), View())
    band, line = drawn.data
    assert (list(band.x), np.round(np.asarray(band.y, float), 2).tolist(), band.fill) == ([0, 20, 20, 0], [0.6, 0.9, 0.6, 0.4], "toself")
    assert lines(drawn) == {"held out": ([0, 20], [0.5, 0.75])} and line.mode == "lines+markers"
    assert [shape.y0 for shape in drawn.layout.shapes] == [0.5]


def test_the_bases_level_stands_where_the_first_evaluation_is_of_the_base(tmp_path):
    assert [shape.y0 for shape in figure(LENGTH, a_run(tmp_path), View()).layout.shapes] == [30]


def test_memory_is_in_gigabytes(tmp_path):
    assert lines(figure(SPEED, a_run(tmp_path, 2), View()))["memory"] == ([1, 2], [3, 3])


def test_alerts_and_resumes_are_marked_on_their_step(tmp_path):
    a_run(tmp_path)
    metrics.append(tmp_path, "alert", 12, kind="nothing_learned", words="no")
    metrics.append(tmp_path, "start", 15, of=20, omega=0.0)
    drawn = figure(ACCURACY, read_curves(tmp_path), View())
    assert sorted(shape.x0 for shape in drawn.layout.shapes if shape.xref == "x") == [12, 15]
    assert [(note.x, note.hovertext) for note in drawn.layout.annotations] == [(12, "step 12: nothing learned")]
    assert not figure(SPEED, read_curves(tmp_path), View()).layout.annotations


def test_smoothed_lines_have_the_numbers_behind_them(tmp_path):
    drawn = figure(LOSS, a_run(tmp_path, 4), View(span=3))
    faint, smooth = drawn.data
    assert (faint.showlegend, smooth.name) == (False, "loss")
    # weights 1, 0.5: (0.5 + 0.5 * 1) / 1.5 = 0.6667 at the second step
    assert (round(float(smooth.y[1]), 4), float(faint.y[1])) == (0.6667, 0.5)


def test_a_logarithm_is_drawn_of_what_is_above_0_alone(tmp_path):
    curves = a_run(tmp_path, omega=0.5)
    assert figure(GRADIENT, curves, View(log=True)).layout.yaxis.type == "log"
    assert figure(LOSS, curves, View(log=True)).layout.yaxis.type is None


def test_a_range_of_steps_has_all_its_detail_and_zoom_is_kept(tmp_path):
    curves = a_run(tmp_path, 5000)
    whole, part = figure(LOSS, curves, View()), figure(LOSS, curves, View(low=100, high=120))
    assert len(whole.data[0].x) <= 802
    assert (list(part.data[0].x), list(part.layout.xaxis.range)) == (list(range(99, 122)), [100, 120])
    assert whole.layout.uirevision == figure(LOSS, curves, View()).layout.uirevision != part.layout.uirevision
