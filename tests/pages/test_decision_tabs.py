"""Curate's Decisions and Conflicts: the log as it is, and both ways out of a disagreement."""

from __future__ import annotations

import pandas as pd
import pytest

from deft_core import overrides
from deft_core.queries import light_table, open_view
from deft_core.selection import Rule, kept
from deft_core.workspace import Workspace
from tests.pages.driving import address, body_text, checked, opened, widget
from tests.pages.test_decide import captions, pressed


@pytest.fixture
def sides(scored: Workspace) -> tuple[list[str], list[str]]:
    """Ids of training rows that the rule of the highest keeps, and of some that it drops."""
    table = light_table(open_view(scored, "demo"))
    mask = kept(table, Rule("highest"))
    return table["id"][mask].tolist(), table["id"][~mask & (table["split"] == "train")].tolist()


def test_without_decisions_both_tabs_say_what_to_do(scored: Workspace) -> None:
    assert "Nothing is decided yet" in opened("curate", tab="Decisions").info[0].value
    assert "No decision disagrees" in opened("curate", tab="Conflicts").info[0].value


def test_the_log_stands_newest_first_with_what_each_did(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", sides[1][:1])
    overrides.append(scored, "demo", "drop", sides[1][1:4])
    overrides.undo(scored, "demo")
    app = opened("curate", tab="Decisions")
    table = app.dataframe[0].value
    assert table["decision"].tolist() == ["undo: drop 3 rows", "drop 3 rows", "keep 1 row"]
    assert table["now"].tolist() == ["", "undone", "stands"]
    pressed(app, "redo: drop 3 rows")
    assert app.dataframe[0].value["now"].tolist() == ["", "", "stands", "stands"]
    assert "saved: redo drop 3 rows" in captions(app)


def test_a_keep_overruled_by_a_drop_does_not_stand(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", sides[1][:1])
    overrides.append(scored, "demo", "drop", sides[1][:2])
    assert opened("curate", tab="Decisions").dataframe[0].value["now"].tolist() == ["stands", "overruled"]


def test_pages_of_decisions_are_turned(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    for number in range(27):
        overrides.append(scored, "demo", "note", sides[0][:1], f"{number}")
    app = opened("curate", tab="Decisions")
    assert len(app.dataframe[0].value) == 25 and app.dataframe[0].value["decision"][0] == "note on 1 row: 26"
    pressed(app, "later →")
    assert app.dataframe[0].value["decision"].tolist() == ["note on 1 row: 1", "note on 1 row: 0"]


def test_decisions_about_rows_that_are_gone_are_counted(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", ["gone-0"], known=pd.Index(["gone-0"]))
    app = opened("curate", tab="Decisions")
    assert "about 1 row that the dataset no longer has" in captions(app) and not app.error


def test_conflicts_say_what_each_side_says_and_can_be_left_to_the_rule(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", [sides[1][0], sides[0][1]])  # the second one is kept by the rule as well
    overrides.append(scored, "demo", "drop", sides[0][:1])
    app = opened("curate", tab="Conflicts", keep="highest")
    text = body_text(app)
    assert "2 conflicts" in text and "1 kept by hand that the rule drops" in text and "1 dropped by hand that the rule keeps" in text
    assert "The rule drops it: reward_chosen" in text and "Decided: keep (2 rows at once" in text and "Decided: drop (this row" in text
    checked(app.button(key=f"follow-{sides[1][0]}").click().run())
    assert overrides.load(scored, "demo").kept == {sides[0][1]} and "1 conflict" in body_text(app)
    assert "saved: leave 1 row to the rule" in captions(app)


def test_a_decision_that_is_kept_is_settled_and_stands_last(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", sides[1][:2])
    app = opened("curate", tab="Conflicts")
    first = next(one.key for one in app.button if str(one.key).startswith("settle-"))
    checked(app.button(key=first).click().run())
    assert "1 settled" in body_text(app)
    keys = [one.key for one in app.button if str(one.key).startswith("settle-")]
    assert keys[-1] == first and app.button(key=first).disabled
    assert overrides.load(scored, "demo").tags == {first.removeprefix("settle-"): ("settled",)}
    pressed(app, "undo: tag 1 row: settled")
    assert "0 settled" in body_text(app)


def test_all_open_conflicts_are_left_to_the_rule_after_a_second_click(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", sides[1][:3])
    overrides.append(scored, "demo", "tag", sides[1][:1], "settled")
    app = pressed(opened("curate", tab="Conflicts"), "follow the rule in all 2 that are open")
    assert "Take back 2 decisions?" in body_text(app) and len(overrides.read(scored, "demo")) == 2
    pressed(app, "follow the rule in 2 rows")
    assert overrides.load(scored, "demo").kept == {sides[1][0]}


def test_a_conflict_is_read(scored: Workspace, sides: tuple[list[str], list[str]]) -> None:
    overrides.append(scored, "demo", "keep", sides[1][:2])
    app = opened("curate", tab="Conflicts")
    pressed(app, "read")
    assert address(app, "row")[0] in sides[1][:2] and "row 1 of 2" in body_text(app)
    pressed(app, "next")
    assert "row 2 of 2" in body_text(app)
    pressed(app, "keep")  # it was: taken back, so no conflict any more
    assert "1 conflict" in body_text(app) and not app.error
    assert widget(app, "button", "close")
