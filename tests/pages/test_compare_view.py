"""Runs beside one another, as the page of runs shows them."""

from __future__ import annotations

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from deft_core.runs import metrics
from deft_core.workspace import Workspace, write_json
from pages.shared import compare_table, state
from pages.shared.compare_table import Named
from tests.pages.driving import address, body_text, checked, opened, widget
from tests.test_comparing import a_run, better_rows


@pytest.fixture
def group(scored: Workspace) -> Workspace:
    """A run, which is better, and its control, evaluated; each with a few steps."""
    scored.runs.mkdir()
    a_run(scored.runs, "mine", better_rows(), group="mine", scoring_seconds=100.0)
    a_run(scored.runs, "control", role="random", group="mine", scoring_seconds=None)
    for name in ("mine", "control"):
        trained(scored, name)
    return scored


def trained(workspace: Workspace, run_id: str) -> None:
    folder = workspace.run(run_id)
    for step in range(1, 4):
        metrics.append(folder, "step", step, loss=1 / step, pairs_per_second=1.0, tokens_per_second=10.0)
    metrics.append(folder, "evaluation", 3, accuracy_implicit=0.7, accuracy_implicit_low=0.6, accuracy_implicit_high=0.8)
    write_json(folder / "status.json", {"pid": 1, "started": 0.0, "state": "finished", "phase": "finished", "step": 3, "of": 3})
    write_json(folder / "exit.json", {"pid": 1, "started": 0.0, "state": "finished", "code": 0, "message": None, "remedy": None, "step": 3})


def compared(*run_ids: str, **more: str) -> AppTest:
    return opened("runs", **{state.COMPARE: list(run_ids)}, **more)


def table(app: AppTest) -> str:
    return next(str(one.proto.body) for one in app.get("html") if 'class="compared"' in str(one.proto.body))


def test_the_run_stands_before_its_control_whatever_the_order_of_the_address(group: Workspace) -> None:
    app = compared("control", "mine")
    html = table(app)
    assert not app.error and html.index(">mine<") < html.index(">control<") < html.index(">base<")
    words = " ".join(one.value for one in app.markdown).replace("\\", "")
    assert "one draw of as many random rows" in words and "accuracy_implicit +25.0 points" in words


def test_every_figure_has_its_interval_and_its_paired_difference(group: Workspace) -> None:
    html = table(compared("mine", "control"))
    # the control has 0.1 less margin on each prompt: a difference without any doubt
    assert "-0.1 [-0.1, -0.1]" in html and "▼ worse" in html
    assert "-25.0 points" in html  # 75 % of four prompts instead of all


def test_costs_have_scoring_in_them(group: Workspace) -> None:
    html = table(compared("mine", "control"))
    assert "scoring the dataset" in html and "20 s" in html and "about the same" in html


def test_curves_stand_over_what_somebody_asks_for(group: Workspace) -> None:
    app = compared("mine", "control")
    assert len(app.get("bidi_component")) == 2  # the loss, the accuracy
    checked(widget(app, "segmented_control", "Over").set_value("all").run())
    assert address(app, state.ACROSS) == ["all"] and not app.error


def test_one_that_is_not_evaluated_is_named_and_its_curves_are_there(group: Workspace) -> None:
    (group.run("control") / "evaluation.json").unlink()
    app = compared("mine", "control")
    words = " ".join(one.value for kind in ("caption", "info") for one in getattr(app, kind)).replace("\\", "")
    assert "control** (finished) is not evaluated" in words and "needs two evaluated runs" in words
    assert len(app.get("bidi_component")) == 2 and not app.error
    stopped = group.run("control")
    for name in ("status.json", "exit.json"):
        (stopped / name).unlink(missing_ok=True)
    assert "a click on its name opens it, and Resume goes on with it" in " ".join(one.value for one in compared("mine", "control").caption)


def test_one_that_is_gone_is_said_and_the_others_are_compared(group: Workspace) -> None:
    a_run(group.runs, "third", group="third")
    shutil.rmtree(group.run("control"))
    app = compared("mine", "control", "third")
    assert "There is no run control here" in app.warning[0].value
    assert ">third<" in table(app) and not app.error


def test_runs_without_a_step_have_no_curves_yet(scored: Workspace) -> None:
    scored.runs.mkdir()
    for name in ("one", "two"):
        a_run(scored.runs, name)
        (scored.run(name) / "evaluation.json").unlink()
    app = compared("one", "two")
    assert any("None of these runs has done a step yet" in one.value for one in app.info) and not app.error


def test_damaged_tables_are_said(group: Workspace) -> None:
    (group.run("control") / "evaluation_rows.parquet").write_bytes(b"half")
    app = compared("mine", "control")
    assert "deft evaluate control" in app.error[0].value.replace("\\", "") and len(app.get("bidi_component")) == 2


def test_names_are_text(group: Workspace) -> None:
    assert "<script" not in compare_table._head(Named("<script>", "", "#000000"), 1)
    assert "<script" not in body_text(compared("mine", "control"))
