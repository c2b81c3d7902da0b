"""A checkpoint has its name only when it is whole; the newest is the one a run goes on from."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from deft_core.errors import InputError
from deft_core.lm.checkpoints import clear_optimiser, due, newest, prepare_folder, publish, scratch, step_of


def grown(folder, step, content=b"weights"):
    growing = scratch(folder) / f"checkpoint-{step}"
    growing.mkdir(parents=True)
    (growing / "trained.safetensors").write_bytes(content)
    (growing / "optimizer.pt").write_bytes(b"moments")
    return growing


def test_the_newest_by_step_is_taken_and_older_ones_go(tmp_path):
    assert newest(tmp_path) is None
    assert step_of(None) == 0
    for step in (9, 10):
        publish(grown(tmp_path, step), tmp_path / "checkpoints" / f"checkpoint-{step}")
    assert step_of(newest(tmp_path)) == 10
    assert [path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")] == ["checkpoint-10"]
    (tmp_path / "checkpoints" / "checkpoint-3").mkdir()  # one whose removal was killed
    (tmp_path / "checkpoints" / "checkpoint-x").mkdir()
    assert step_of(newest(tmp_path)) == 10


def test_saving_takes_a_twentieth_of_the_time_at_most():
    assert not due(299.0, 1.0)
    assert due(300.0, 15.0)  # 20 x 15 s = 300 s
    assert not due(300.0, 16.0)
    assert due(320.0, 16.0)


def test_what_is_half_written_has_no_name_and_is_cleared(tmp_path):
    grown(tmp_path, 4)
    assert newest(tmp_path) is None
    prepare_folder(tmp_path)
    assert list(scratch(tmp_path).iterdir()) == []


def test_a_checkpoint_of_the_same_step_stays(tmp_path):
    for content in (b"first", b"again"):
        publish(grown(tmp_path, 4, content), tmp_path / "checkpoints" / "checkpoint-4")
    assert (newest(tmp_path) / "trained.safetensors").read_bytes() == b"first"
    assert not list(scratch(tmp_path).iterdir())


def test_at_the_end_the_optimiser_goes(tmp_path):
    publish(grown(tmp_path, 4), tmp_path / "checkpoints" / "checkpoint-4")
    clear_optimiser(tmp_path)
    assert [path.name for path in newest(tmp_path).iterdir()] == ["trained.safetensors"]
    assert not scratch(tmp_path).exists()


@contextmanager
def as_nobody():
    """Root may write everywhere; nobody may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_written_to_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)  # nobody may not even pass through the folders above
    folder.chmod(0o555)
    with as_nobody(), pytest.raises(InputError) as raised:
        prepare_folder(Path())
    folder.chmod(0o755)
    assert raised.value.expected == "a run folder that can be written to (.)"
    assert "Permission denied" in raised.value.found
    assert "allow writing there" in raised.value.remedy
