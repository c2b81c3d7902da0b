"""What the drawings of a run hold: its lines, bands, marks and axes."""

from base64 import b64decode

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


def numbers(text, kind=np.float32):
    return np.round(np.frombuffer(b64decode(text), kind).astype(float), 4).tolist()


def drawn_lines(drawing):
    return [line for part in drawing["parts"] for line in part["lines"]]


def lines(drawing):
    """name: x, y of the lines that the legend names"""
    return {line["name"]: (numbers(line["x"], np.int32), numbers(line["y"])) for line in drawn_lines(drawing) if line["legend"]}


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
    (line,) = drawn_lines(drawn)
    assert (numbers(line["low"]), numbers(line["high"]), line["points"]) == ([0.4, 0.6], [0.6, 0.9], True)
    assert lines(drawn) == {"held out": ([0, 20], [0.5, 0.75])}
    assert [level for level, _ in drawn["parts"][0]["levels"]] == [0.5]


def test_the_bases_level_stands_where_the_first_evaluation_is_of_the_base(tmp_path):
    assert [level for level, _ in figure(LENGTH, a_run(tmp_path), View())["parts"][0]["levels"]] == [30]


def test_memory_is_in_gigabytes(tmp_path):
    assert lines(figure(SPEED, a_run(tmp_path, 2), View()))["memory"] == ([1, 2], [3, 3])


def test_alerts_and_resumes_are_marked_on_their_step(tmp_path):
    a_run(tmp_path)
    metrics.append(tmp_path, "alert", 12, kind="nothing_learned", words="no")
    metrics.append(tmp_path, "start", 15, of=20, omega=0.0)
    drawn = figure(ACCURACY, read_curves(tmp_path), View())
    assert (drawn["marks"], drawn["resumed"], drawn["range"]) == ([[12, "nothing learned"]], [15], [0, 15])
    assert not figure(SPEED, read_curves(tmp_path), View())["marks"]


def test_smoothed_lines_have_the_numbers_behind_them(tmp_path):
    drawn = figure(LOSS, a_run(tmp_path, 4), View(span=3))
    faint, smooth = drawn_lines(drawn)
    assert (faint["legend"], smooth["name"]) == (False, "loss")
    # weights 1, 0.5: (0.5 + 0.5 * 1) / 1.5 = 0.6667 at the second step
    assert (numbers(smooth["y"])[1], numbers(faint["y"])[1]) == (0.6667, 0.5)


def test_a_logarithm_is_drawn_of_what_is_above_0_alone(tmp_path):
    curves = a_run(tmp_path, omega=0.5)
    assert figure(GRADIENT, curves, View(log=True))["parts"][0]["log"]
    assert figure(LOSS, curves, View(log=True))["parts"][0]["log"] is False


def test_a_range_of_steps_has_all_its_detail(tmp_path):
    curves = a_run(tmp_path, 5000)
    whole, part = figure(LOSS, curves, View()), figure(LOSS, curves, View(low=100, high=120))
    assert len(lines(whole)["loss"][0]) <= 802 and whole["range"] == [0, 5000]
    assert (lines(part)["loss"][0], part["range"]) == (list(range(99, 122)), [100, 120])
