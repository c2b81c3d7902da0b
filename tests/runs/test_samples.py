"""Samples are found by step, the last one said of a row counts, and texts are read only when asked for."""

from deft_core.runs.samples import Sample, SampleReader
from deft_core.workspace import append_line


def say(folder, step, row, tuned):
    append_line(folder / "samples.jsonl", {"step": step, "id": row, "prompt": "why?", "base": "so", "tuned": tuned})


def test_samples_are_found_by_step_as_they_come(tmp_path):
    reader = SampleReader(tmp_path)
    assert reader.steps([0]) == [] and reader.at(0) == []
    say(tmp_path, 0, "a", "so")
    say(tmp_path, 0, "b", "so too")
    assert reader.steps([0]) == [0]
    say(tmp_path, 5, "a", "because")
    assert reader.steps([0, 5]) == [0, 5]
    assert reader.at(0) == [Sample("a", "why?", "so", "so"), Sample("b", "why?", "so", "so too")]
    assert [one.tuned for one in reader.at(5)] == ["because"]


def test_what_is_said_again_counts_and_what_was_taken_back_does_not(tmp_path):
    say(tmp_path, 5, "a", "first")
    say(tmp_path, 9, "a", "taken back")
    say(tmp_path, 5, "a", "second")
    reader = SampleReader(tmp_path)
    assert reader.steps([0, 5]) == [5]
    assert [one.tuned for one in reader.at(5)] == ["second"]


def test_torn_and_unfinished_lines_are_left_out(tmp_path):
    say(tmp_path, 0, "a", "whole")
    with (tmp_path / "samples.jsonl").open("a") as handle:
        handle.write('{"step": 5, "id"')
    reader = SampleReader(tmp_path)
    assert reader.steps([0, 5]) == [0]
    say(tmp_path, 5, "b", "after a kill")  # closes the torn line with a mark
    assert [one.id for one in (reader.steps([0, 5]), reader.at(5))[1]] == ["b"]


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    say(tmp_path, 0, "a", "old")
    reader = SampleReader(tmp_path)
    reader.steps([0])
    (tmp_path / "samples.jsonl").unlink()
    assert reader.steps([0]) == [] and reader.at(0) == []
