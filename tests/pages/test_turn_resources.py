"""How prompts end: the same words from the file and from memory."""

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
