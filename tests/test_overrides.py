"""Decisions: what each kind does, undo and redo without limit, and a log that loses nothing."""

import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from deft_core import overrides
from deft_core.errors import InputError, NotFoundError
from deft_core.overrides import Decisions, Event, replay
from tests.score_sets import preferences, write_dataset

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ids(workspace):
    return write_dataset(workspace, "demo", preferences(20))


def log(*steps):
    """Events e0, e1, ... from (kind, rows as letters, text) or (undo or redo, number of its target)."""
    made = []
    for place, (kind, about, *text) in enumerate(steps):
        target = f"e{about}" if kind in ("undo", "redo") else None
        made.append(Event(f"e{place}", kind, () if target else tuple(about), text[0] if text else None, target, "2026-01-02"))
    return made


def test_keep_and_drop_exclude_each_other_and_the_last_wins():
    found = replay(log(("keep", "abc"), ("drop", "b"), ("drop", "d"), ("keep", "d")))
    assert (found.kept, found.dropped) == ({"a", "c", "d"}, {"b"})


def test_follow_leaves_a_row_to_the_rule():
    found = replay(log(("keep", "a"), ("drop", "bc"), ("flip", "a"), ("follow", "ab")))
    assert (found.kept, found.dropped, found.flipped) == (set(), {"c"}, {"a"})


def test_a_flip_of_a_flipped_row_takes_it_back():
    assert replay(log(("flip", "abb"), ("flip", "bc"))).flipped == {"a", "c"}


def test_the_last_note_of_a_row_wins_and_an_empty_one_removes_it():
    assert replay(log(("note", "abc", "odd"), ("note", "b", "fine"), ("note", "c", ""))).notes == {"a": "odd", "b": "fine"}


def test_tags_add_up_and_a_minus_takes_one_off():
    found = replay(log(("tag", "ab", "odd"), ("tag", "ac", "long"), ("tag", "a", "odd"), ("tag", "bd", "-odd"), ("tag", "c", "- long")))
    assert found.tags == {"a": ("odd", "long")}


def test_undo_takes_back_one_decision_after_another_and_redo_does_them_again():
    steps = [("keep", "a"), ("drop", "a"), ("flip", "a")]
    seen = [replay(log(*steps))]
    for step in [("undo", 2), ("undo", 1), ("undo", 0), ("redo", 0), ("redo", 1), ("redo", 2)]:
        steps.append(step)
        seen.append(replay(log(*steps)))
    state = [("".join(found.kept), "".join(found.dropped), "".join(found.flipped)) for found in seen]
    assert state == [("", "a", "a"), ("", "a", ""), ("a", "", ""), ("", "", ""), ("a", "", ""), ("", "a", ""), ("", "a", "a")]
    undoable = [found.undoable.event if found.undoable else None for found in seen]
    assert undoable == ["e2", "e1", "e0", None, "e0", "e1", "e2"]
    redoable = [found.redoable.event if found.redoable else None for found in seen]
    assert redoable == [None, "e2", "e1", "e0", "e1", "e2", None]


def test_a_new_decision_empties_what_can_be_redone():
    found = replay(log(("keep", "a"), ("keep", "b"), ("undo", 1), ("keep", "c"), ("redo", 1)))
    assert found.kept == {"a", "c"}
    assert (found.redoable, found.undoable.event) == (None, "e3")
    assert [event.event for event in found.done] == ["e0", "e3"]


def test_two_sessions_that_undo_the_same_decision_undo_it_once():
    found = replay(log(("keep", "a"), ("keep", "b"), ("undo", 1), ("undo", 1), ("undo", 99)))
    assert (found.kept, found.undoable.event, found.redoable.event) == ({"a"}, "e0", "e1")
    assert replay(log(("keep", "a"), ("undo", 0), ("redo", 0), ("redo", 0))).kept == {"a"}


