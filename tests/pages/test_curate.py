"""Curate without a browser: the rule in the address, its figures, the rows."""

from __future__ import annotations

import pytest

from deft_core.queries import light_table, open_view
from deft_core.selection import Rule, kept
from deft_core.workspace import Workspace
from tests.pages.driving import address, checked, metric, opened, widget


def kept_ids(workspace: Workspace, rule: Rule) -> list[str]:
    table = light_table(open_view(workspace, "demo"))
    return sorted(table["id"][kept(table, rule)])


def test_the_usual_rule_keeps_five_percent(scored: Workspace) -> None:
    app = opened("curate")
    assert metric(app, "kept") == f"{len(kept_ids(scored, Rule())):,}" == "2"  # 48 training rows: 2.4


def test_a_rule_in_the_address_is_the_rule(scored: Workspace) -> None:
    app = opened("curate", keep="lowest", by="tokens_chosen", count="7")
    assert metric(app, "kept") == "7"
    checked(widget(app, "selectbox", "Keep").set_value("random").run())
    assert (address(app, "keep"), address(app, "count"), address(app, "seed")) == (["random"], ["7"], ["0"])


@pytest.mark.parametrize("wrong", [{"fraction": "7"}, {"count": "many"}, {"keep": "best"}, {"fraction": "0.1", "count": "3"}], ids=str)
def test_a_rule_that_cannot_work_is_explained_and_left(scored: Workspace, wrong: dict[str, str]) -> None:
    app = opened("curate", **wrong)
    assert app.error
    checked(widget(app, "button", "Start with the usual rule").click().run())
    assert not app.error and metric(app, "kept") == "2"
    assert not any(address(app, name) for name in wrong)


def test_a_condition_from_a_link_waits_for_a_click(scored: Workspace) -> None:
    app = opened("curate", where="tokens_chosen > 10")
    assert not app.metric
    checked(widget(app, "button", "Run it").click().run())
    assert metric(app, "kept") == f"{len(kept_ids(scored, Rule(fraction=0.05)))}"
    left = opened("curate", where="tokens_chosen > 10")
    checked(widget(left, "button", "Leave it out").click().run())
    assert left.metric and not address(left, "where")


def test_a_condition_that_cannot_work_is_explained_below_it(scored: Workspace) -> None:
    app = opened("curate")
    checked(widget(app, "text_input", "of the rows where").set_value("no_such_column = 1").run())
    assert "no_such_column" in app.error[0].value.replace("\\", "")
    checked(widget(app, "text_input", "of the rows where").set_value("").run())
    assert not app.error and metric(app, "kept") == "2"
