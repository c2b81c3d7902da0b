"""Metrics are appended line by line, and read again from where the last reading stopped."""

import json

import numpy as np

from deft_core.runs import metrics


def test_events_are_read_from_where_the_last_reading_stopped(tmp_path):
    assert metrics.read(tmp_path) == ([], 0)
    metrics.append(tmp_path, "start", 0, total=3)
    metrics.append(tmp_path, "step", 1, loss=0.5)
    first, offset = metrics.read(tmp_path)
    assert [(one["event"], one["step"]) for one in first] == [("start", 0), ("step", 1)]
    assert (first[1]["loss"], offset) == (0.5, (tmp_path / "metrics.jsonl").stat().st_size)
    assert metrics.read(tmp_path, offset) == ([], offset)
    metrics.append(tmp_path, "step", 2, loss=0.25)
    second, end = metrics.read(tmp_path, offset)
    assert [one["step"] for one in second] == [2]
    assert metrics.read(tmp_path)[0] == first + second
    assert end > offset


def test_a_line_still_being_written_waits(tmp_path):
    metrics.append(tmp_path, "step", 1, loss=0.5)
    _, offset = metrics.read(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as handle:
        handle.write('{"event": "step", "st')
        handle.flush()
        assert metrics.read(tmp_path, offset) == ([], offset)
        handle.write('ep": 2}\n')
    assert metrics.read(tmp_path, offset)[0] == [{"event": "step", "step": 2}]


def test_a_line_torn_by_a_kill_is_closed_and_left_out(tmp_path):
    metrics.append(tmp_path, "step", 1)
    with (tmp_path / "metrics.jsonl").open("a") as handle:
        handle.write('{"event": "step", "step": 2, "lo')
    _, offset = metrics.read(tmp_path)
    metrics.append(tmp_path, "start", 1)
    assert [(one["event"], one["step"]) for one in metrics.read(tmp_path, offset)[0]] == [("start", 1)]


def test_numbers_that_are_not_finite_are_null_and_those_of_libraries_are_plain(tmp_path):
    values = {"loss": float("nan"), "kl": float("inf"), "norms": [(np.float32(0.5), np.float64("nan"))], "rows": np.int64(3), "on": True}
    metrics.append(tmp_path, "step", 1, **values, words="chosen", nothing=None)
    line = (tmp_path / "metrics.jsonl").read_text()
    found = json.loads(line, parse_constant=lambda name: 1 / 0)
    expected = {"loss": None, "kl": None, "norms": [[0.5, None]], "rows": 3, "on": True, "words": "chosen", "nothing": None}
    assert {key: found[key] for key in expected} == expected


def test_after_a_resume_the_steps_done_again_stand_once():
    events = [
        {"event": "start", "step": 0},
        *({"event": "step", "step": step, "loss": 1.0} for step in (1, 2, 3)),
        {"event": "alert", "step": 3, "kind": "kl_drift"},
        {"event": "start", "step": 2},  # from the checkpoint of step 2: step 3 is done again
        {"event": "step", "step": 3, "loss": 0.5},
    ]
    found = metrics.standing(events)
    assert [one["loss"] for one in found if one["event"] == "step"] == [1.0, 1.0, 0.5]
    assert [one["step"] for one in found if one["event"] == "alert"] == [3]


def test_a_run_that_begins_anew_says_everything_anew():
    omega = {"event": "omega", "step": 0, "omega": 0.5}
    begun = [{"event": "start", "step": 0}, {"event": "evaluation", "step": 0}]
    assert metrics.standing([omega, *begun, {"event": "step", "step": 1}, *begun]) == [omega, *begun]
    resumed = [{"event": "step", "step": 1}, {"event": "evaluation", "step": 1}, {"event": "start", "step": 1}]
    assert metrics.standing([*begun, *resumed]) == [*begun, *resumed]
