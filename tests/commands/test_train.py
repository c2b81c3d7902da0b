"""`deft train`, `deft runs`, `deft run show|log|stop|resume|pack|unpack|delete`."""

import json
import os
import signal

import pytest
from typer.testing import CliRunner

from deft_core import cli
from deft_core.commands import train
from deft_core.runs import device, launch, metrics, monitor, queue
from deft_core.runs.spec import Settings, read_run
from deft_core.workspace import Workspace, write_json
from tests.runs.made import a_run, scored, select, until, with_size
from tests.test_cli import deft, failing


@pytest.fixture
def best(workspace, monkeypatch):
    """A workspace with the selection `best`, in which training is a stand-in."""
    scored(workspace)
    select(workspace)
    start = launch.start
    monkeypatch.setattr(
        launch, "start", lambda workspace, run_id, worker="tests.runs.stand_in": start(workspace, run_id, "tests.runs.stand_in")
    )
    yield workspace
    for entry in queue.entries_of(workspace.runs).values():
        os.kill(entry["pid"], signal.SIGKILL)


def test_train_starts_a_run_and_waits(best):
    report = deft(
        best, "train", "best", "--method", "simpo", "--guidance", "auto", "--lora-rank", "4", "--seed", "3", "--name", "first", "--wait"
    )
    assert list(report) == ["run", "control", "status", "group"]
    assert (report["control"], report["status"]) == (None, "finished")
    run = read_run(best.run(report["run"]))
    assert (run.name, run.settings) == ("first", Settings("simpo", guidance=None, lora_rank=4, seed=3))


def test_every_option_is_a_setting(best):
    options = {
        "--epochs": "2",
        "--steps": "7",
        "--lr": "0.001",
        "--beta": "0.5",
        "--eval-steps": "2",
        "--eval-rows": "3",
        "--guidance": "0.5",
    }
    report = deft(best, "train", "best@1", *(part for option in options.items() for part in option), "--wait")
    expected = Settings(epochs=2.0, steps=7, lr=0.001, beta=0.5, eval_steps=2, eval_rows=3, guidance=0.5)
    assert read_run(best.run(report["run"])).settings == expected


def test_without_a_learning_rate_it_is_that_of_the_models_size(best):
    def rate(*options):
        return read_run(best.run(deft(best, "train", "best", "--later", *options)["run"])).settings.lr

    assert rate() == 5e-6  # an older score set, which does not say the size
    with_size(best)
    assert (rate(), rate("--lora-rank", "4"), rate("--set", "lora_rank=4")) == (2e-5, 1e-4, 1e-4)
    assert (rate("--lr", "5e-6"), rate("--set", "lr=5e-6")) == (5e-6, 5e-6)


def test_a_control_runs_behind_it(best):
    report = deft(best, "train", "best", "--control", "random", "--wait")
    run, control = (read_run(best.run(report[key])) for key in ("run", "control"))
    assert (control.control_of, control.rows, control.settings) == (run.run_id, run.rows, run.settings)
    assert monitor.status(best.run(control.run_id)) == "finished"
    ended = [metrics.read(best.run(one.run_id))[0] for one in (run, control)]
    assert ended[0][-1]["time"] < ended[1][0]["time"]


def test_all_that_it_is_held_against_runs_behind_it_in_order(best):
    report = deft(
        best, "train", "best", "--guidance", "0.5", *("--control", "unguided", "--control", "full", "--control", "random"), "--wait"
    )
    runs = [read_run(best.run(run_id)) for run_id in report["group"]]
    assert [run.role for run in runs] == ["run", "random", "full", "unguided"]
    assert (report["run"], report["control"]) == (runs[0].run_id, runs[1].run_id)
    began = [metrics.read(best.run(run.run_id))[0][0]["time"] for run in runs]
    assert began == sorted(began)


