"""Curves are read as they come; what is handed out stays, what a resume takes back goes."""

import json

import numpy as np
import pytest

from deft_core.errors import InputError
from deft_core.runs import metrics
from deft_core.runs.curves import CurveReader, read_curves, smoothed, thinned


def steps(folder, *numbers, **values):
    for number in numbers:
        metrics.append(folder, "step", number, **{name: value(number) for name, value in values.items()})


def loss(number):
    return 1.0 / number


def test_steps_become_columns_and_a_value_that_is_missing_is_nan(tmp_path):
    metrics.append(tmp_path, "start", 0, of=3, omega=0.5)
    metrics.append(tmp_path, "step", 1, loss=0.5, note="a word")
    metrics.append(tmp_path, "step", 2, loss=0.25, kl=float("nan"), entropy=2)
    found = read_curves(tmp_path)
    assert (found.of, found.omega, found.step, found.starts) == (3, 0.5, 2, (0,))
    assert found.training.steps.tolist() == [1, 2]
    assert found.training.column("loss").tolist() == [0.5, 0.25]
    assert np.isnan(found.training.column("entropy")[0]) and found.training.column("entropy")[1] == 2
    assert np.isnan(found.training.column("kl")).all() and np.isnan(found.training.column("nowhere")).all()
    assert "note" not in found.training.columns


def test_a_second_reading_takes_only_the_bytes_that_are_new(tmp_path, monkeypatch):
    asked, read = [], metrics.read
    steps(tmp_path, 1, 2, loss=loss)
    reader = CurveReader(tmp_path)
    first = reader.read()
    size = (tmp_path / "metrics.jsonl").stat().st_size
    monkeypatch.setattr(metrics, "read", lambda folder, offset, most: (asked.append(offset), read(folder, offset, most))[1])
    assert reader.read() is first  # nothing is new
    steps(tmp_path, 3, loss=loss)
    second = reader.read()
    assert asked == [size, size, (tmp_path / "metrics.jsonl").stat().st_size]
    assert second.version > first.version
    assert (first.training.steps.tolist(), second.training.steps.tolist()) == ([1, 2], [1, 2, 3])


def test_a_line_still_being_written_waits(tmp_path):
    steps(tmp_path, 1, loss=loss)
    reader = CurveReader(tmp_path)
    reader.read()
    with (tmp_path / "metrics.jsonl").open("a") as handle:
        handle.write('{"event": "step", "step": 2, "lo')
        handle.flush()
        assert reader.read().step == 1
        handle.write('ss": 0.5}\n')
    assert reader.read().training.column("loss").tolist() == [1.0, 0.5]


def test_what_a_resume_takes_back_goes_and_what_was_handed_out_stays(tmp_path):
    metrics.append(tmp_path, "start", 0, of=4)
    steps(tmp_path, 1, 2, 3, loss=lambda _: 1.0)
    metrics.append(tmp_path, "evaluation", 3, kl=0.1)
    metrics.append(tmp_path, "alert", 3, kind="kl_drift", words="far")
    reader = CurveReader(tmp_path)
    before = reader.read()
    metrics.append(tmp_path, "start", 2, of=4)
    steps(tmp_path, 3, loss=lambda _: 0.5)
    after = reader.read()
    assert before.training.column("loss").tolist() == [1.0, 1.0, 1.0] and before.evaluations.steps.tolist() == [3]
    assert after.training.column("loss").tolist() == [1.0, 1.0, 0.5]
    assert after.evaluations.steps.tolist() == [] and after.starts == (0, 2)
    assert [(one.kind, one.step, one.words) for one in after.alerts] == [("kl_drift", 3, "far")]
    standing = metrics.standing(metrics.read(tmp_path)[0])
    assert [one["step"] for one in standing if one["event"] == "step"] == after.training.steps.tolist()
    metrics.append(tmp_path, "start", 0, of=4)  # anew: not even the steps before a checkpoint stand
    assert reader.read().training.steps.tolist() == [] and reader.read().starts == (0,)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_cut_or_replaced_is_read_anew(tmp_path, replaced):
    steps(tmp_path, 1, 2, 3, loss=loss)
    reader = CurveReader(tmp_path)
    reader.read()
    path = tmp_path / "metrics.jsonl"
    line = json.dumps({"event": "step", "step": 9, "loss": 0.125}) + "\n"
    if replaced:
        other = tmp_path / "other"
        other.write_text(line * 30)
        other.replace(path)
    else:
        path.write_text(line)
    assert set(reader.read().training.steps.tolist()) == {9}
    path.unlink()
    assert reader.read().training.steps.tolist() == []


