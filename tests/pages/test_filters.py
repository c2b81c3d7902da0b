"""Explore's filters as a person sets them: a search of one field, its absence, a condition in SQL, and what came with a link."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import overrides, queries
from deft_core.queries import light_table, open_view, where_ids
from deft_core.workspace import Workspace
from tests.pages.driving import ROWS, address, body_text, checked, metric, opened, widget
from tests.score_sets import preferences

BELOW = "reward_margin < 0"


def labels(app: AppTest) -> list[str]:
    return [one.label for one in app.button]


def submitted(app: AppTest, sql: str) -> AppTest:
    widget(app, "text_area", "Rows for which this is true").set_value(sql)
    return checked(widget(app, "button", "Narrow to these rows").click().run())


def test_a_search_looks_where_it_is_told_to(scored: Workspace) -> None:
    app, made = opened("explore"), preferences(ROWS)
    checked(widget(app, "selectbox", "Search in").set_value("chosen").run())
    checked(widget(app, "text_input", "this text").set_value("sorry").run())
    assert address(app, "filter") == ["has-chosen sorry"]
    assert metric(app, "rows") == str(sum("sorry" in one.responses[0].text for one in made))


def test_not_gives_the_rows_without_it(scored: Workspace) -> None:
    app, made = opened("explore"), preferences(ROWS)
    checked(widget(app, "selectbox", "for rows that").set_value("do not have").run())
    assert not address(app, "filter")
    checked(widget(app, "text_input", "this text").set_value("/question 1\\d:/").run())
    assert address(app, "filter") == ["matches-not question 1\\d:"] and metric(app, "rows") == "50"
    assert widget(app, "selectbox", "for rows that").value == "have"  # the next search is not the other way round unasked
    assert metric(opened("explore", filter=["has-not-chosen sorry"]), "rows") == str(
        sum("sorry" not in one.responses[0].text for one in made)
    )


def test_a_typed_condition_narrows_and_the_box_is_empty_again(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    app = submitted(opened("explore"), f" {BELOW} -- chosen below rejected")
    assert address(app, "filter") == [f"where {BELOW} -- chosen below rejected"]
    assert metric(app, "rows") == str((table["reward_margin"] < 0).sum()) and not app.error
    assert widget(app, "text_area", "Rows for which this is true").value == "" and "Run this query" not in labels(app)


def test_a_condition_that_cannot_work_is_explained_where_it_was_typed(scored: Workspace) -> None:
    app = submitted(opened("explore"), "rewrd < 0")
    assert "rewrd" in app.error[0].value and "filter" not in app.query_params
    assert widget(app, "text_area", "Rows for which this is true").value == "rewrd < 0" and metric(app, "rows") == "60"
    assert "reward_margin, " in body_text(app) and "extra_difficulty" in body_text(app)
    app = submitted(app, BELOW)
    assert not app.error and address(app, "filter") == [f"where {BELOW}"]
    assert submitted(app, "").query_params == app.query_params


def test_a_condition_of_a_link_is_run_by_a_click_alone(scored: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []
    monkeypatch.setattr(queries, "where_ids", lambda view, sql, **how: run.append(sql) or where_ids(view, sql, **how))
    app = opened("explore", filter=[f"where {BELOW} /* <b>x</b> */"])
    assert metric(app, "rows") == "60" and not run and "nobody has run it" in body_text(app)
    assert widget(app, "multiselect", "Filters").options[0].endswith("(not run yet)")
    assert "&lt;b&gt;x&lt;/b&gt;" in body_text(app).replace("\\", "") and "<b>x</b>" not in body_text(app)
    assert "drop" not in labels(app)  # no decision on rows that the filters do not name
    checked(widget(app, "button", "Run this query").click().run())
    assert len(run) == 1 and int(metric(app, "rows")) == (light_table(open_view(scored, "demo"))["reward_margin"] < 0).sum()
    assert "Run this query" not in labels(app)


def test_a_condition_of_a_link_can_be_left_out(scored: Workspace) -> None:
    app = opened("explore", filter=[f"where {BELOW}", "has-chosen sorry"])
    checked(widget(app, "button", "Leave it out").click().run())
    assert address(app, "filter") == ["has-chosen sorry"]


@pytest.mark.parametrize("sql", ["pairs; drop", "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))", "true) OR (true", "rewrd < 0"])
def test_a_hostile_condition_of_a_link_is_explained_and_can_be_removed(scored: Workspace, sql: str) -> None:
    app = opened("explore", filter=[f"where {sql}"])
    checked(widget(app, "button", "Run this query").click().run())
    assert "a condition over the columns" in app.error[0].value.replace("\\", "")
    checked(widget(app, "button", "clear").click().run())
    assert not app.error and metric(app, "rows") == "60" and "filter" not in app.query_params


def test_a_condition_sees_a_row_that_is_flipped(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    row = table.loc[(table["reward_margin"] < 0) & (table["n_responses"] == 2), "id"].iloc[0]
    app = submitted(opened("explore"), BELOW)
    before = int(metric(app, "rows"))
    overrides.append(scored, "demo", "flip", [row])
    assert int(metric(checked(app.run()), "rows")) == before - 1


def test_a_condition_is_asked_once(scored: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run = []
    monkeypatch.setattr(queries, "where_ids", lambda view, sql, **how: run.append(sql) or where_ids(view, sql, **how))
    for sql in (BELOW, "rewrd < 0"):
        app = submitted(opened("explore"), sql)
        checked(app.run())
    checked(opened("explore", filter=["where rewrd < 0"]).button(key="run-rewrd < 0").click().run())
    assert run == [BELOW, "rewrd < 0"]  # a failure is remembered, too


def test_every_column_of_numbers_is_drawn_and_filters(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    numbers = list(table.select_dtypes("number"))
    assert {"n_responses", "mean_logp_margin", "tokens_rejected", "characters_prompt", "extra_difficulty"} <= set(numbers)
    ranges = [f"between {float(table[name].min())} {float(table[name].max())} {name}" for name in numbers]
    app = opened("explore", chart=numbers, filter=ranges)
    differ = [name for name in numbers if table[name].nunique() > 1]
    assert set(numbers) - set(differ) == {"tokens_prompt", "truncated_tokens"}  # the same in all rows: said in words
    assert not app.error and metric(app, "rows") == "60" and len(app.get("plotly_chart")) == 2 + len(differ)
    app = opened("explore", filter=[f"between {float(table['tokens_rejected'].median())} inf tokens_rejected"])
    assert metric(app, "rows") == str((table["tokens_rejected"] >= table["tokens_rejected"].median()).sum())


def test_all_filters_are_cleared_at_once_and_the_link_has_them(scored: Workspace) -> None:
    app = opened("explore", filter=["has-not sorry", "between 0.05 0.1 reward_chosen"])
    link = next(one.value for one in app.code)
    assert "filter=has-not+sorry&filter=between+0.05+0.1+reward_chosen" in link and "dataset=demo" in link
    checked(widget(app, "button", "clear").click().run())
    assert "filter" not in app.query_params and not app.code


def test_relations_are_drawn_when_they_are_opened(scored: Workspace) -> None:
    app = opened("explore")
    before = len(app.get("plotly_chart"))
    assert not [one for one in app.multiselect if one.label == "Columns"]
    checked(widget(app, "toggle", "Column relations").set_value(True).run())
    assert address(app, "relations") == ["open"] and len(app.get("plotly_chart")) == before + 1
    picked = widget(app, "multiselect", "Columns")
    assert picked.value[0] == "reward_chosen" and "truncated_tokens" not in picked.options  # it has one value only
    readings = next(one.value for one in app.dataframe if "reading" in one.value)
    assert set(readings["column"]) == set(picked.options) - {"tokens_chosen"}
    table = light_table(open_view(scored, "demo"))
    expected = table["reward_margin"].rank().corr(table["tokens_chosen"].rank())
    assert readings.set_index("column")["with length"]["reward_margin"] == pytest.approx(expected)


def test_the_matrix_shows_overlaps_of_the_columns_picked(scored: Workspace) -> None:
    app = opened("explore", relations="open", relation="lowest", related=["turns", "reward_mean"])
    assert widget(app, "multiselect", "Columns").value == ["turns", "reward_mean"] and "Chance: 5%" in app.caption[-1].value
    checked(widget(app, "multiselect", "Columns").set_value(["reward_mean", "extra_difficulty"]).run())
    assert address(app, "related") == ["reward_mean", "extra_difficulty"] and not app.error
    assert not opened("explore", relations="open", scores="", chart=["none"]).error


def test_a_message_from_before_a_filter_takes_no_filter_back(scored: Workspace) -> None:
    """A page that draws itself again while something runs sends what its widgets showed when it was asked to."""
    app = opened("explore", filter=['is ["forum"] source'])
    early = app._tree.get_widget_states()  # no public way to send an old message
    checked(widget(app, "text_input", "this text").set_value("sorry").run())
    both = address(app, "filter")
    assert len(both) == 2
    checked(app._run(early))
    assert address(app, "filter") == both
    checked(widget(app, "multiselect", "Filters").set_value(both[:1]).run())
    assert address(app, "filter") == both[:1]
