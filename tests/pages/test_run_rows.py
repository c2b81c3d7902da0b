"""Explore with a run: its margins by row beside the rewards."""

from __future__ import annotations

import pandas as pd
import pytest

from deft_core import file_names
from deft_core.runs import margins
from deft_core.runs.prepare import prepare
from deft_core.runs.spec import Settings
from deft_core.workspace import Workspace
from pages.shared import state
from tests.pages.driving import address, body_text, checked, metric, opened, widget
from tests.runs.made import select
from tests.runs.test_margins import write_margins


@pytest.fixture
def run_id(scored: Workspace) -> str:
    """A run on 12 of 48 training rows: all that it kept gained, the dropped ones lost and were right before."""
    select(scored)
    made = prepare(scored, "best", Settings()).run_id
    write_margins(scored, made)
    return made


def of(run: str) -> dict[str, str]:
    return {state.RUN_ROWS: run}


def test_without_a_run_nothing_is_said_of_one(scored: Workspace) -> None:
    assert "What a run made of the rows" not in [one.label for one in opened("explore").selectbox]


def test_a_run_is_picked_and_its_rows_are_counted(run_id: str) -> None:
    app = opened("explore")
    charts = len(app.get("plotly_chart"))
    checked(widget(app, "selectbox", "What a run made of the rows").set_value(run_id).run())
    assert address(app, state.RUN_ROWS) == [run_id] and not app.error
    assert "The margin grew in <b>12</b> of 12 kept rows and in <b>0</b> of 12 dropped rows, drawn by chance from 36." in body_text(app)
    assert len(app.get("plotly_chart")) == charts + 2
    assert set(margins.COLUMNS) <= set(widget(app, "multiselect", "More charts").options)


def test_its_two_questions_are_filters_a_link_brings_back(run_id: str) -> None:
    app = opened("explore", **of(run_id))
    never, right = (next(one for one in app.button if one.label.startswith(words)) for words in ("kept but never", "dropped but already"))
    assert (never.label, never.disabled) == ("kept but never learned (0)", True)
    checked(right.click().run())
    filters = address(app, "filter")
    assert filters == ['is ["false"] kept', "between 0.0 inf logp_margin_before"] and metric(app, "rows") == "12"
    again = opened("explore", **of(run_id), filter=filters)
    assert metric(again, "rows") == "12" and not again.error


def test_one_question_makes_way_for_the_other_and_other_filters_stay(scored: Workspace, run_id: str) -> None:
    path = scored.run(run_id) / file_names.ROW_MARGINS
    table = pd.read_parquet(path)
    table.loc[table.index[:3], ["learned", "implicit_margin"]] = [False, -0.5]
    table.to_parquet(path, index=False)
    app = opened("explore", **of(run_id), filter=['is ["letters"] source', 'is ["false"] kept', "between 0.0 inf logp_margin_before"])
    checked(next(one for one in app.button if one.label == "kept but never learned (3)").click().run())
    assert address(app, "filter") == ['is ["letters"] source', 'is ["true"] kept', 'is ["false"] learned']


def test_without_the_run_its_filters_go(run_id: str) -> None:
    app = opened("explore", **of(run_id), filter=['is ["true"] kept', 'is ["letters"] source'])
    checked(widget(app, "selectbox", "What a run made of the rows").set_value("").run())
    assert address(app, "filter") == ['is ["letters"] source'] and address(app, state.RUN_ROWS) == [] and not app.error


def test_a_run_that_is_gone_or_has_none_is_said_and_can_be_left(scored: Workspace, run_id: str) -> None:
    (scored.run(run_id) / file_names.ROW_MARGINS).unlink()
    for named in (run_id, "gone"):
        app = opened("explore", **of(named))
        assert named in app.warning[0].value.replace("\\", "") and metric(app, "rows") == "60" and not app.error
        checked(widget(app, "selectbox", "What a run made of the rows").set_value("").run())
        assert not app.warning


def test_the_page_of_a_run_leads_to_its_rows(run_id: str) -> None:
    links = {one.proto.label: one.proto for one in opened("runs", **{state.RUN: run_id}).get("page_link")}
    assert f"{state.RUN_ROWS}={run_id}" in links["what it made of single rows"].query_string
