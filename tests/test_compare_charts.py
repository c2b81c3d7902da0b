"""Curves of several runs over one another."""

import numpy as np
import pytest

from deft_core.charts import COLOURS
from deft_core.compare_charts import PANELS, Over, across, figure, styles
from deft_core.runs import metrics
from deft_core.runs.curves import read_curves
from deft_core.runs.spec import Settings, read_run
from tests.test_comparing import a_run
from tests.test_run_charts import drawn_lines, numbers


def over(tmp_path, run_id="one", scoring_seconds=None, steps=3, **changes):
    """A run of 9 rows, 4 a step: 1 pair and 10 tokens a second, so that a full step takes 4 seconds."""
    folder = a_run(tmp_path, run_id, settings=Settings(rows_per_step=4), scoring_seconds=scoring_seconds, **changes)
    metrics.append(folder, "start", 0, of=steps)
    metrics.append(folder, "evaluation", 0, accuracy_implicit=0.5, accuracy_implicit_low=0.5, accuracy_implicit_high=0.5)
    for step in range(1, steps + 1):
        metrics.append(folder, "step", step, loss=1 / step, pairs_per_second=1.0, tokens_per_second=10.0)
    metrics.append(folder, "evaluation", steps, accuracy_implicit=0.7, accuracy_implicit_low=0.6, accuracy_implicit_high=0.8)
    return Over(run_id, read_run(folder), read_curves(folder), COLOURS["kept"])


def panel(title):
    return next(one for one in PANELS if one.title.startswith(title))


@pytest.mark.parametrize(
    ("by", "expected"),
    # the third step has the one row left over of nine: 4 + 4 + 1 seconds, ten tokens each; scoring took 100
    [("step", [0, 2, 3]), ("training", [0, 8, 9]), ("tokens", [0, 80, 90]), ("all", [100, 108, 109])],
)
def test_steps_stand_by_what_they_took(tmp_path, by, expected):
    one = over(tmp_path, scoring_seconds=100.0)
    assert across(one, np.array([0, 2, 3]), by).tolist() == pytest.approx(expected)


def test_a_control_needs_no_scores_so_it_begins_at_once(tmp_path):
    assert across(over(tmp_path, scoring_seconds=None), np.array([0]), "all").tolist() == [0.0]


def test_a_line_a_run_in_its_colour_and_a_band_where_there_is_one(tmp_path):
    overs = [over(tmp_path, "one"), over(tmp_path, "two", steps=2)]
    drawn = figure(panel("Accuracy"), overs, "step")
    lines = drawn_lines(drawn)
    assert [(line["name"], numbers(line["x"], np.int32)) for line in lines] == [("one", [0, 3]), ("two", [0, 2])]
    assert numbers(lines[0]["y"]) == pytest.approx([0.5, 0.7]) and lines[0]["colour"] == COLOURS["kept"]
    assert [numbers(line["high"]) for line in lines] == [pytest.approx([0.5, 0.8])] * 2
    loss = figure(panel("Loss"), overs, "step")
    assert [numbers(line["y"]) for line in drawn_lines(loss)] == [[1, 0.5, 0.3333], [1, 0.5]]
    assert [numbers(line["x"]) for line in drawn_lines(figure(panel("Loss"), overs, "tokens"))] == [[40, 80, 90], [40, 80]]


def test_what_no_run_has_is_not_drawn(tmp_path):
    assert figure(panel("KL"), [over(tmp_path)], "step") is None


def test_a_long_run_is_drawn_with_few_points(tmp_path):
    folder = a_run(tmp_path, "long")
    (folder / "metrics.jsonl").write_text("".join(f'{{"event": "step", "step": {step}, "loss": 1.0}}\n' for step in range(1, 5001)))
    drawn = figure(panel("Loss"), [Over("long", read_run(folder), read_curves(folder), COLOURS["kept"])], "step", 50)
    assert len(numbers(drawn_lines(drawn)[0]["x"])) <= 1000


def test_colours_are_by_role_in_a_group_and_apart_elsewhere(tmp_path):
    given = [("one", "run", "one"), ("c", "random", "one"), ("f", "full", "one"), ("two", "run", "two"), ("d", "random", "two")]
    runs = [read_run(a_run(tmp_path, name, role=role, group=group)) for name, role, group in given]
    found = styles(runs)
    assert [colour for colour, _ in found[:3]] == [COLOURS["kept"], COLOURS["random"], COLOURS["full"]]
    assert len(set(found)) == 5
    many = styles([read_run(a_run(tmp_path, f"many-{number}")) for number in range(12)])
    assert len(set(many)) == 12
