"""Paths, names and writes that leave the old or the new, never half."""

import subprocess
import sys
from pathlib import Path

import pytest

from deft_core.errors import InputError, NotFoundError
from deft_core.workspace import (
    DATASET_KEYS,
    SCORE_KEYS,
    append_line,
    checked_name,
    default_root,
    read_json,
    read_lines,
    replace_atomically,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_dataset(workspace, name, **about):
    with workspace.new_folder(workspace.dataset(name)) as folder:
        write_json(folder / "dataset.json", dict.fromkeys(DATASET_KEYS) | {"name": name} | about)


@pytest.mark.parametrize("name", ["", ".", "..", "../escape", "a/b", "-x", ".hidden", "a b", "ü", "x" * 81, "a\n"])
def test_names_that_are_not_safe_as_folders_are_refused(name):
    with pytest.raises(InputError, match="a dataset name of letters"):
        checked_name(name)


def test_a_safe_name_is_itself():
    assert checked_name("HH.v1_test-2") == "HH.v1_test-2"


def test_the_default_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DEFT_WORKSPACE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("DEFT_WORKSPACE")
    assert default_root() == Path("data/workspace")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    file = tmp_path / "value.json"
    write_json(file, {"old": 1})

    def fail(beside):
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_atomically(file, fail)
    assert read_json(file) == {"old": 1}
    assert names(tmp_path) == ["value.json"]


def test_json_that_is_no_object_is_refused_by_file_name(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="list\\.json; found list"):
        read_json(tmp_path / "list.json")


def test_an_object_without_the_keys_asked_for_is_refused_by_their_names(tmp_path):
    write_json(tmp_path / "about.json", {"created": 1})
    assert read_json(tmp_path / "about.json", ("created",)) == {"created": 1}
    with pytest.raises(InputError, match=r"name, fingerprint in .*about\.json; found no such key"):
        read_json(tmp_path / "about.json", ("name", "created", "fingerprint"))


def test_appended_lines_follow_one_another(tmp_path):
    for value in (1, {"text": "naïve\n"}):
        append_line(tmp_path / "log.jsonl", value)
    assert (tmp_path / "log.jsonl").read_text(encoding="utf-8") == '1\n{"text": "naïve\\n"}\n'


def test_a_line_torn_by_a_kill_is_closed_by_the_next_writer_and_read_by_nobody(tmp_path):
    log = tmp_path / "log.jsonl"
    append_line(log, {"kept": 1})
    with log.open("ab") as torn:
        torn.write('{"text": "na\u00ef'.encode()[:-1])  # in the middle of a character
    assert read_lines(log) == [{"kept": 1}]
    append_line(log, {"kept": 2})
    with log.open("ab") as torn:
        torn.write(b'{"kept": "all but the end of the line"}')
    assert read_lines(log) == [{"kept": 1}, {"kept": 2}]
    append_line(log, {"kept": 3})
    assert read_lines(log) == [{"kept": 1}, {"kept": 2}, {"kept": 3}]
    assert log.read_bytes().count(b"\n") == 5


def test_a_line_that_is_damaged_otherwise_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('1\n{"half": \n3\n')
    with pytest.raises(InputError, match=r"line 2 of .*log\.jsonl; found a damaged line"):
        read_lines(tmp_path / "log.jsonl")
    assert read_lines(tmp_path / "none.jsonl") == []


def test_two_processes_that_append_at_once_lose_no_line(tmp_path):
    code = "import sys; from deft_core.workspace import append_line\n"
    code += "for i in range(50): append_line(sys.argv[1], [sys.argv[2], i, 'x' * 9000])"
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "log.jsonl", name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    lines = read_lines(tmp_path / "log.jsonl")
    assert [[line[1] for line in lines if line[0] == name] for name in "ab"] == [list(range(50))] * 2


def test_a_dataset_that_is_not_there_names_those_that_are(workspace):
    make_dataset(workspace, "one")
    with pytest.raises(NotFoundError, match="no 'two' \\(there: one\\)"):
        workspace.pairs("two")


def test_a_folder_appears_complete_or_not_at_all(workspace):
    with pytest.raises(RuntimeError), workspace.new_folder(workspace.dataset("broken")) as folder:
        write_json(folder / "dataset.json", {})
        raise RuntimeError
    assert names(workspace.root / "datasets") == []
    assert workspace.dataset_names() == []


def test_a_taken_name_is_refused_and_the_old_folder_stays(workspace):
    make_dataset(workspace, "one")
    with pytest.raises(InputError, match="'one' is taken"):
        make_dataset(workspace, "one")
    assert workspace.dataset_info("one")["name"] == "one"
    assert names(workspace.root / "datasets") == ["one"]


def test_replacing_swaps_the_whole_folder(workspace):
    make_dataset(workspace, "one")
    (workspace.dataset("one") / "stale").touch()
    with workspace.new_folder(workspace.dataset("one"), replace=True) as folder:
        write_json(folder / "dataset.json", {"name": "new"})
    assert names(workspace.dataset("one")) == ["dataset.json"]
    assert names(workspace.root / "datasets") == ["one"]


@pytest.mark.parametrize("asked", [lambda workspace: workspace.dataset_names(), lambda workspace: [workspace.existing_dataset("one").name]])
def test_a_folder_whose_replacement_was_killed_half_way_is_put_back(workspace, asked):
    make_dataset(workspace, "one")
    ended = subprocess.Popen(["true"])
    ended.wait()
    workspace.dataset("one").rename(workspace.root / "datasets" / f".one.{ended.pid}.old")
    assert asked(workspace) == ["one"]
    assert names(workspace.root / "datasets") == ["one"]


def test_score_sets_of_the_data_as_it_is_come_newest_first(workspace):
    make_dataset(workspace, "one", fingerprint="new")
    for score_id, day, fingerprint in (("a", "01", "new"), ("b", "03", "new"), ("c", "02", "new"), ("d", "04", "replaced since")):
        folder = workspace.score_set("one", score_id)
        folder.mkdir(parents=True)
        about = {"created": f"2026-01-{day}", "dataset_fingerprint": fingerprint}
        write_json(folder / "score.json", dict.fromkeys(SCORE_KEYS) | about)
    assert workspace.score_ids("one") == ["b", "c", "a"]


def test_a_damaged_file_is_an_error_in_three_parts(tmp_path):
    path = tmp_path / "status.json"
    path.write_text('{"state": "run')
    with pytest.raises(InputError, match=r"Expected one JSON object in .*status.json; found a damaged file \(.*\)\. Restore"):
        read_json(path)
