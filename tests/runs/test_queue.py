"""In which order those that wait get their turn, and how it is changed."""

from dataclasses import replace

import pytest

from deft_core.errors import InputError
from deft_core.processes import identity
from deft_core.runs import queue
from deft_core.runs.spec import read_run
from tests.test_comparing import a_run

PROCESS = identity()


def entry(created, **more):
    return PROCESS | {"created": created, "device": None, "after": None} | more


def written(root, **entries):
    with queue.opened(root) as found:
        found.update(entries)


def order(root):
    return queue.waiting(queue.entries_of(root))


def test_those_that_wait_stand_in_the_order_in_which_they_were_made(tmp_path):
    written(tmp_path, b=entry("2"), a=entry("3"), runs=entry("1", device="cpu"), c=entry("1"))
    assert order(tmp_path) == ["c", "b", "a"]


def test_a_run_is_moved_to_a_place_and_new_ones_come_behind(tmp_path):
    written(tmp_path, a=entry("1"), b=entry("2"), c=entry("3"))
    queue.move(tmp_path, "c", 0)
    assert order(tmp_path) == ["c", "a", "b"]
    queue.move(tmp_path, "c", 1)
    assert order(tmp_path) == ["a", "c", "b"]
    written(tmp_path, older=entry("0"))
    assert order(tmp_path) == ["a", "c", "b", "older"]
    queue.move(tmp_path, "a", 9)
    assert order(tmp_path) == ["c", "b", "older", "a"]


def test_a_control_that_needs_its_parents_omega_stays_behind_it(tmp_path):
    written(tmp_path, parent=entry("1"), control=entry("2", after="parent"), other=entry("3"))
    queue.move(tmp_path, "control", 0)
    assert order(tmp_path) == ["parent", "control", "other"]
    queue.move(tmp_path, "parent", 2)
    assert order(tmp_path)[-2:] == ["parent", "control"]
    written(tmp_path, parent=entry("1", device="cpu"))  # which measures it now
    queue.move(tmp_path, "control", 0)
    assert order(tmp_path) == ["control", "other"]


def test_a_run_that_does_not_wait_is_not_moved(tmp_path):
    written(tmp_path, runs=entry("1", device="cpu"))
    for run_id in ("runs", "nobody"):
        with pytest.raises(InputError, match="which does not"):
            queue.move(tmp_path, run_id, 0)


def test_a_turn_goes_to_the_one_that_was_moved_first(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    folders = {name: a_run(tmp_path, name) for name in ("a", "b")}
    with queue.opened(tmp_path) as entries:
        for name, folder in folders.items():
            queue.enlist(entries, folder, replace(read_run(folder), created=name), PROCESS)
    queue.move(tmp_path, "b", 0)
    assert (queue.turn(folders["a"]), queue.turn(folders["b"])) == (None, "cpu")
