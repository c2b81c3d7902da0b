"""`deft select`, `deft selections`, `deft selection compare|restore|rename|delete`."""

import json

import pytest
from typer.testing import CliRunner

from deft_core import cli, overrides, queries, selections
from deft_core.selection import Rule, kept
from tests.score_sets import write_demo
from tests.test_cli import deft, failing


@pytest.fixture
def demo(workspace):
    write_demo(workspace, 40)
    return workspace


@pytest.fixture
def table(demo):
    return queries.light_table(queries.open_view(demo, "demo"))


def test_select_saves_a_version(demo, table):
    report = deft(demo, "select", "demo", "--as", "best", "--keep", "highest", "--fraction", "0.25")
    assert list(report)[:5] == ["selection", "version", "kept", "dropped", "fingerprint"]
    assert (report["selection"], report["version"], report["kept"], report["dropped"]) == ("best", 1, 8, 24)  # of 32 training rows
    rows = selections.kept_rows(demo, "best")
    assert list(rows["id"]) == sorted(table["id"][kept(table, Rule("highest", fraction=0.25))])
    assert rows.set_index("id")["value"].to_dict() == {row: table.set_index("id")["reward_chosen"][row] for row in rows["id"]}
    assert report["rule"] == "highest 25 % by reward_chosen"
    again = deft(demo, "select", "demo", "--as", "best", "--keep", "highest", "--fraction", "0.25", "--note", "the same once more")
    assert (again["version"], again["fingerprint"]) == (2, report["fingerprint"])


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--keep", "lowest", "--by", "tokens_chosen", "--count", "5"], Rule("lowest", "tokens_chosen", count=5)),
        (["--keep", "range", "--low", "0.05", "--high", "0.1"], Rule("range", low=0.05, high=0.1)),
        (["--value", "0.1"], Rule("highest", value=0.1)),
        (["--by", "turns"], Rule("highest", "turns")),
        (["--low", "0.05"], Rule("range", low=0.05)),
        (["--strata", "length"], Rule("stratified", strata="length")),
        (["--count", "4"], Rule("random", count=4)),
        (["--keep", "random", "--seed", "3", "--count", "4"], Rule("random", count=4, seed=3)),
        (
            ["--keep", "stratified", "--strata", "length", "--within", "lowest", "--count", "10"],
            Rule("stratified", count=10, strata="length", within="lowest"),
        ),
    ],
    ids=str,
)
def test_every_setting_of_a_rule_is_an_option(demo, table, options, rule):
    deft(demo, "select", "demo", "--as", "best", *options)
    assert selections.read(demo, "best").rule == rule
    assert list(selections.kept_rows(demo, "best")["id"]) == sorted(table["id"][kept(table, rule)])


def test_a_condition_narrows_what_takes_part(demo, table):
    report = deft(demo, "select", "demo", "--as", "short", "--fraction", "1", "--where", "tokens_chosen < 12")
    assert report["kept"] == ((table["split"] == "train") & (table["tokens_chosen"] < 12)).sum() > 0
    assert report["kept"] + report["dropped"] == 32


