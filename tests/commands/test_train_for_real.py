"""From an import to a tuned model by commands alone, with a real, tiny model in real processes."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from deft_core import cli
from deft_core.errors import DeftError
from deft_core.runs import metrics, monitor
from deft_core.runs.spec import read_run
from deft_core.workspace import read_json, write_json
from tests.runs.made import until
from tests.test_cli import deft
from tests.tiny_model import save_model, tiny_config

EVALUATED = ("margin", "kl", "accuracy_implicit", "accuracy_logp", "reward_chosen", "perplexity_neutral", "answer_tokens")


@pytest.fixture(autouse=True)
def runs_of_one_thread(monkeypatch):
    """A model this small only waits for a second one; runs inherit it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
def test_import_score_select_train_and_its_control(small, tiny):
    deft(small, "score", "small", "--model", str(tiny))
    deft(small, "select", "small", "--as", "best", "--fraction", "0.25")
    options = ["--guidance", "auto", "--steps", "4", "--lr", "0.001", "--eval-rows", "4", "--control", "random", "--name", "tiny", "--wait"]
    report = deft(small, "train", "best", *options)
    assert report["status"] == "finished"
    runs = deft(small, "runs")["runs"]
    assert [(one["run"], one["status"], one["step"], one["of"]) for one in runs] == [
        (report["control"], "finished", 4, 4),
        (report["run"], "finished", 4, 4),
    ]
    omegas = []
    for run_id in (report["run"], report["control"]):
        folder = small.run(run_id)
        events = metrics.read(folder)[0]
        by_kind = {kind: [event for event in events if event["event"] == kind] for kind in metrics.EVENTS}
        assert [event["step"] for event in by_kind["step"]] == [1, 2, 3, 4]
        evaluations = by_kind["evaluation"]
        assert (evaluations[0]["step"], evaluations[-1]["step"]) == (0, 4)
        assert all(evaluation.get(name) is not None for evaluation in evaluations for name in EVALUATED)
        known = pq.read_table(folder / "reference.parquet")["id"].to_pylist()  # of scoring: training has computed none
        assert set(pq.read_table(folder / "input.parquet")["id"].to_pylist()) <= set(known)
        assert by_kind["step"][0]["implicit_chosen"] == pytest.approx(0, abs=1e-4)
        assert "reference" not in (folder / "log.txt").read_text()
        assert evaluations[0]["kl"] == pytest.approx(0, abs=1e-6)  # the model is still its base
        assert evaluations[-1]["kl"] > 1e-6
        assert evaluations[0]["accuracy_implicit"] == 0.5
        omegas.append(by_kind["start"][0]["omega"])
        assert (folder / "model" / "README.md").is_file()
        assert list((folder / "model").glob("*.safetensors"))
        assert read_json(folder / "evaluation.json")
        json.loads((folder / "evaluation.json").read_text(), parse_constant=lambda name: 1 / 0)
        shown = deft(small, "run", "show", run_id)
        assert (shown["status"], shown["step"], shown["message"]) == ("finished", 4, None)
        assert set(EVALUATED) <= set(shown["metrics"])
    assert omegas[0] == omegas[1] > 0


@pytest.mark.slow
def test_a_model_that_was_changed_since_it_was_scored_is_refused_in_words(small, tiny, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    deft(small, "score", "small", "--model", str(model))
    deft(small, "select", "small", "--as", "best", "--fraction", "0.25")
    tokenizer = model / "tokenizer_config.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | {"changed": True}))
    result = CliRunner().invoke(cli.app, ["--workspace", str(small.root), "train", "best", "--wait", "--json"])
    assert json.loads(result.stdout)["status"] == "failed"
    assert "the tokenizer that the rows were scored with" in str(result.exception)


ROOT = Path(__file__).parents[2]
FEW = ("--steps", "4", "--eval-rows", "4", "--wait")


def failed(workspace, *arguments, **options):
    """(the run, what standard error says) of a command in a process of its own that ends with 1."""
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)["run"], done.stderr


def selected(workspace, model):
    deft(workspace, "score", "small", "--model", str(model))
    deft(workspace, "select", "small", "--as", "best", "--fraction", "0.25")


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_with_the_weights_of_one_that_was_not(small, tiny):
    selected(small, tiny)
    options = ("--steps", "200", "--lr", "0.001", "--eval-rows", "4", "--eval-steps", "200")
    whole = deft(small, "train", "best", *options, "--wait")["run"]
    run_id = deft(small, "train", "best", *options)["run"]
    folder = small.run(run_id)
    until(lambda: monitor.progress(folder).step > 2)
    stopped = deft(small, "run", "stop", run_id)
    assert stopped["status"] == "stopped"
    assert [path.name for path in (folder / "checkpoints").glob("checkpoint-*")] == [f"checkpoint-{stopped['step']}"]
    assert not (folder / "model").exists()
    deft(small, "run", "resume", run_id)
    until(lambda: monitor.status(folder) not in monitor.LIVE)
    assert monitor.status(folder) == "finished"
    assert (folder / "model" / "model.safetensors").read_bytes() == (small.run(whole) / "model" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_rows_longer_than_the_context_are_cut_and_counted(small, tmp_path):
    selected(small, save_model(tiny_config(max_position_embeddings=64), tmp_path / "short"))
    words = [problem["words"] for problem in deft(small, "train", "best", "--preflight")["problems"]]
    report = deft(small, "train", "best", *FEW, "--eval-rows", "100000")
    run = read_run(small.run(report["run"]))
    assert f"{run.truncated_rows} of {run.rows} rows lose tokens to the limit of 64 tokens" in words
    assert (report["status"], run.truncated_rows > 0) == ("finished", True)
    assert run.heldout_rows == small.dataset_info("small")["heldout"]  # more were asked for than there are


@pytest.mark.slow
def test_a_learning_rate_far_too_large_ends_the_run_in_words_and_a_smaller_one_goes_on(small, tiny):
    selected(small, tiny)
    run_id, said = failed(small, "train", "best", *FEW, "--lr", "1e30", "--set", "warmup=0")
    assert "Expected a finite loss in every step; found a loss of nan in step 2, from rows" in said
    assert "lower the learning rate" in said
    folder = small.run(run_id)
    assert not (folder / "model").exists()
    about = read_json(folder / "run.json")
    write_json(folder / "run.json", about | {"settings": about["settings"] | {"lr": 1e-3}})
    deft(small, "run", "resume", run_id)
    until(lambda: monitor.status(folder) not in monitor.LIVE)
    assert monitor.status(folder) == "finished"


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_words_and_with_room_it_goes_on(small, tiny):
    selected(small, tiny)
    room = 100_000  # bytes a file: less than the weights, more than everything else
    run_id, said = failed(small, "train", "best", *FEW, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert "Expected room and leave to save checkpoint 4" in said
    assert "Free some space or allow writing there, then resume the run" in said
    folder = small.run(run_id)
    assert monitor.status(folder) == "failed"
    deft(small, "run", "resume", run_id)
    until(lambda: monitor.status(folder) not in monitor.LIVE)
    assert monitor.status(folder) == "finished"


@pytest.mark.slow
def test_a_model_that_is_gone_is_said_whenever_it_is_missed(small, tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "model")
    selected(small, model)
    run_id = deft(small, "train", "best", *FEW)["run"]
    shutil.rmtree(model)
    for command in (("train", "best"), ("evaluate", run_id)):
        result = CliRunner().invoke(cli.app, ["--workspace", str(small.root), *command])
        assert result.exit_code == 1
        assert isinstance(result.exception, DeftError)
        assert str(model) in str(result.exception)
        assert "no such folder" in str(result.exception)