def test_an_older_decision_can_be_undone_under_a_newer_one():
    """Another session decided between the moment an undo was worked out and the moment it was written."""
    found = replay(log(("drop", "a"), ("keep", "a"), ("undo", 0), ("undo", 1), ("redo", 0)))
    assert (found.dropped, found.kept, found.redoable.event) == ({"a"}, set(), "e1")


def test_rows_the_dataset_no_longer_has_are_counted_and_nothing_else():
    events = log(("keep", "ax"), ("drop", "by"), ("flip", "cx"), ("note", "xz", "n"), ("tag", "az", "t"), ("keep", "w"), ("undo", 5))
    found = replay(events, pd.Index(["a", "b", "c"]))
    assert (found.kept, found.dropped, found.flipped, found.notes, found.tags) == ({"a"}, {"b"}, {"c"}, {}, {"a": ("t",)})
    assert found.unknown == 3  # x, y, z; w is undone
    assert found.counts() == {"kept": 1, "dropped": 1, "flipped": 1, "noted": 0, "tagged": 1}


def test_decisions_in_words():
    events = log(
        ("keep", "a"), ("flip", "ab"), ("follow", "a"), ("note", "a", "odd"), ("note", "ab", ""), ("tag", "a", "odd"), ("tag", "a", "- odd")
    )
    assert [overrides.words(event) for event in events] == [
        "keep 1 row",
        "flip 2 rows",
        "leave 1 row to the rule",
        "note on 1 row: odd",
        "no note on 2 rows",
        "tag 1 row: odd",
        "take a tag off 1 row: odd",
    ]


def test_what_is_appended_is_read_back(workspace, ids):
    assert overrides.load(workspace, "demo") == Decisions()
    first = overrides.append(workspace, "demo", "drop", [ids[1], ids[2], ids[1]])
    second = overrides.append(workspace, "demo", "note", ids[:1], " two\nlines ")
    assert (first.ids, second.text) == ((ids[1], ids[2]), "two\nlines")
    assert overrides.read(workspace, "demo") == [first, second]
    found = overrides.load(workspace, "demo")
    assert (found.dropped, found.notes) == ({ids[1], ids[2]}, {ids[0]: "two\nlines"})


def test_undo_and_redo_name_what_they_are_about(workspace, ids):
    assert overrides.undo(workspace, "demo") is None
    first, second = (overrides.append(workspace, "demo", "keep", [row]) for row in ids[:2])
    assert [overrides.undo(workspace, "demo").target for _ in range(2)] == [second.event, first.event]
    assert overrides.undo(workspace, "demo") is None
    assert [overrides.redo(workspace, "demo").target for _ in range(2)] == [first.event, second.event]
    assert overrides.redo(workspace, "demo") is None
    assert overrides.load(workspace, "demo").kept == set(ids[:2])


def test_a_step_can_name_its_decision(workspace, ids):
    first, second = (overrides.append(workspace, "demo", "keep", [row]) for row in ids[:2])
    assert overrides.redo(workspace, "demo", first.event) is None
    assert overrides.undo(workspace, "demo", first.event).target == first.event
    assert overrides.undo(workspace, "demo", first.event) is None
    assert overrides.load(workspace, "demo").kept == {ids[1]}
    assert overrides.redo(workspace, "demo", second.event) is None
    assert overrides.redo(workspace, "demo", first.event).target == first.event


@pytest.mark.parametrize(
    ("kind", "rows", "text", "words"),
    [
        ("burn", ["{0}"], None, "one of keep, drop, .*; found 'burn'"),
        ("keep", [], None, "rows to decide on; found none"),
        ("keep", ["{0}", "no", "nor", "neither", "never"], None, "ids of rows of 'demo'; found 'no', 'nor', 'neither' and 1 more"),
        ("flip", ["{0}"], "because", "no text with flip; found 'because'"),
        ("note", ["{0}"], None, "a text for the note; found none"),
        ("tag", ["{0}"], " - ", "a text for the tag; found none"),
    ],
)
def test_what_is_no_decision_is_refused_and_not_written(workspace, ids, kind, rows, text, words):
    with pytest.raises(InputError, match=words):
        overrides.append(workspace, "demo", kind, [row.format(ids[0]) for row in rows], text)
    assert overrides.read(workspace, "demo") == []


