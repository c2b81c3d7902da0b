"""TensorBoard's event files: with its package what it reads back is what the run reported; without it, in words."""

import pytest

from deft_core.errors import InputError
from deft_core.runs import metrics, tensorboard
from deft_core.runs.curves import read_curves


def test_without_the_package_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    assert not tensorboard.installed()
    with pytest.raises(InputError, match="pip install tensorboard"):
        tensorboard.write(tmp_path, read_curves(tmp_path))


def test_what_is_written_is_read_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    metrics.append(tmp_path, "step", 1, loss=0.5)
    metrics.append(tmp_path, "step", 2, loss=0.25, kl=None)
    metrics.append(tmp_path, "evaluation", 2, accuracy_implicit=0.75)
    for _ in range(2):  # the second time in the place of the first
        found = tensorboard.write(tmp_path, read_curves(tmp_path))
    events = accumulator.EventAccumulator(str(found / "training")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    heldout = accumulator.EventAccumulator(str(found / "heldout")).Reload()
    assert [(one.step, one.value) for one in heldout.Scalars("accuracy_implicit")] == [(2, 0.75)]
