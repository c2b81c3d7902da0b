"""`deft compare`: its keys and its table."""

import pytest
from typer.testing import CliRunner

from deft_core import cli
from tests.test_cli import deft, failing
from tests.test_comparing import a_run, better_rows


@pytest.fixture
def two(workspace):
    workspace.runs.mkdir(parents=True)
    a_run(workspace.runs, "one")
    a_run(workspace.runs, "two", better_rows())
    return workspace


def test_the_keys(two):
    report = deft(two, "compare", "one", "two")
    assert list(report) == ["table", "notes", "runs"]
    assert report["runs"] == ["one", "two", "base"]
    expected = ["measure", "section", "run", "value", "low", "high", "difference", "difference_low", "difference_high", "prompts", "better"]
    assert all(list(line) == expected for line in report["table"])
    margin = next(line for line in report["table"] if (line["measure"], line["run"]) == ("margin", "two"))
    assert margin["difference"] == pytest.approx(0.1)


def test_for_people_it_is_a_line_a_figure_and_a_column_a_run(two):
    shown = CliRunner().invoke(cli.app, ["--workspace", str(two.root), "compare", "one", "two"])
    (margin,) = [line for line in shown.stdout.splitlines() if line.strip().startswith("margin")]
    assert "0.25" in margin and "(+0.1 [+0.1, +0.1])" in margin
    assert "The judge prefers the chosen answer in 80%" in shown.stderr


def test_one_run_is_not_enough(two, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", two.root, "compare", "one", "one")
    assert code == 1
    assert "at least two runs" in err


def test_a_run_without_an_evaluation(two, capsys, monkeypatch):
    (two.run("two") / "evaluation.json").unlink()
    code, err = failing(capsys, monkeypatch, "--workspace", two.root, "compare", "one", "two")
    assert code == 1
    assert "Evaluate it: deft evaluate two." in err