def test_a_dataset_that_is_not_there_has_no_decisions(workspace):
    with pytest.raises(NotFoundError):
        overrides.load(workspace, "none")


@pytest.mark.parametrize(
    "line", ["1", '{"event": "a"}', '{"event": "a", "kind": "burn", "ids": [], "text": null, "target": null, "created": ""}']
)
def test_a_line_that_is_no_event_is_named(workspace, ids, line):
    workspace.overrides("demo").write_text(line + "\n")
    with pytest.raises(InputError, match=r"a decision in .*overrides\.jsonl; found"):
        overrides.load(workspace, "demo")


DECIDE = """
import random, sys
from pathlib import Path
from deft_core import overrides
from deft_core.workspace import Workspace

workspace, rng = Workspace(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
ids = sorted(overrides.dataset_ids(workspace, "demo"))
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    kind = rng.choice(["keep", "drop", "flip", "note", "tag"])
    text = f"{sys.argv[2]} {number}" if kind in ("note", "tag") else None
    event = overrides.append(workspace, "demo", kind, rng.sample(ids, 3), text)
    print(event.event, flush=True)
"""


def deciding(workspace, seed, start, end):
    command = [sys.executable, "-c", DECIDE, str(workspace.root), str(seed), str(start), str(end)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_200_decisions_under_sigkill_lose_none_that_was_said_to_be_saved(workspace, ids):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, saved, kills = random.Random(seed), [], 0
    while len(saved) < 200:
        with deciding(workspace, seed + kills, len(saved), 200) as process:
            said = [process.stdout.readline() for _ in range(min(rng.randrange(15, 60), 200 - len(saved)))]
            process.kill()  # in the middle of the next one, wherever that is
            said += process.stdout.readlines()
        saved += [line.strip() for line in said if line.endswith("\n")]
        kills += 1
    events = overrides.read(workspace, "demo")
    there = {event.event: event for event in events}
    assert [event.event for event in events if event.event in set(saved)] == saved, "every one of them, in the order they were made"
    assert len(there) == len(events) <= len(saved) + kills  # besides them at most the one under way at each kill
    known = overrides.dataset_ids(workspace, "demo")
    assert overrides.load(workspace, "demo") == replay(events, known) == replay(overrides.read(workspace, "demo"), known)
    assert overrides.load(workspace, "demo").done == tuple(events)


def test_two_processes_that_decide_at_once_lose_none(workspace, ids):
    processes = [deciding(workspace, seed, 0, 60) for seed in (1, 2)]
    said = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    written = [event.event for event in overrides.read(workspace, "demo")]
    assert len(written) == 120
    for events in said:
        assert [event for event in written if event in events] == events
    assert overrides.load(workspace, "demo") == overrides.load(workspace, "demo")


def test_a_decision_whose_rows_are_all_decided_again_is_overruled():
    rules = ("keep", "ab"), ("keep", "c"), ("flip", "a"), ("drop", "a")
    others = ("tag", "a", "x"), ("note", "a", "1"), ("note", "a", "2")
    made = log(*rules, *others, ("follow", "c"))
    # of e0 row b still stands; e1 is taken back by e7; flips and tags add up; the first note gave way to the second
    assert overrides.overruled(replay(made).done) == {"e1", "e5"}
    again = log(("keep", "ab"), ("drop", "a"), ("drop", "b"), ("undo", 2))
    assert overrides.overruled(replay(again).done) == frozenset()
    assert overrides.overruled(replay(again[:3]).done) == {"e0"}