def test_a_partly_scored_set_says_how_many_rows_take_part(workspace):
    write_demo(workspace, 40, done=20)
    arguments = ["--workspace", str(workspace.root), "select", "demo", "--as", "few", "--fraction", "1", "--json"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    report = json.loads(result.stdout)
    assert result.stderr == f"{report['kept']} of 32 training rows are scored; the others take no part\n"
    assert 0 < report["kept"] < 20 and report["kept"] + report["dropped"] == 32
    by_turns = CliRunner().invoke(cli.app, [*arguments, "--by", "turns"], catch_exceptions=False)
    assert by_turns.stderr == "" and json.loads(by_turns.stdout)["kept"] == 32


def test_a_set_without_scores_gives_random_rows_and_is_to_be_scored_for_others(small, capsys, monkeypatch):
    assert deft(small, "select", "small", "--as", "some", "--count", "3")["rule"] == "random 3 rows of those that have characters_chosen"
    code, err = failing(capsys, monkeypatch, "--workspace", small.root, "select", "small", "--as", "best", "--keep", "highest")
    assert code == 1
    assert "'small' has no scores yet" in err and "deft score small" in err
    assert deft(small, "select", "small", "--as", "long", "--by", "characters_chosen", "--count", "3")["kept"] == 3


@pytest.mark.parametrize("option", [("--strata", "source"), ("--within", "lowest")])
def test_what_another_rule_would_not_heed_is_refused(demo, capsys, monkeypatch, option):
    code, err = failing(capsys, monkeypatch, "--workspace", demo.root, "select", "demo", "--as", "best", "--keep", "random", *option)
    assert code == 1
    assert "--strata and --within with --keep stratified" in err and "--keep random" in err
    assert deft(demo, "select", "demo", "--as", "best", *option)["rule"].endswith("of each source by reward_chosen")


def test_decisions_are_part_of_it(demo, table):
    ranked = table[table["split"] == "train"].sort_values("reward_chosen")["id"].to_list()
    overrides.append(demo, "demo", "keep", ranked[:2])
    overrides.append(demo, "demo", "drop", [ranked[-1]])
    overrides.append(demo, "demo", "flip", [ranked[0]])
    report = deft(demo, "select", "demo", "--as", "mine", "--by", "turns", "--count", "3")
    saved, rows = selections.read(demo, "mine"), selections.kept_rows(demo, "mine").set_index("id")
    assert saved.kept == report["kept"] == len(rows) and report["kept"] + report["dropped"] == 32
    assert rows["flipped"].to_dict() == {row: row == ranked[0] for row in rows.index}
    assert set(ranked[:2]) <= set(rows.index) and ranked[-1] not in rows.index
    assert report["kept_by_hand"] == (rows["by"] == "hand").sum()
    events = overrides.read(demo, "demo")
    assert saved.decisions == {"events": 3, "through": events[-1].event, "kept": 2, "dropped": 1, "flipped": 1, "noted": 0, "tagged": 0}


def test_selections_are_listed(demo):
    assert deft(demo, "selections") == {"selections": []}
    for count in ("3", "4"):
        deft(demo, "select", "demo", "--as", "best", "--count", count)
    (demo.root / "selections" / "best" / "v1" / "selection.json").write_text("{")
    listed = deft(demo, "selections")["selections"]
    assert [(row["selection"], row["version"], row["kept"]) for row in listed] == [("best", 2, 4), ("best", 1, None)]
    assert listed[0]["rule"] == "random 4 rows of those that have reward_chosen" and "selection.json" in listed[1]["problem"]


def test_versions_are_compared_restored_and_renamed(demo):
    for count in ("3", "5"):
        deft(demo, "select", "demo", "--as", "best", "--count", count)
    report = deft(demo, "selection", "compare", "best@v1", "best")
    assert [report[key] for key in ("a", "b", "both", "only_a", "only_b")] == ["best@v1", "best", 3, 0, 2]
    assert len(report["ids_only_b"]) == 2
    back = deft(demo, "selection", "restore", "best@1")
    assert (back["version"], back["kept"], back["restores"]) == (3, 3, 1)
    assert deft(demo, "selection", "rename", "best", "better") == {"selection": "better", "versions": [1, 2, 3]}


def test_deleting_asks_or_needs_yes(demo, capsys, monkeypatch):
    for count in ("3", "5"):
        deft(demo, "select", "demo", "--as", "best", "--count", count)
    code, err = failing(capsys, monkeypatch, "--workspace", demo.root, "selection", "delete", "best@1")
    assert code == 1 and "--yes" in err and selections.versions(demo, "best") == [1, 2]
    assert deft(demo, "selection", "delete", "best@1", "--yes") == {"selection": "best", "deleted": [1]}
    monkeypatch.setattr("deft_core.commands.selections.sys.stdin.isatty", lambda: True)
    assert deft(demo, "selection", "delete", "best", "--yes") == {"selection": "best", "deleted": [2]}
    assert deft(demo, "selections") == {"selections": []}


def test_deleting_can_be_called_off(demo, monkeypatch):
    deft(demo, "select", "demo", "--as", "best")
    monkeypatch.setattr("deft_core.commands.selections.sys", type("", (), {"stdin": type("", (), {"isatty": lambda: True})}))
    for answer, left in (("n\n", [1]), ("y\n", [])):
        result = CliRunner().invoke(cli.app, ["--workspace", str(demo.root), "selection", "delete", "best"], input=answer)
        assert result.exit_code == (1 if left else 0) and selections.versions(demo, "best") == left


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("select", "demo", "--as", "x", "--fraction", "2"), "at most 1"),
        (("select", "demo", "--as", "x", "--keep", "best"), "highest, lowest"),
        (("select", "demo", "--as", "x", "--by", "source"), "reward_chosen"),
        (("select", "demo", "--as", "x", "--where", "no_such = 1"), "no_such"),
        (("select", "demo", "--as", "x", "--value", "99"), "none of 32 training rows"),
        (("select", "demo", "--as", "a b"), "selection name"),
        (("selection", "compare", "x", "y"), "no 'x'"),
        (("selection", "restore", "x"), "name@2"),
        (("selection", "delete", "x", "--yes"), "no 'x'"),
    ],
    ids=str,
)
def test_bad_input_is_explained(demo, capsys, monkeypatch, arguments, words):
    code, err = failing(capsys, monkeypatch, "--workspace", demo.root, *arguments)
    assert code == 1 and words in err and "Traceback" not in err
