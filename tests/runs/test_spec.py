"""Settings are checked when they are made; a run's description comes back from its file as it was."""

import json
from dataclasses import asdict, fields, replace

import pytest

from deft_core.errors import InputError
from deft_core.lm import losses
from deft_core.runs.spec import METHODS, Run, Settings, read_run, write_run


def a_run(**changes) -> Run:
    values = {
        "run_id": "best-dpo-abc123",
        "name": "highest 5 %",
        "created": "2026-01-02T03:04:05.678+00:00",
        "dataset": "demo",
        "selection": "best",
        "version": 2,
        "score_id": "tiny",
        "model": "smollm2-135m",
        "max_length": 1024,
        "layout": "prefix-shared",
        "own_logits": False,
        "fingerprints": {"data": "1", "d": "2", "tokenizer": "3", "model": "4", "selection": "5"},
        "rule": {"keep": "highest", "by": "reward_chosen", "fraction": 0.05, "where": ""},
        "rows": 10,
        "heldout_rows": 4,
        "judge_rows": 4,
        "truncated_rows": 1,
        "settings": Settings(),
        "control_of": None,
        "scoring_seconds": 12.5,
        "code": "0.1.0",
    }
    return Run(**values | changes)


def test_methods_and_coefficients_are_those_of_the_losses():
    assert METHODS == losses.METHODS
    for method in METHODS:
        settings, objective = Settings(method), losses.Objective(method, losses.default_beta(method))
        assert losses.Objective(method, **settings.coefficients()) == objective
        assert settings.needs_reference == objective.needs_reference


def test_what_was_left_open_is_written_down_as_a_number():
    assert (Settings().learning_rate, Settings(lora_rank=8).learning_rate, Settings(lr=0.1).learning_rate) == (5e-6, 1e-4, 0.1)
    assert (Settings().beta, Settings("simpo").beta, Settings("simpo", beta=3.0).beta) == (0.1, 2.0, 3.0)
    assert (Settings(lora_rank=8).lora_alpha, Settings(lora_rank=8, lora_alpha=4.0).lora_alpha) == (16.0, 4.0)
    assert Settings(guidance=None).guidance is None  # auto: known after the first batches


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "ppo"}, "'ppo'"),
        ({"schedule": "steps"}, "'steps'"),
        ({"dtype": "float16"}, "'float16'"),
        ({"epochs": 0.0}, "epochs above 0"),
        ({"steps": 0}, "steps of at least 1"),
        ({"steps": 1.5}, "whole number as steps"),
        ({"lr": -1e-5}, "lr above 0"),
        ({"lr": float("nan")}, "finite number as lr"),
        ({"beta": 0.0}, "beta above 0"),
        ({"guidance": -1.0}, "guidance of at least 0"),
        ({"guidance": "auto"}, "'auto'"),
        ({"rows_per_step": 0}, "rows per step of at least 1"),
        ({"eval_rows": 1}, "eval rows of at least 2"),
        ({"warmup": 10.0}, "at most 1"),
        ({"seed": True}, "whole number as seed"),
        ({"epochs": None}, "finite number as epochs"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(InputError, match="found") as refused:
        Settings(**changes)
    assert words in str(refused.value)


def test_steps_are_counted_as_the_trainer_counts_them():
    # 10 rows, 4 a step: 3 steps an epoch (4 + 4 + 2 rows); one epoch and a half: 4.5, so 5
    assert [Settings(epochs=epochs).total_steps(10) for epochs in (1.0, 1.5, 2.0)] == [3, 5, 6]
    assert Settings(epochs=1.0, steps=50).total_steps(10) == 50
    assert (Settings(steps=50).eval_every(10), Settings(steps=51).eval_every(10), Settings(steps=50, eval_steps=7).eval_every(10)) == (
        10,
        11,
        7,
    )
    assert Settings(steps=50, eval_steps=0).eval_every(10) == 0


def test_a_run_comes_back_as_it_was_written(tmp_path):
    run = a_run(settings=Settings("simpo", guidance=None, lora_rank=4), control_of="other", omega=0.25)
    write_run(tmp_path, run)
    assert read_run(tmp_path) == run
    about = json.loads((tmp_path / "run.json").read_text())
    assert set(about) == {field.name for field in fields(Run)}
    (tmp_path / "run.json").write_text(json.dumps(about | {"from_a_later_version": 1}))
    assert read_run(tmp_path) == run


def test_a_damaged_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"run\.json; found none"):
        read_run(tmp_path)
    about = asdict(a_run())
    for damage in ({"settings": {"lr": "fast"}}, {"settings": {"speed": 1}}, {"settings": None}):
        (tmp_path / "run.json").write_text(json.dumps(about | damage))
        with pytest.raises(InputError, match="settings of a run in"):
            read_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({key: value for key, value in about.items() if key != "rows"}))
    with pytest.raises(InputError, match=r"rows in .*run\.json"):
        read_run(tmp_path)


def test_replacing_a_setting_checks_again():
    with pytest.raises(InputError):
        replace(Settings(), method="none")
