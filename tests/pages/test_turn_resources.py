"""How prompts end: the same words from the file and from memory."""

import pytest

from deft_core.queries import open_view, pairs_version
from deft_core.workspace import Workspace
from pages.shared import turn_resources as turns
from tests.score_sets import preferences, write_dataset


def test_memory_says_what_the_file_says(workspace: Workspace) -> None:
    made = preferences(30)
    ids = write_dataset(workspace, "turns", made)
    view = open_view(workspace, "turns")
    wanted = [ids[7], "unknown", ids[29], ids[7]]
    from_file = turns.last_turns(view, wanted)
    everything = turns._all(pairs_version(view), view)
    from_memory = everything.result(timeout=60).of(wanted)
    assert from_file == turns.last_turns(view, wanted) == from_memory
    assert from_file == [made[7].prompt[-1].content, "", made[29].prompt[-1].content, made[7].prompt[-1].content]
    assert turns.last_turns(view, []) == []


def test_what_cannot_be_held_in_memory_is_logged_once_and_asked_of_the_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = preferences(5)
    ids = write_dataset(workspace, "damaged", made)
    view = open_view(workspace, "damaged")
    monkeypatch.setattr(turns.queries, "last_turns", lambda *_: (_ for _ in ()).throw(MemoryError("too much")))
    with pytest.raises(MemoryError, match="too much"):
        turns._all(pairs_version(view), view).result(timeout=60)
    for _ in range(2):
        assert turns.last_turns(view, ids[:1]) == [made[0].prompt[-1].content]
    assert [one.getMessage() for one in caplog.records if one.name == "deft.pages"] == [
        "The last turns of damaged cannot be held in memory"
    ]
