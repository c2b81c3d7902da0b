"""From an import to a tuned model by commands alone, with a real, tiny model in real processes."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from deft_core import cli
from deft_core.runs import metrics
from deft_core.workspace import read_json
from tests.test_cli import deft

EVALUATED = ("margin", "kl", "accuracy_implicit", "accuracy_logp", "reward_chosen", "perplexity_neutral", "answer_tokens")


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
