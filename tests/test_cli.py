"""The command: keys of --json, exit codes, messages, and that all of it is documented."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from deft_core import cli

ROOT = Path(__file__).parents[1]


def deft(workspace, *arguments):
    """The one object that `deft ... --json` prints."""
    result = CliRunner().invoke(cli.app, ["--workspace", str(workspace.root), *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def failing(capsys, monkeypatch, *arguments):
    """(exit code, standard error) of a command that fails."""
    monkeypatch.setattr(sys, "argv", ["deft", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr().err


def test_import_datasets_refused(workspace, tmp_path):
    source = tmp_path / "pairs.jsonl"
    source.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "chosen": "b", "rejected": "b"}\nnot json\n')
    report = deft(workspace, "import", str(source), "--name", "three", "--heldout", "0", "--judge", "0")
    assert report == {
        "dataset": "three",
        "format": "trl",
        "rows_read": 3,
        "rows_kept": 1,
        "rows_refused": 2,
        "train": 1,
        "heldout": 0,
        "judge": 0,
    }
    assert [row["name"] for row in deft(workspace, "datasets")["datasets"]] == ["three"]


def test_refused_rows_are_counted_by_reason_and_listed(workspace, tmp_path):
    good, same = '{"prompt": "a", "chosen": "b", "rejected": "c"}', '{"prompt": "a", "chosen": "b", "rejected": "b"}'
    source = tmp_path / "pairs.jsonl"
    source.write_text("\n".join([good, same, "not json", same]) + "\n")
    arguments = ["--workspace", str(workspace.root), "import", str(source), "--name", "four"]
    said = CliRunner().invoke(cli.app, arguments, catch_exceptions=False).stderr.splitlines()
    listed = deft(workspace, "refused", "four")
    assert [row["line"] for row in listed["refused"]] == [2, 3, 4]
    alike, broken = (listed["refused"][place]["reason"] for place in (0, 1))
    assert list(listed["reasons"].items()) == [(alike, 2), (broken, 1)]
    assert said[-3:] == ["rows refused: 3 (`deft refused four` lists them)", f"        2  {alike}", f"        1  {broken}"]
    assert deft(workspace, "refused", "four", "--reason", alike.upper(), "--limit", "1") == {
        "refused": listed["refused"][:1],
        "reasons": {alike: 2},
    }
    shown = CliRunner().invoke(cli.app, ["--workspace", str(workspace.root), "refused", "four"], catch_exceptions=False).stdout
    assert shown.index(f"2  {alike}") < shown.index("original") < shown.index("not json")


def test_what_is_asked_of_refused_rows_has_to_be_there(workspace, tmp_path, capsys, monkeypatch):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\nnot json\n')
    deft(workspace, "import", str(tmp_path / "pairs.jsonl"), "--name", "two")
    for option, words in ((["--reason", "nope"], "found:    'nope'"), (["--limit", "-1"], "--limit of at least 0")):
        code, err = failing(capsys, monkeypatch, "--workspace", workspace.root, "refused", "two", *option)
        assert code == 1 and words in err


def test_field_mapping_as_the_design_writes_it(workspace, tmp_path):
    source = tmp_path / "odd.csv"
    source.write_text("question,better,worse\nwhy?,because,no idea\n")
    report = deft(workspace, "import", str(source), "--name", "odd", "--fields", "prompt=question", "chosen=better", "rejected=worse")
    assert (report["format"], report["rows_kept"]) == ("fields", 1)


def test_score_and_query(small, tiny, tmp_path):
    report = deft(small, "score", "small", "--model", str(tiny), "--limit", "10")
    assert list(report) == ["dataset", "model", "score_id", "pairs", "seconds", "pairs_per_second", "tokens_per_second", "layout"]
    assert (report["pairs"], report["layout"]) == (10, "prefix-shared")
    rows = deft(small, "query", "small", "select count(*) as n, count(reward_chosen) as scored from pairs")["rows"]
    assert rows == [{"n": 60, "scored": 10}]
    out = tmp_path / "rows.csv"
    written = deft(small, "query", "small", "select id, reward_margin from pairs where reward_margin is not null", "--out", str(out))
    assert written == {"rows": 10, "path": str(out)}
    assert pd.read_csv(out).columns.tolist() == ["id", "reward_margin"]
    assert deft(small, "query", "small", "select 1 as one from pairs limit 1", "--score-id", report["score_id"])["rows"] == [{"one": 1}]


def test_scoring_a_few_rows_says_that_there_are_more(small, tiny):
    arguments = ["--workspace", str(small.root), "score", "small", "--model", str(tiny), "--json"]
    result = CliRunner().invoke(cli.app, [*arguments, "--limit", "10"], catch_exceptions=False)
    assert result.stderr.splitlines()[-1] == "10 of 60 rows are scored; the same command without --limit goes on"
    assert json.loads(result.stdout)["pairs"] == 10
    assert "rows are scored" not in CliRunner().invoke(cli.app, arguments, catch_exceptions=False).stderr


@pytest.mark.parametrize(
    ("options", "expected", "found"),
    [
        (["--engine", "ray", "--share"], "--share or --engine ray", "both"),
        (["--slot-cpus", "2"], "--slot-cpus with --engine ray", "--engine local"),
    ],
)
def test_options_of_the_other_engine_are_refused_before_anything_is_read(workspace, capsys, monkeypatch, options, expected, found):
    code, err = failing(capsys, monkeypatch, "--workspace", workspace.root, "score", "nosuch", *options)
    assert code == 1
    assert err.splitlines()[-3:-1] == [f"expected: {expected}", f"found:    {found}"]


def test_a_hub_that_cannot_be_reached_is_said_in_three_lines_without_retries(workspace):
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}  # the discard port: nobody listens
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), "import", "nosuch/dataset", "--name", "x"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    expected, found, remedy = done.stderr.splitlines()
    assert expected == "expected: a dataset 'nosuch/dataset'"
    assert "no file or folder of that name, and the Hub says ConnectError" in found
    assert "network" in remedy


def test_the_ending_of_out_is_the_format(small, tmp_path):
    sql = "select 1 as a, 'x,y' as b from pairs limit 2"
    for ending in ("jsonl", "csv", "parquet"):
        assert deft(small, "query", "small", sql, "--out", str(tmp_path / f"rows.{ending}"))["rows"] == 2
    assert (tmp_path / "rows.jsonl").read_text() == '{"a": 1, "b": "x,y"}\n' * 2
    assert (tmp_path / "rows.csv").read_text() == "a,b\n" + '1,"x,y"\n' * 2
    assert pd.read_parquet(tmp_path / "rows.parquet").to_dict("list") == {"a": [1, 1], "b": ["x,y", "x,y"]}
    deft(small, "query", "small", sql, "--out", str(tmp_path / "rows.txt"), "--format", "csv")
    assert (tmp_path / "rows.txt").read_text() == (tmp_path / "rows.csv").read_text()


def test_json_has_no_nan(small):
    assert deft(small, "query", "small", "select 'nan'::double as a, 1.5::decimal(3,1) as b, date '2026-01-02' as c from pairs limit 1")[
        "rows"
    ] == [{"a": None, "b": 1.5, "c": "2026-01-02"}]


def test_a_failure_has_three_parts_and_exit_code_1(workspace, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", workspace.root, "score", "nothing")
    assert code == 1
    assert re.search(r"expected: .*\nfound: +no 'nothing' \(there: none yet\)\ndo: +Import it", err)


@pytest.mark.parametrize(("arguments", "words"), [(["nope"], "no 'nope'"), (["small", "--limit", "-3"], "--limit of at least 1")])
def test_scoring_refuses_what_cannot_be_before_it_loads_torch(small, arguments, words):
    without = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; from deft_core import cli; cli.main()"
    command = [sys.executable, "-c", without, "--workspace", str(small.root), "score", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "missing.json", "--name", "x"), "missing.json"),
        (("import", "missing.json", "--name", "../x"), "'../x'"),
        (("app", "--port", "99999"), "99999"),
        (("query", "small", "delete from pairs"), "SELECT"),
        (("query", "small", "select nothing from pairs"), "nothing"),
        (("query", "small", "select 1", "--out", "/no/such/folder/x.csv"), "/no/such/folder/x.csv"),
        (("query", "small", "select 1", "--out", "x.xls", "--format", "xls"), "'xls'"),
        (("query", "small", "select 1", "--out", "x.xls"), ".json, .jsonl, .ndjson, .csv, .parquet"),
        (("query", "small", "select 1", "--out", "x.csv", "--format", "parquet"), "csv by its ending, parquet by --format"),
        (("query", "small", "select 1", "--format", "parquet"), "--out FILE"),
        (("query", "small", "select 1", "--score-id", "none"), "none"),
        (("import", "x", "--name", "x", "--fields", "prompt"), "prompt"),
        (("score", "small", "--limit", "0"), "--limit"),
    ],
)
def test_bad_input_is_explained(small, capsys, monkeypatch, arguments, words):
    code, err = failing(capsys, monkeypatch, "--workspace", small.root, *arguments)
    assert code == 1
    assert words in err
    assert "Traceback" not in err


def test_what_the_system_refuses_is_explained(small, tmp_path, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", small.root, "query", "small", "select 1", "--out", tmp_path, "--format", "csv")
    assert code == 1
    assert str(tmp_path.name) in err
    assert "Check the path" in err


def test_a_file_is_no_workspace(small, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    for arguments in (["import", tmp_path / "small.jsonl", "--name", "x"], ["datasets"]):
        code, err = failing(capsys, monkeypatch, "--workspace", tmp_path / "file", *arguments)
        assert code == 1
        assert f"found:    a file: {tmp_path / 'file'}" in err


def test_a_workspace_that_is_not_there_is_said_by_what_reads_it(small, tmp_path):
    def said(*arguments):
        return CliRunner().invoke(cli.app, ["--workspace", str(tmp_path / "typo"), *arguments, "--json"], catch_exceptions=False).stderr

    assert said("datasets").startswith(f"There is no workspace at {tmp_path / 'typo'}: ")
    assert "There is no workspace" in said("selections")
    assert "There is no workspace" not in said("import", str(tmp_path / "small.jsonl"), "--name", "x")
    assert said("datasets") == ""


def test_unpacking_makes_a_workspace_and_does_not_miss_one(small, tmp_path, capsys, monkeypatch):
    code, err = failing(capsys, monkeypatch, "--workspace", tmp_path / "new", "run", "unpack", tmp_path / "small.jsonl")
    assert code == 1
    assert err.startswith("expected: an archive that `deft run pack` wrote, whole")


def test_an_error_cannot_steer_the_terminal(workspace, tmp_path, capsys, monkeypatch):
    (tmp_path / "odd.jsonl").write_text('{"\\u001b[2Jcolumn": 1}\n')
    code, err = failing(capsys, monkeypatch, "--workspace", workspace.root, "import", tmp_path / "odd.jsonl", "--name", "x")
    assert code == 1
    assert "\x1b" not in err
    assert "�[2Jcolumn" in err


def test_wrong_usage_is_exit_code_2(capsys, monkeypatch):
    assert failing(capsys, monkeypatch, "score")[0] == 2
    assert failing(capsys, monkeypatch, "import", "x")[0] == 2


def test_dataset_text_cannot_style_the_terminal(workspace, tmp_path, capsys, monkeypatch):
    source = tmp_path / "pairs.jsonl"
    source.write_text(json.dumps({"prompt": "[red]p[/red]", "chosen": "\x1b[31mred", "rejected": "c"}) + "\n")
    deft(workspace, "import", str(source), "--name", "styled", "--heldout", "0", "--judge", "0")
    result = CliRunner().invoke(cli.app, ["--workspace", str(workspace.root), "query", "styled", "select prompt, chosen from pairs"])
    assert "[red]p[/red]" in result.stdout
    assert "\x1b" not in result.stdout


def test_python_m_deft_core_is_the_command(workspace):
    done = subprocess.run(
        [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), "datasets", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == '{"datasets": []}\n'


def test_every_command_and_option_is_documented():
    sections = dict(re.findall(r"^## deft ([\w-]+).*?\n(.*?)(?=^## |\Z)", (ROOT / "docs/command.md").read_text(), re.M | re.S))
    commands = typer.main.get_command(cli.app).commands
    assert set(commands) == set(sections)
    for name, command in commands.items():
        heading = re.search(rf"^## deft {name}.*$", (ROOT / "docs/command.md").read_text(), re.M).group(0)
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option not in ("--json", "--help"):
                    assert f"`{option}" in sections[name] or option in heading, f"deft {name} {option}"
