"""The Noise tab without a browser: what is to be done first, counts, rows, and actions on all rows of a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deft_core import overrides
from deft_core.demo import DEMO, import_demo
from deft_core.noise import stored, swapped, workbench
from deft_core.processes import identity
from deft_core.queries import light_table, open_view
from deft_core.workspace import Workspace, write_json
from tests.pages.driving import body_text, checked, opened, widget
from tests.score_sets import preferences, write_dataset

TAB = {"tab": "Noise"}


@pytest.fixture
def looked(workspace: Workspace) -> Workspace:
    """The demo with its noise columns, without scores."""
    import_demo(workspace)
    workbench.compute(workspace, DEMO)
    return workspace


def button(app, key: str):
    return next(one for one in app.button if one.key == key)


def press(app, key: str):
    return checked(button(app, key).click().run())


def confirm(app, label: str):
    return checked(widget(app, "button", label).click().run())


def captions(app) -> str:
    return " ".join(one.value for one in app.caption)


def test_texts_that_nobody_has_looked_through(scored: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(workbench, "start", lambda root, dataset: started.append((root, dataset)) or 2**22 + 1)  # no such process
    app = opened("curate", **TAB)
    assert "Nobody has looked through the texts yet" in app.info[0].value
    press(app, "noise-start")
    assert started == [(scored.root, "demo")]


def half_way(workspace: Workspace) -> Callable[..., None]:
    """A computation by this process; what comes back changes what its status says."""
    folder = workspace.noise_work("demo")
    folder.mkdir()
    running = identity() | {"state": "running", "phase": "reading the texts", "done": 30, "total": 60, "seconds_left": 5.0, "message": None}
    write_json(folder / "status.json", running)
    return lambda **other: write_json(folder / "status.json", running | other)


def test_a_computation_under_way_and_one_that_failed(scored: Workspace) -> None:
    says = half_way(scored)
    assert "reading the texts: 30 of 60 rows, 5 s left" in str(opened("curate", **TAB).get("progress")[0].proto)
    says(state="failed", message="no space")
    app = opened("curate", **TAB)
    assert "no space" in app.error[0].value and button(app, "noise-start")


def test_a_computation_under_way_stands_in_the_sidebar_of_every_page(scored: Workspace) -> None:
    says = half_way(scored)
    (link,) = opened("overview").sidebar.get("page_link")
    assert link.proto.label == "looking through demo 50%, 5 s left"
    assert link.proto.page.endswith("curate") and link.proto.query_string == "dataset=demo&tab=Noise"
    says(phase="near duplicates", done=60, seconds_left=0.0)
    (link,) = opened("overview").sidebar.get("page_link")
    assert link.proto.label == "looking through demo near duplicates"
    for other in ({"state": "finished"}, {"pid": 2**22 + 1}):  # no such process: lost
        says(**other)
        assert not opened("overview").sidebar.get("page_link")


def test_a_damaged_status_takes_nothing_along(scored: Workspace) -> None:
    scored.noise_work("demo").mkdir()
    (scored.noise_work("demo") / "status.json").write_text("{")
    assert not opened("overview").error


def test_columns_of_other_data_and_a_damaged_file(looked: Workspace) -> None:
    info = looked.dataset_info(DEMO)
    write_json(looked.dataset(DEMO) / "dataset.json", info | {"fingerprint": "another"})
    assert "other data" in opened("curate", dataset=DEMO, by="turns", **TAB).info[-1].value
    looked.noise(DEMO).write_bytes(b"no parquet")
    app = opened("curate", dataset=DEMO, by="turns", **TAB)
    assert "damaged" in app.info[-1].value and not app.error


def test_a_line_for_each_signal_that_found_something(looked: Workspace) -> None:
    app = opened("curate", dataset=DEMO, by="turns", fraction="1", **TAB)
    text = body_text(app)
    for words in ("Exact duplicates", "16 rows in 8 groups", "Near duplicates", "Leaking prompts", "2 rows in 1 group", "Wrong language"):
        assert words in text
    assert "main language en" in captions(app).replace("\\", "")
    assert "Nothing found: near-identical sides, personal data, extreme lengths." in captions(app)
    assert "Needs scores: likely swapped, reward reversed." in captions(app)


def test_all_but_one_of_each_group_are_dropped_and_undone(looked: Workspace) -> None:
    app = opened("curate", dataset=DEMO, by="turns", fraction="1", **TAB)
    press(app, "noise-exact_duplicate-drop")
    assert "Drop 8 rows, whatever a rule says?" in body_text(app)
    assert not overrides.read(looked, DEMO)  # asked, not done
    confirm(app, "drop 8 rows")
    dropped = overrides.load(looked, DEMO).dropped
    firsts = stored.first_ids(looked.noise(DEMO), "noise_exact_duplicate")
    table = light_table(open_view(looked, DEMO)).set_index("id")
    marked = table.index[table["noise_exact_duplicate"].notna()]
    assert dropped == set(marked) - set(firsts) and len(dropped) == 8
    press(app, "noise-exact_duplicate-drop")
    assert "Nothing is left to do here." in body_text(app)
    checked(next(one for one in app.button if one.label.startswith("undo")).click().run())
    assert not overrides.load(looked, DEMO).dropped


def test_of_a_leak_the_training_rows_are_dropped(looked: Workspace) -> None:
    app = opened("curate", dataset=DEMO, by="turns", fraction="1", **TAB)
    press(app, "noise-leak-drop")
    confirm(app, "drop 1 row")
    table = light_table(open_view(looked, DEMO)).set_index("id")
    assert [table["split"][row] for row in overrides.load(looked, DEMO).dropped] == ["train"]


def test_near_duplicates_are_read_side_by_side(looked: Workspace) -> None:
    app = opened("curate", dataset=DEMO, by="turns", fraction="1", noise="near_duplicate", **TAB)
    text = body_text(app)
    assert text.count("text-decoration:underline") >= 5  # the words that were changed
    assert "The same in both: rejected." in captions(app)
    assert widget(app, "button", "later →")  # 8 pairs, 5 a page
    shown = [one.key for one in app.button if one.key and one.key.startswith("noise-drop-")]
    assert len(shown) == 10
    row = "-".join(shown[1].removeprefix("noise-drop-").split("-")[:2])  # hash and occurrence
    press(app, shown[1])
    assert overrides.load(looked, DEMO).dropped == {row}
    press(app, shown[1])
    assert not overrides.load(looked, DEMO).dropped  # left to the rule again
    press(app, "noise-near_duplicate-rows")
    assert not [one for one in app.button if one.key and one.key.startswith("noise-drop-")]


def test_the_first_row_of_a_larger_group_stands_beside_each_of_the_others(workspace: Workspace) -> None:
    made = preferences(6)
    cases = (str.lower, str.upper, str.title)
    copies = [replace(made[0], responses=tuple(replace(one, text=case(one.text)) for one in made[0].responses)) for case in cases]
    write_dataset(workspace, "same", copies + made[1:])
    workbench.compute(workspace, "same")
    app = opened("curate", dataset="same", by="turns", fraction="1", noise="exact_duplicate", **TAB)
    assert "3 rows in 1 group" in body_text(app)
    assert body_text(app).count("the first row · ") == body_text(app).count("another row · ") == 2


def test_swapped_pairs_come_from_the_score_set_and_are_flipped(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    rule = swapped.RULES[0]
    ids = set(table["id"][np.isfinite(swapped.column(table, rule))])
    app = opened("curate", noise="swapped", **TAB)
    assert f"{len(ids)} row" in body_text(app) and "reward margin" in body_text(app)
    press(app, "noise-swapped-flip")
    confirm(app, f"flip {len(ids)} row{'s' if len(ids) != 1 else ''}")
    assert overrides.load(scored, "demo").flipped == ids
    assert "Swap chosen and rejected" not in body_text(app)


def test_every_row_of_a_single_signal_says_why(looked: Workspace) -> None:
    app = opened("curate", dataset=DEMO, by="turns", fraction="1", noise="wrong_language", **TAB)
    assert "<b>fr</b>" in body_text(app)
    assert not app.error