def test_a_damaged_line_is_said_and_not_skipped(tmp_path):
    steps(tmp_path, 1, loss=loss)
    with (tmp_path / "metrics.jsonl").open("a") as handle:
        handle.write("{half\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        read_curves(tmp_path)


def test_evaluations_have_their_intervals(tmp_path):
    metrics.append(tmp_path, "evaluation", 0, accuracy_implicit=0.5, accuracy_implicit_low=0.5, accuracy_implicit_high=0.5)
    metrics.append(tmp_path, "evaluation", 5, kl=0.1)
    metrics.append(tmp_path, "evaluation", 9, accuracy_implicit=0.75, accuracy_implicit_low=0.625, accuracy_implicit_high=0.875)
    found = read_curves(tmp_path)
    band = found.band("accuracy_implicit")
    assert band.steps.tolist() == [0, 9]
    assert (band.value.tolist(), band.low.tolist(), band.high.tolist()) == ([0.5, 0.75], [0.5, 0.625], [0.5, 0.875])
    assert np.isnan(found.band("kl").low).tolist() == [True]


def test_seconds_and_tokens_add_up_over_the_steps(tmp_path):
    steps(tmp_path, 1, 2, 3, 4, pairs_per_second=lambda _: 2.0, tokens_per_second=lambda _: 100.0)
    # 5 rows, 4 a step: the steps have 4, 1, 4, 1 rows, so at 2 rows a second they take 2, 0.5, 2, 0.5 seconds,
    # and at 100 tokens a second 200, 50, 200, 50 tokens
    seconds, tokens = read_curves(tmp_path).cost(5, 4)
    assert (seconds.tolist(), tokens.tolist()) == ([2.0, 2.5, 4.5, 5.0], [200.0, 250.0, 450.0, 500.0])


def test_smoothing_is_a_weighted_mean_of_all_steps_before():
    # span 3: a = 2 / 4 = 0.5; weights 1, 0.5, 0.25 from the newest back
    # 4; (8 + 0.5 * 4) / 1.5 = 6.6667; (2 + 0.5 * 8 + 0.25 * 4) / 1.75 = 4
    found = smoothed(np.array([4.0, 8.0, 2.0]), 3)
    assert found == pytest.approx([4.0, 10 / 1.5, 4.0])
    gap = smoothed(np.array([4.0, np.nan, 8.0]), 3)
    assert gap[2] == pytest.approx(10 / 1.5) and np.isnan(gap[1])
    assert smoothed(np.array([4.0, 8.0]), 1).tolist() == [4.0, 8.0]


def test_of_many_points_the_lowest_and_the_highest_are_drawn():
    x, y = np.arange(10_000), np.zeros(10_000, np.float32)
    y[[1234, 8765]] = 7.0, -3.0
    y[5000:5300] = np.nan
    across, up = thinned(x, y, 100)
    assert len(across) <= 102 and (across[0], across[-1]) == (0, 9999)
    assert up[across == 1234] == [7.0] and up[across == 8765] == [-3.0]
    assert np.isnan(up).any()  # the gap is not bridged
    assert (np.diff(across) > 0).all()


def test_few_points_are_drawn_as_they_are_and_a_range_has_its_neighbours():
    x, y = np.arange(10), np.arange(10.0)
    assert thinned(x, y, 100)[0].tolist() == list(range(10))
    assert thinned(x, y, 100, 3, 5)[0].tolist() == [2, 3, 4, 5, 6]
    assert thinned(x[:0], y[:0], 100)[0].tolist() == []
