"""`deft decide`, `deft undo`, `deft redo`."""

import pytest
from typer.testing import CliRunner

from deft_core import cli, overrides
from tests.score_sets import preferences, write_dataset, write_scores
from tests.test_cli import deft, failing


@pytest.fixture
def ids(workspace):
    made = preferences(20)
    ids = write_dataset(workspace, "demo", made)
    write_scores(workspace, "demo", made, ids)
    return ids


def counts(kept=0, dropped=0, flipped=0, noted=0, tagged=0):
    return {"kept": kept, "dropped": dropped, "flipped": flipped, "noted": noted, "tagged": tagged}


def test_decide_undo_and_redo(workspace, ids):
    report = deft(workspace, "decide", "demo", "keep", "--id", ids[0], "--id", ids[1])
    assert list(report) == ["events", "counts"]
    (event,) = report["events"]
    assert (event["kind"], event["ids"], event["text"], event["target"]) == ("keep", ids[:2], None, None)
    assert report["counts"] == counts(kept=2)
    assert deft(workspace, "decide", "demo", "tag", "--id", ids[2], "--text", "odd")["counts"] == counts(kept=2, tagged=1)
    assert deft(workspace, "decide", "demo", "tag", "--id", ids[2], "--text", "-odd")["counts"] == counts(kept=2)
    assert deft(workspace, "undo", "demo")["counts"] == counts(kept=2, tagged=1)
    undone = deft(workspace, "undo", "demo")
    assert (undone["events"][0]["kind"], undone["counts"]) == ("undo", counts(kept=2))
    redone = deft(workspace, "redo", "demo")
    assert (redone["events"][0]["kind"], redone["counts"]) == ("redo", counts(kept=2, tagged=1))


def test_nothing_to_undo_is_no_event(workspace, ids):
    assert deft(workspace, "undo", "demo") == {"events": [], "counts": counts()}
    assert deft(workspace, "redo", "demo") == {"events": [], "counts": counts()}


def test_a_whole_condition_is_one_event_with_all_its_ids(workspace, ids):
    rankings = deft(workspace, "query", "demo", "SELECT id FROM pairs WHERE n_responses = 3")["rows"]
    report = deft(workspace, "decide", "demo", "flip", "--where", "n_responses = 3")
    assert sorted(report["events"][0]["ids"]) == sorted(row["id"] for row in rankings)
    assert report["counts"] == counts(flipped=5)
    assert len(overrides.read(workspace, "demo")) == 1


def test_a_condition_sees_flips(workspace, ids):
    below = "n_responses = 2 AND reward_margin < 0"
    first = deft(workspace, "decide", "demo", "flip", "--where", below)
    rows = deft(workspace, "query", "demo", "SELECT id FROM pairs WHERE reward_margin < 0 AND n_responses = 2")["rows"]
    assert first["counts"]["flipped"] > 0 and rows == []


def test_people_read_what_was_saved(workspace, ids):
    def printed(*arguments):
        return CliRunner().invoke(cli.app, ["--workspace", str(workspace.root), *arguments], catch_exceptions=False).output

    assert "drop 1 row" in printed("decide", "demo", "drop", "--id", ids[0])
    assert "undo: drop 1 row" in printed("undo", "demo")
    assert "nothing to undo" in printed("undo", "demo").splitlines()
    assert "nothing to redo" not in printed("redo", "demo")
    assert "nothing to redo" in printed("redo", "demo", "--json").splitlines()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("burn", "--id", "{0}"), "'burn'"),
        (("keep",), "neither"),
        (("keep", "--id", "{0}", "--where", "true"), "both"),
        (("keep", "--id", "nobody"), "'nobody'"),
        (("keep", "--where", "reward_chosen > 1000"), "none"),
        (("keep", "--where", "no_column > 1"), "no_column"),
        (("note", "--id", "{0}"), "a text for the note"),
    ],
)
def test_what_cannot_be_decided_is_explained(workspace, ids, capsys, monkeypatch, arguments, words):
    given = [argument.format(ids[0]) for argument in arguments]
    code, err = failing(capsys, monkeypatch, "--workspace", workspace.root, "decide", "demo", *given)
    assert code == 1
    assert words in err
    assert overrides.read(workspace, "demo") == []