def test_preflight_starts_nothing_and_says_what_it_would_take(best, capsys, monkeypatch):
    with_size(best)
    report = deft(best, "train", "best", "--epochs", "2", "--preflight")
    assert list(report)[:6] == ["selection", "rows", "left_out", "steps", "evaluations", "tokens"]
    # 8 rows, 4 a step, 2 epochs: 4 steps, an evaluation before the first and after each
    assert (report["selection"], report["rows"], report["steps"], report["evaluations"], report["fits"]) == ("best@1", 8, 4, 5, True)
    assert (report["memory"]["weights"], report["disk"]["peak_bytes"]) == (4 * 35_040, 24 * 35_040)
    assert deft(best, "runs") == {"runs": []}
    monkeypatch.setattr(device, "free_disk_bytes", lambda folder: 1.0)
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "train", "best", "--preflight")
    assert (code, "of disk" in err) == (1, True)


def test_a_run_is_made_here_goes_on_elsewhere_and_comes_back(best, tmp_path):
    made = deft(best, "train", "best", "--control", "random", "--later")
    assert (made["status"], len(made["group"])) == ("stopped", 2)
    elsewhere, runs = Workspace(tmp_path / "elsewhere"), tuple(made["group"])
    packed = deft(best, "run", "pack", *runs, "--to", str(tmp_path / "there.tar"))
    assert packed == {"runs": list(runs), "path": str(tmp_path / "there.tar"), "bytes": (tmp_path / "there.tar").stat().st_size}
    assert deft(elsewhere, "run", "unpack", str(tmp_path / "there.tar")) == {"runs": list(runs), "status": dict.fromkeys(runs, "stopped")}
    for run_id in runs:
        deft(elsewhere, "run", "resume", run_id)
    until(lambda: {monitor.status(elsewhere.run(run_id)) for run_id in runs} == {"finished"})
    deft(elsewhere, "run", "pack", *runs, "--to", str(tmp_path / "back.tar"))
    assert deft(best, "run", "unpack", str(tmp_path / "back.tar"))["status"] == dict.fromkeys(runs, "finished")
    assert metrics.read(best.run(runs[0])) == metrics.read(elsewhere.run(runs[0]))


def test_a_run_that_is_not_started_cannot_be_waited_for(best, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "train", "best", "--later", "--wait")
    assert (code, "leave one of them out" in err) == (1, True)
    assert deft(best, "runs") == {"runs": []}


def test_any_other_setting_can_be_given(best):
    given = ("--set", "gradient_checkpointing=true", "--set", "accumulation_tokens=512", "--set", "schedule=cosine")
    report = deft(best, "train", "best", *given, "--wait")
    settings = Settings(gradient_checkpointing=True, accumulation_tokens=512, schedule="cosine")
    assert read_run(best.run(report["run"])).settings == settings


def test_without_waiting_it_returns_at_once(best):
    report = deft(best, "train", "best")
    assert report["status"] in ("queued", "running")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("best", "--guidance", "much"), "'much'"),
        (("best", "--guidance", "nan"), "a finite number as guidance"),
        (("best", "--guidance", "-1"), "guidance of at least 0"),
        (("best", "--steps", "0"), "steps of at least 1"),
        (("best", "--lr", "-1"), "lr above 0"),
        (("best", "--set", "model=another"), "model=another"),
        (("best", "--control", "all"), "'all'"),
        (("best", "--control", "unguided"), "guidance that is on"),
        (("best", "--set", "speed=9"), "speed=9"),
        (("best", "--set", "gamma"), "'gamma'"),
        (("best", "--method", "ppo"), "'ppo'"),
        (("none",), "'none'"),
        (("best", "--eval-rows", "1"), "eval rows"),
    ],
)
def test_wrong_settings_start_nothing(best, capsys, monkeypatch, arguments, words):
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "train", *arguments)
    assert code == 1
    assert words in err
    assert deft(best, "runs") == {"runs": []}


