"""`deft export`."""

import json

import pytest
from typer.testing import CliRunner

from deft_core import cli
from tests.export.test_exporting import select
from tests.score_sets import preferences, write_dataset
from tests.test_cli import deft, failing


@pytest.fixture
def best(workspace):
    write_dataset(workspace, "made", preferences(6))
    select(workspace, "made")
    return workspace


def test_keys(best, tmp_path):
    path = tmp_path / "best.jsonl"
    report = deft(best, "export", "best@1", str(path), "--layout", "llamafactory")
    assert list(report) == ["path", "rows", "layout", "selection", "read_back_by", "notes", "snippet", "dataset_info", "left_out"]
    assert (report["path"], report["rows"], report["layout"], report["selection"]) == (str(path), 6, "llamafactory", "best@1")
    assert len(path.read_text().splitlines()) == 6
    assert json.loads((tmp_path / "dataset_info.json").read_text())["best"]["ranking"] is True


def test_people_read_what_the_trainer_is_to_be_told(best, tmp_path):
    arguments = ["--workspace", str(best.root), "export", "best", str(tmp_path / "best.jsonl.gz"), "--layout", "axolotl"]
    printed = CliRunner().invoke(cli.app, arguments, catch_exceptions=False).stdout
    assert "type: chat_template.default" in printed
    assert "Answers stand without the space around them." in printed


def test_a_file_that_is_there_takes_replace(best, tmp_path, capsys, monkeypatch):
    path = tmp_path / "best.parquet"
    path.write_text("")
    code, said = failing(capsys, monkeypatch, "--workspace", best.root, "export", "best", path, "--layout", "parquet")
    assert code == 1
    assert "which is there" in said
    assert deft(best, "export", "best", str(path), "--layout", "parquet", "--replace")["rows"] == 6
