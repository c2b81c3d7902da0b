"""`deft evaluate`: its keys, its table, and what it says of a run that has no model."""

import pytest
from typer.testing import CliRunner

from deft_core import cli, file_names
from deft_core.commands.evaluate import cell
from tests.lm.test_evaluation import finished, folder  # noqa: F401  (fixtures)
from tests.test_cli import deft, failing

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def evaluated(workspace, finished):  # noqa: F811
    workspace.runs.mkdir(parents=True)
    finished.rename(workspace.run("made-1"))
    return workspace


def test_the_keys(evaluated):
    report = deft(evaluated, "evaluate", "made-1")
    assert list(report) == ["run", "created", "prompts", "new_tokens", "alignment", "generalisation", "judge", "cost"]
    assert list(report["alignment"]["accuracy_logp"]) == ["base", "tuned", "difference"]
    assert list(report["alignment"]["margin"]["tuned"]) == ["value", "low", "high", "prompts"]


def test_for_people_it_is_two_tables_the_judge_and_the_cost(evaluated):
    shown = CliRunner().invoke(cli.app, ["--workspace", str(evaluated.root), "evaluate", "made-1"]).stdout
    for words in ("accuracy implicit", "judge accuracy", "perplexity neutral", "The judge prefers the chosen", "training seconds", "20 s"):
        assert words in shown


def test_the_margins_by_row_are_taken_where_they_are_asked_for(evaluated):
    path = evaluated.run("made-1") / file_names.ROW_MARGINS
    deft(evaluated, "evaluate", "made-1")
    assert not path.exists()
    deft(evaluated, "evaluate", "made-1", "--rows")
    assert path.exists()


def test_a_run_that_is_not_there_or_not_trained(evaluated, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", evaluated.root, "evaluate", "other")
    assert (code, "no 'other' (there: made-1)" in err) == (1, True)
    (evaluated.run("made-1") / "model" / "config.json").unlink()
    code, err = failing(capsys, monkeypatch, "--workspace", evaluated.root, "evaluate", "made-1")
    assert code == 1
    assert "the trained model of made-1" in err and "deft run resume" in err


def test_a_cell():
    assert cell({"value": 0.61234, "low": 0.52, "high": 0.7}) == "0.612 [0.52, 0.7]"
    assert cell({"value": 0.1, "low": -0.1, "high": 0.3}, "+") == "+0.1 [-0.1, +0.3]"
    assert cell({"value": 20.0, "low": None, "high": None}) == "20"
    assert cell(None) == cell({"value": None, "low": None, "high": None}) == ""
