"""Try: one question, several models; with a real small one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import queries
from deft_core.lm.sampling import stream
from deft_core.lm.shelf import Shelf
from deft_core.lm.trial import Trial
from deft_core.runs.spec import Settings
from deft_core.workspace import Workspace
from pages.shared import state, try_resources
from tests.conftest import small_rows
from tests.lm.run_folders import run_folder, trained
from tests.pages.driving import address, body_text, checked, opened, widget

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def finished(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = run_folder(tmp_path_factory.mktemp("runs") / "run", tiny, Settings(steps=2, lr=1e-2, warmup=0.0), small_rows(6))
    trained(folder)
    return folder


@pytest.fixture
def tried(scored: Workspace, finished: Path) -> Workspace:
    """A scored dataset, and a run whose model is there."""
    shutil.copytree(finished, scored.run("made-1"))
    try_resources.shelf.clear()
    return scored


def asked(app: AppTest) -> AppTest:
    """The page once all have answered."""
    checked(widget(app, "button", "Ask").click().run())
    app.session_state["_trial"][0].wait()
    return checked(app.run())


def question(app: AppTest, text: str) -> AppTest:
    return checked(widget(app, "text_area", "Question").set_value(text).run())


def test_base_and_run_answer_the_same_question(tried: Workspace, finished: Path, tiny: Path) -> None:
    from deft_core.lm import models

    app = asked(question(opened("try_model", **{"new-tokens": "9", "temperature": "0.7", "try-seed": "4"}), "What is blue?"))
    trial = app.session_state["_trial"][0]
    assert [(one.name, one.state) for one in trial.answers] == [(f"base: {tiny}", "done"), ("a run that was made", "done")]
    for answer, folder in zip(trial.answers, (tiny, finished / "model"), strict=True):
        messages = [{"role": "user", "content": "What is blue?"}]
        assert answer.text == "".join(stream(models.load("m", folder), messages, seed=4, temperature=0.7, new_tokens=9))
    assert not app.error and "a run that was made" in body_text(app)
    assert "in memory" in " ".join(one.value for one in app.caption)


def test_no_model_is_loaded_before_somebody_asks(tried: Workspace) -> None:
    app = question(opened("try_model"), "What is blue?")
    assert try_resources.shelf().held() == [] and not widget(app, "button", "Ask").disabled
    assert any("takes about 0.0 GB" in one.value and "none is loaded yet" in one.value for one in app.caption)
    asked(app)
    assert len(try_resources.shelf().held()) == 2


def test_while_models_are_loaded_nobody_says_that_none_is(tried: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "start", lambda trial: None)
    monkeypatch.setattr(Trial, "running", True)
    app = question(opened("try_model"), "What is blue?")
    checked(widget(app, "button", "Ask").click().run())
    assert not widget(app, "button", "Stop").disabled and not any("none is loaded yet" in one.value for one in app.caption)


def test_they_are_put_away_by_a_click(tried: Workspace) -> None:
    app = asked(question(opened("try_model"), "What is blue?"))
    checked(widget(app, "button", "Unload").click().run())
    assert try_resources.shelf().held() == []


def test_nothing_is_asked_without_a_question(tried: Workspace) -> None:
    app = opened("try_model")
    assert widget(app, "button", "Ask").disabled
    assert widget(question(app, "  "), "button", "Ask").disabled


def test_a_held_out_row_is_asked_with_its_earlier_turns_and_is_in_the_address(tried: Workspace) -> None:
    view = queries.open_view(tried, "demo", None)
    table = queries.light_table(view)
    row = table["id"][(table["split"] == "heldout") & (table["turns"] == 2)].iloc[0]
    prompt = [dict(message) for message in queries.texts(view, [row], ["prompt"])["prompt"][0]]
    app = opened("try_model")
    checked(widget(app, "selectbox", "Begin with").set_value(row).run())
    assert address(app, state.TRY_ROW) == [row]
    assert widget(app, "text_area", "Question").value == prompt[-1]["content"]
    assert list(asked(app).session_state["_trial"][0].question.messages) == prompt
    question(app, "Another one?")
    checked(widget(app, "text_area", "System (may be empty)").set_value("Be brief.").run())
    messages = list(asked(app).session_state["_trial"][0].question.messages)
    assert messages == [{"role": "system", "content": "Be brief."}, *prompt[:-1], {"role": "user", "content": "Another one?"}]
    again = opened("try_model", **{state.TRY_ROW: row})
    assert widget(again, "text_area", "Question").value == prompt[-1]["content"]


def test_a_row_that_is_not_there_is_said(tried: Workspace) -> None:
    app = opened("try_model", **{state.TRY_ROW: "gone"})
    assert "has no row gone" in app.warning[0].value and not app.error


def test_runs_are_picked_in_the_address_and_one_that_is_gone_is_said(tried: Workspace) -> None:
    app = opened("try_model", **{state.TRY: ["made-1", "other"]})
    assert "No trained model is left of other" in app.warning[0].value.replace("\\", "")
    checked(widget(app, "multiselect", "Beside the base model").set_value([]).run())
    assert address(app, state.TRY) == ["none"] and not app.warning
    asked(question(app, "What is blue?"))
    assert len(app.session_state["_trial"][0].answers) == 1


def test_what_does_not_fit_is_said_before_and_refused(tried: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = Shelf(lambda: 10_000.0)
    monkeypatch.setattr(try_resources, "shelf", lambda: tight)
    app = asked(question(opened("try_model"), "What is blue?"))
    assert all("GB of memory for" in one.value.replace("\\", "") for one in app.error) and len(app.error) == 2


def test_answers_are_text_whatever_they_say(tried: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from deft_core.lm import sampling

    monkeypatch.setattr(sampling, "stream", lambda *given, **settings: iter(["<script>alert(1)</script>", " ![x](http://x.invalid)"]))
    app = asked(question(opened("try_model"), "What is blue?"))
    assert "<script" not in body_text(app) and "&lt;script&gt;" in body_text(app)


@pytest.mark.parametrize("given", [{"temperature": "hot"}, {"try-seed": "-5"}, {"new-tokens": "1e9"}])
def test_settings_that_make_no_sense_are_the_usual_ones(tried: Workspace, given: dict[str, str]) -> None:
    assert not opened("try_model", **given).error
