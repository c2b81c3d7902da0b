"""Deciding on Explore: the open row, a whole filter, undo and redo, and what is said when nothing could be saved."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import overrides
from deft_core.queries import light_table, open_view, texts
from deft_core.workspace import Workspace
from tests.pages.driving import address, body_text, checked, metric, opened, widget


@pytest.fixture
def ids(scored: Workspace) -> list[str]:
    """In the order of the table: the highest reward first."""
    table = light_table(open_view(scored, "demo")).query("split == 'train'")
    return list(table.sort_values("reward_chosen", ascending=False)["id"])


def pressed(app: AppTest, label: str) -> AppTest:
    button = next(one for one in app.button if one.label.replace("\\", "") == label)
    return checked(button.click().run())


def captions(app: AppTest) -> str:
    return "\n".join(one.value.replace("\\", "") for one in app.caption)


def test_a_row_is_kept_dropped_and_left_to_the_rule_again(scored: Workspace, ids: list[str]) -> None:
    app = opened("explore", row=ids[0])
    assert "saved" not in captions(app) and overrides.read(scored, "demo") == []
    pressed(app, "keep")
    assert overrides.load(scored, "demo").kept == {ids[0]} and "saved: keep 1 row" in captions(app)
    pressed(app, "drop")
    assert overrides.load(scored, "demo").dropped == {ids[0]}
    pressed(app, "drop")
    assert overrides.load(scored, "demo").counts() == {"kept": 0, "dropped": 0, "flipped": 0, "noted": 0, "tagged": 0}
    assert "saved: leave 1 row to the rule" in captions(app)


def test_a_flip_turns_the_row_round_at_once_everywhere(scored: Workspace, ids: list[str]) -> None:
    view = open_view(scored, "demo")
    row = next(row for row in ids if len(texts(view, [row])["responses"][0]) == 2)
    before = light_table(view).set_index("id").loc[row]
    app = opened("explore", row=row, filter=['is ["letters", "forum"] source'])
    figure = metric(app, "chosen above rejected")
    pressed(app, "flip")
    chosen, rejected = (text for text in body_text(app).split("reward ")[1:3])
    assert chosen.startswith(f"{before['reward_rejected']:.4f}") and rejected.startswith(f"{before['reward_chosen']:.4f}")
    assert (metric(app, "chosen above rejected") != figure) == (before["reward_margin"] != 0)
    assert "1 flip is not in d" in captions(app)
    pressed(app, "undo: flip 1 row")
    assert metric(app, "chosen above rejected") == figure and "not in d" not in captions(app)


def test_undo_and_redo_name_what_they_do(scored: Workspace, ids: list[str]) -> None:
    app = opened("explore", row=ids[0])
    assert widget(app, "button", "undo").disabled and widget(app, "button", "redo").disabled
    pressed(app, "keep")
    pressed(app, "flip")
    pressed(app, "undo: flip 1 row")
    assert "saved: undo flip 1 row" in captions(app)
    checked(app.run())
    pressed(app, "next")
    pressed(app, "undo: keep 1 row")
    assert widget(app, "button", "undo").disabled and address(app, "row") == [ids[0]]  # the row it is about
    pressed(app, "redo: keep 1 row")
    assert overrides.load(scored, "demo").kept == {ids[0]} and not overrides.load(scored, "demo").flipped


def test_an_undo_that_another_session_has_made_is_not_made_twice(scored: Workspace, ids: list[str]) -> None:
    overrides.append(scored, "demo", "keep", ids[:1])
    overrides.append(scored, "demo", "flip", ids[:1])
    app = opened("explore", row=ids[0])
    overrides.undo(scored, "demo")
    pressed(app, "undo: flip 1 row")
    assert overrides.load(scored, "demo").kept == {ids[0]} and "another session was quicker" in captions(app)


def test_note_and_tags_are_saved_and_taken_back(scored: Workspace, ids: list[str]) -> None:
    app = opened("explore", row=ids[0])
    checked(widget(app, "text_input", "Note").set_value("  odd one ").run())
    assert overrides.load(scored, "demo").notes == {ids[0]: "odd one"}
    checked(widget(app, "text_input", "Note").set_value("").run())
    assert overrides.load(scored, "demo").notes == {}
    pressed(app, "undo: no note on 1 row")
    assert widget(app, "text_input", "Note").value == "odd one"
    overrides.append(scored, "demo", "tag", ids[1:2], "long")
    checked(app.run())
    checked(widget(app, "multiselect", "Tags").set_value(["long"]).run())
    assert overrides.load(scored, "demo").tags[ids[0]] == ("long",)
    checked(widget(app, "multiselect", "Tags").set_value([]).run())
    assert ids[0] not in overrides.load(scored, "demo").tags


def test_what_was_decided_is_a_filter_and_stands_in_the_table(scored: Workspace, ids: list[str]) -> None:
    overrides.append(scored, "demo", "drop", ids[:3])
    overrides.append(scored, "demo", "flip", ids[3:5])
    overrides.append(scored, "demo", "tag", ids[:2], "odd")
    assert metric(opened("explore", filter=['is ["drop"] decision']), "rows") == "3"
    assert metric(opened("explore", filter=['is ["none"] decision']), "rows") == "57"
    assert metric(opened("explore", filter=['is ["yes"] flipped']), "rows") == "2"
    app = opened("explore", filter=['is ["odd"] tags'])
    assert metric(app, "rows") == "2"
    assert app.dataframe[0].value["decision"].tolist() == ["drop", "drop"] and app.dataframe[0].value["flipped"].isna().all()
    assert "noted" not in app.dataframe[0].value


def test_a_row_that_a_decision_takes_out_of_the_filter_leaves_its_neighbours(scored: Workspace, ids: list[str]) -> None:
    app = opened("explore", filter=['is ["none"] decision'], row=ids[10])
    pressed(app, "drop")
    assert "this row is not among those listed" in body_text(app)
    pressed(app, "next")
    assert address(app, "row") == [ids[11]]
    pressed(app, "keep")
    pressed(app, "previous")
    assert address(app, "row") == [ids[9]]
    pressed(app, "next row")  # by its key alone
    assert address(app, "row") == [ids[12]]


def test_a_whole_filter_is_decided_on_after_a_second_click(scored: Workspace, ids: list[str]) -> None:
    table = light_table(open_view(scored, "demo"))
    forum = set(table.loc[table["source"] == "forum", "id"])
    overrides.append(scored, "demo", "drop", [sorted(forum)[0]])
    app = opened("explore", filter=['is ["forum"] source'])
    assert "Decide on these 12 rows" in body_text(app)
    pressed(app, "keep these")
    assert "Keep 12 rows" in body_text(app) and "Decided before: 1 dropped" in body_text(app)
    assert len(overrides.read(scored, "demo")) == 1
    pressed(app, "cancel")
    assert "Keep 12 rows" not in body_text(app)
    pressed(pressed(app, "keep these"), "keep 12 rows")
    assert overrides.load(scored, "demo").kept == forum and "saved: keep 12 rows" in captions(app)
    pressed(app, "undo: keep 12 rows")
    assert overrides.load(scored, "demo").counts()["dropped"] == 1


def test_a_question_goes_with_the_filter_it_was_asked_about(scored: Workspace) -> None:
    app = pressed(opened("explore", filter=['is ["forum"] source']), "flip these")
    assert "Swap chosen and rejected in 12 rows" in body_text(app)
    checked(widget(app, "multiselect", "Filters").set_value([]).run())
    assert "Swap chosen" not in body_text(app) and overrides.read(scored, "demo") == []


def test_a_whole_filter_is_tagged(scored: Workspace) -> None:
    app = pressed(opened("explore", filter=['is ["forum"] source']), "tag these")
    pressed(app, "tag 12 rows")
    assert "a text for the tag" in app.error[0].value.replace("\\", "") and overrides.read(scored, "demo") == []
    widget(app, "text_input", "Tag").set_value("from the forum")
    pressed(app, "tag 12 rows")
    assert set(overrides.load(scored, "demo").tags.values()) == {("from the forum",)}
    assert "saved: tag 12 rows: from the forum" in captions(app) and not app.error


def test_a_decision_that_cannot_be_written_is_not_said_to_be_saved(
    scored: Workspace, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    app = opened("explore", row=ids[0])
    monkeypatch.setattr(overrides, "append_line", full)
    pressed(app, "keep")
    assert "No space left" in app.error[0].value and "saved" not in captions(app)


def test_a_damaged_log_is_explained(scored: Workspace) -> None:
    scored.overrides("demo").write_text("{half\n")
    app = opened("explore")
    assert "overrides" in app.error[0].value and "line 1" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(("split", "words"), [("train", "a training row"), ("heldout", "a held-out row"), ("judge", "a judge row")])
def test_a_row_outside_of_training_is_never_kept(scored: Workspace, split: str, words: str) -> None:
    table = light_table(open_view(scored, "demo"))
    app = opened("explore", row=table["id"][table["split"] == split].iloc[0])
    assert f"· {words}" in body_text(app)
    buttons = {kind: widget(app, "button", kind) for kind in ("keep", "drop", "flip")}
    assert {kind: one.disabled for kind, one in buttons.items()} == {"keep": split != "train", "drop": split != "train", "flip": False}
    assert (buttons["keep"].help == "Held out: never in a subset.") == (split != "train")


def test_a_row_kept_before_it_was_held_out_can_be_left_to_the_rule(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    row = table["id"][table["split"] == "heldout"].iloc[0]
    overrides.append(scored, "demo", "keep", [row])
    pressed(opened("explore", row=row), "keep")
    assert not overrides.load(scored, "demo").kept


def test_one_row_is_not_these_rows(scored: Workspace, ids: list[str]) -> None:
    app = opened("explore", filter=["has Question 7:"])
    assert metric(app, "rows") == "1" and "<b>Decide on this row</b>" in body_text(app)
    labels = [one.label for one in app.button]
    assert {"keep it", "leave it to the rule", "tag it"} <= set(labels) and "keep these" not in labels