def test_a_selection_of_one_row_is_refused_in_three_parts(best, capsys, monkeypatch):
    deft(best, "select", "demo", "--as", "one", "--count", "1")
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "train", "one")
    assert code == 1
    assert err.splitlines() == [
        "expected: a selection of at least 2 rows to train on",
        "found:    1 row in one@1",
        "do:       Widen its rule or its condition, and save it again.",
    ]
    assert deft(best, "runs") == {"runs": []}


def test_waiting_for_one_that_fails_ends_with_1_and_its_words(best, capsys, monkeypatch):
    start = launch.start

    def planned(workspace, run_id):
        write_json(workspace.run(run_id) / "plan.json", {"fail": 2, "fault": "deft"})
        return start(workspace, run_id)

    monkeypatch.setattr(launch, "start", planned)
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "train", "best", "--wait")
    assert code == 1
    assert "failed: Expected a finite loss; found nan in step 2." in err
    assert "Lower the learning rate." in err


def test_ctrl_c_ends_the_waiting_alone(best, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.time, "sleep", interrupted)
    result = CliRunner().invoke(cli.app, ["--workspace", str(best.root), "train", "best", "--wait"])
    monkeypatch.undo()
    (run_id,) = best.run_ids()
    assert result.exit_code == 130
    assert f"{run_id} goes on" in result.stderr
    until(lambda: monitor.status(best.run(run_id)) == "finished")


def test_runs_are_listed_shown_and_their_log_read(best):
    folder = a_run(best, steps=3)
    write_json(folder / "plan.json", {"kl": 0.9})
    assert deft(best, "run", "resume", folder.name)["run"] == folder.name
    until(lambda: monitor.status(folder) not in monitor.LIVE)
    (row,) = deft(best, "runs")["runs"]
    assert (row["run"], row["status"], row["step"], row["of"]) == (folder.name, "finished", 3, 3)
    assert (row["selection"], row["method"], row["rows"], row["problem"]) == ("best@1", "dpo", 8, None)
    assert (row["group"], row["role"]) == (folder.name, "run")
    shown = deft(best, "run", "show", folder.name)
    assert list(shown)[:4] == ["run", "status", "step", "metrics"]
    assert (shown["status"], shown["step"], shown["metrics"]) == ("finished", 3, {"loss": pytest.approx(1 / 3), "kl": 0.9})
    assert (shown["training"], shown["heldout"]) == ({"loss": pytest.approx(1 / 3)}, {"kl": 0.9})
    assert [alert["kind"] for alert in shown["alerts"]] == ["kl_drift"]
    assert (shown["message"], shown["about"]["rows"]) == (None, 8)
    lines = deft(best, "run", "log", folder.name, "--lines", "2")["lines"]
    assert 0 < len(lines) <= 2
    (folder / "log.txt").unlink()  # as where torchrun started it
    found = CliRunner().invoke(cli.app, ["--workspace", str(best.root), "run", "log", folder.name])
    assert found.exit_code == 0 and found.stderr.startswith(f"{folder.name} has no log: ")


def test_stop_and_delete(best, capsys, monkeypatch):
    folder = a_run(best)
    write_json(folder / "plan.json", {"hold": 2})
    deft(best, "run", "resume", folder.name)
    until((folder / "holding.json").exists)
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "run", "delete", folder.name, "--yes")
    assert (code, "Stop it first" in err) == (1, True)
    assert deft(best, "run", "stop", folder.name) == {"run": folder.name, "status": "stopped", "step": 1}
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "run", "delete", folder.name)
    assert (code, "--yes" in err) == (1, True)
    assert deft(best, "run", "delete", folder.name, "--yes") == {"run": folder.name, "deleted": True}
    code, err = failing(capsys, monkeypatch, "--workspace", best.root, "run", "show", folder.name)
    assert (code, "there: none yet" in err) == (1, True)


def test_a_damaged_run_is_listed_with_its_problem(best):
    folder = a_run(best)
    (folder / "run.json").write_text(json.dumps({"run_id": folder.name}))
    (row,) = deft(best, "runs")["runs"]
    assert row["status"] == "lost"
    assert "run.json" in row["problem"]
