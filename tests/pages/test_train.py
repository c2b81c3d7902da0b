"""The Train page: settings in the address, what the run will do, and its start."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from deft_core import selecting, selections
from deft_core.rule import Rule
from deft_core.runs import groups, prepare
from deft_core.runs.device import Device
from deft_core.runs.spec import Settings, read_run
from deft_core.workspace import Workspace, read_json, write_json
from pages.shared import state, train_form, train_resources
from tests.pages.driving import ROOT, address, body_text, checked, metric, opened, widget
from tests.score_sets import write_demo

SIZE = {"parameters": 35_040, "layers": 2}


@pytest.fixture
def best(workspace: Workspace) -> Workspace:
    """200 scored rows and two versions of a selection of them: 16 rows, and 8."""
    folder = write_demo(workspace, 200)
    write_json(folder / "score.json", read_json(folder / "score.json") | SIZE)
    for count in (16, 8):
        save(workspace, "best", Rule("highest", count=count))
    return workspace


def save(workspace: Workspace, name: str, rule: Rule) -> None:
    selections.save(workspace, name, selecting.draft(workspace, "demo", rule))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs that were started, of which none begins."""
    order: list[str] = []
    start: Callable[..., Any] = groups.start_group
    monkeypatch.setattr(groups, "start_group", lambda *given, **more: start(*given, **more, start=lambda _, run_id: order.append(run_id)))
    return order


def said(app: AppTest, kind: str) -> str:
    return " ".join(one.value for one in getattr(app, kind)).replace("\\", "")


def code(app: AppTest) -> list[str]:
    return [one.value for one in app.code]


def start_button(app: AppTest) -> Any:
    return next(one for one in app.button if one.key and one.key.startswith("train-start"))


def start(app: AppTest) -> None:
    checked(start_button(app).click().run())


# which version


def test_the_newest_version_is_offered_first(best: Workspace) -> None:
    app = opened("train")
    assert widget(app, "selectbox", "Train on").value == "best@2" and metric(app, "rows") == "8"
    checked(widget(app, "selectbox", "Train on").set_value("best@1").run())
    assert metric(app, "rows") == "16" and (address(app, "selection"), address(app, "train-version")) == (["best"], ["1"])
    assert metric(opened("train", selection="best", **{"train-version": "1"}), "rows") == "16"


def test_a_version_that_is_gone_is_said_and_another_can_be_chosen(best: Workspace) -> None:
    app = opened("train", selection="best", **{"train-version": "9"})
    assert "no best@9 (there: best@2, best@1)" in said(app, "error")
    checked(widget(app, "selectbox", "Train on").set_value("best@2").run())
    assert not app.error and metric(app, "rows") == "8"


def test_a_selection_whose_model_or_scores_have_changed_leads_to_curate(best: Workspace) -> None:
    about = best.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"tokenizer_fingerprint": "one"})
    save(best, "other", Rule("highest", count=4))
    write_json(about, read_json(about) | {"tokenizer_fingerprint": "another"})
    app = opened("train", selection="other")
    assert "the same tokenizer as when other@1 was saved" in said(app, "error")
    assert "See the selection on Curate" in [one.label for one in app.button]
    write_json(about, read_json(about) | {"tokenizer_fingerprint": "one", "model": "/nowhere/model"})
    assert "no such folder" in said(opened("train", selection="other"), "error")


# the settings


def test_settings_stand_in_the_address_and_a_link_brings_them_back(best: Workspace) -> None:
    app = opened("train")
    checked(widget(app, "selectbox", "Method").set_value("simpo").run())
    checked(widget(app, "selectbox", "What learns").set_value(8).run())
    checked(widget(app, "number_input", "Held-out prompts").set_value(10).run())
    checked(widget(app, "number_input", "Seed").set_value(3).run())
    given = {name: address(app, f"train-{name}") for name in ("method", "lora-rank", "eval-rows", "seed", "lr", "beta")}
    assert given == {"method": ["simpo"], "lora-rank": ["8"], "eval-rows": ["10"], "seed": ["3"], "lr": [], "beta": []}
    assert widget(app, "number_input", "Learning rate").value == 1e-4  # LoRA's own, until somebody chooses another
    again = opened("train", **{name: app.query_params[name] for name in app.query_params})
    assert code(again) == code(app) and "--lora-rank 8" in code(app)[0]


def test_guidance_is_off_automatic_or_a_weight(best: Workspace) -> None:
    app = opened("train")
    assert "--guidance 0 " in code(app)[0] and "nothing added" in said(app, "caption")
    assert widget(app, "checkbox", "the same without guidance").disabled
    mode = next(one for one in app.button_group if one.key.startswith("widget-train-guidance-mode"))
    checked(mode.set_value("auto").run())
    assert "--guidance auto" in code(app)[0] and "a tenth as strongly" in said(app, "caption")
    mode = next(one for one in app.button_group if one.key.startswith("widget-train-guidance-mode"))
    checked(mode.set_value("weight").run())
    checked(widget(app, "number_input", "Weight").set_value(0.25).run())
    assert "--guidance 0.25" in code(app)[0] and address(app, "train-guidance") == ["0.25"]
    mode = next(one for one in app.button_group if one.key.startswith("widget-train-guidance-mode"))
    checked(mode.set_value("off").run())
    assert "--guidance 0 " in code(app)[0] and widget(app, "checkbox", "the same without guidance").disabled


def test_epochs_become_steps_and_back(best: Workspace) -> None:
    app = opened("train")
    assert (metric(app, "steps"), widget(app, "number_input", "Epochs").value) == ("6", 3.0)  # 8 rows are 2 steps; 3 epochs at the most
    unit = next(one for one in app.button_group if one.key.startswith("widget-train-unit"))
    checked(unit.set_value("steps").run())
    checked(widget(app, "number_input", "Steps").set_value(40).run())
    assert metric(app, "steps") == "40" and "--steps 40" in code(app)[0]
    unit = next(one for one in app.button_group if one.key.startswith("widget-train-unit"))
    checked(unit.set_value("epochs").run())
    assert widget(app, "number_input", "Epochs").value == 20.0 and metric(app, "steps") == "40"


@pytest.mark.parametrize(
    ("name", "text"), [("lr", "fast"), ("method", "ppo"), ("lora-rank", "-1"), ("gradient-checkpointing", "yes"), ("seed", str(2**53))]
)
def test_settings_that_cannot_be_are_explained_with_a_way_out(best: Workspace, name: str, text: str) -> None:
    app = opened("train", **{f"train-{name}": text})
    assert text in said(app, "error")
    checked(widget(app, "button", "Start with the usual settings").click().run())
    assert not app.error and metric(app, "rows") == "8"


def test_settings_below_what_the_buttons_go_down_to_are_shown(best: Workspace) -> None:
    app = opened("train", **{"train-epochs": "0.005", "train-lr": "1e-13", "train-seed": str(2**53 - 1)})
    assert [widget(app, "number_input", name).value for name in ("Epochs", "Learning rate", "Seed")] == [0.005, 1e-13, 2**53 - 1]


def test_a_runs_link_brings_a_learning_rate_that_the_page_would_not_offer(best: Workspace) -> None:
    app = opened("train", **train_form.link(prepare.prepare(best, "best@1", Settings())))
    assert widget(app, "number_input", "Learning rate").value == 5e-6  # of the command; the page has 2e-5 for a model this small
    checked(widget(app, "number_input", "Beta").set_value(0.2).run())
    assert widget(app, "number_input", "Learning rate").value == 5e-6


def test_a_runs_link_opens_its_settings(best: Workspace) -> None:
    settings = Settings(
        "ipo", guidance=0.5, steps=9, lr=1e-3, beta=0.3, lora_rank=4, eval_steps=2, seed=7, gradient_checkpointing=True, warmup=0.0
    )
    run = prepare.prepare(best, "best@1", settings)
    app = opened("train", **train_form.link(run))
    assert widget(app, "selectbox", "Train on").value == "best@1"
    assert "warmup: 0.0" in [one.value for one in app.text]
    given: dict[str, Any] = {}
    exec(code(app)[1].rpartition("\n")[0], given)  # without the line that starts it
    assert given["settings"] == settings


# what it will do


def test_figures_follow_the_settings(best: Workspace) -> None:
    app = opened("train")
    assert metric(app, "time, estimated").startswith("≈ ") and metric(app, "memory, estimated").startswith("≈ 1.0 GB")
    text = body_text(app)
    for part in ("weights", "gradients", "optimiser (two moments)", "activations of the largest forward", "logits of its answers"):
        assert part in text
    assert "8 of 160 training rows are trained on; left out: 152 not kept by the rule." in said(app, "caption")
    assert "6 steps in all: that hardly moves a model" in said(app, "warning")


def test_what_does_not_fit_is_red_and_cannot_be_started(best: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_resources, "machine", lambda: Device("cpu", "this machine", 0.1e9, 0.1e9))
    app = opened("train")
    assert "this machine has 0.1 GB" in said(app, "error")
    assert start_button(app).disabled


def test_lengths_are_drawn(best: Workspace) -> None:
    (spec,) = [json.loads(one.proto.spec) for one in opened("train").get("plotly_chart")]
    assert spec["layout"]["xaxis"]["title"]["text"] == "tokens, prompt and longest answer"


def test_a_score_set_that_does_not_tell_the_models_size(best: Workspace) -> None:
    about = best.score_set("demo", "tiny") / "score.json"
    write_json(about, {key: value for key, value in read_json(about).items() if key not in SIZE})
    app = opened("train")
    assert "does not tell the model's size" in said(app, "caption") and not app.error
    assert not start_button(app).disabled


# the start


def test_a_control_runs_beside_it_unless_somebody_says_no(best: Workspace, started: list[str]) -> None:
    app = opened("train")
    start(app)
    assert [read_run(best.run(run_id)).role for run_id in started] == ["run", "random"]
    assert read_run(best.run(started[0])).settings == Settings(epochs=3.0, lr=2e-5)
    app = opened("train")
    checked(widget(app, "checkbox", "a random control of the same size").uncheck().run())
    assert address(app, "also") == ["none"]
    start(app)
    assert [read_run(best.run(run_id)).role for run_id in started[2:]] == ["run"]


def test_random_rows_have_another_draw_beside_them_only_where_somebody_asks(best: Workspace, started: list[str]) -> None:
    save(best, "chance", Rule("random", count=8))
    app = opened("train", selection="chance")
    box = widget(app, "checkbox", "a random control of the same size")
    assert not box.value and "another draw" in box.proto.help
    start(app)
    app = opened("train", selection="chance")
    checked(widget(app, "checkbox", "a random control of the same size").check().run())
    start(app)
    assert [read_run(best.run(run_id)).role for run_id in started] == ["run", "run", "random"]
    ids = [set(pd.read_parquet(best.run(run_id) / "input.parquet")["id"]) for run_id in started]
    assert ids[0] == ids[1] != ids[2]


def test_a_selection_of_all_rows_has_nothing_else_to_be_drawn_beside_it(best: Workspace, started: list[str]) -> None:
    save(best, "all", Rule("highest", fraction=1.0))
    app = opened("train", selection="all", also=["random", "full"])
    boxes = [widget(app, "checkbox", words) for words in ("a random control of the same size", "the full set")]
    assert [(box.value, box.disabled) for box in boxes] == [(False, True)] * 2
    assert all("would be the same rows" in box.proto.help for box in boxes)
    start(app)
    assert [(read_run(best.run(run_id)).role, read_run(best.run(run_id)).rows) for run_id in started] == [("run", 160)]


def test_all_of_a_group_with_a_name(best: Workspace, started: list[str]) -> None:
    app = opened("train", also=["random", "full", "unguided"], **{"train-guidance": "auto"})
    assert "The full set: 160 rows, 120 steps" in said(app, "caption") and "4 runs in all" in said(app, "caption")
    checked(widget(app, "text_input", "Name").set_value("mine").run())
    assert [f"--control {role}" in code(app)[0] for role in ("random", "full", "unguided")] == [True] * 3
    start(app)
    runs = [read_run(best.run(run_id)) for run_id in started]
    assert [run.role for run in runs] == ["run", "random", "full", "unguided"] and runs[0].name == "mine"


def test_a_second_click_starts_nothing(best: Workspace, started: list[str]) -> None:
    app = opened("train")
    start_button(app).click()
    sent = app._tree.get_widget_states()
    for _ in range(2):  # a slow browser still shows the button
        checked(app._run(sent))
    assert len(started) == 2


def test_a_refusal_while_it_is_prepared_is_said(best: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(groups, "prepare_control", full)
    app = opened("train")
    start(app)
    assert "No space left on device" in said(app, "error") and not best.run_ids()


# ways to it


def test_curate_leads_to_training_once_something_is_saved(best: Workspace) -> None:
    assert next(one for one in opened("curate").button if one.key == "train-on-this").disabled
    button = next(one for one in opened("curate", selection="best").button if one.key == "train-on-this")
    assert not button.disabled and button.label.replace("\\", "") == "Train on best@2"


def test_overview_lists_selections_and_runs_and_offers_the_next_step(best: Workspace) -> None:
    app = opened("overview")
    assert app.button[0].label.replace("\\", "") == "Train on best@2"
    assert app.dataframe[2].value["version"].to_list() == ["best@2", "best@1"]
    run = prepare.prepare(best, "best", Settings(), name="first")
    app = opened("overview")
    assert app.button[0].label == "See the run"
    assert app.dataframe[2].value["runs"].to_list() == [1, 0]
    line = app.dataframe[3].value.iloc[0]
    assert (line["run"], line["state"], line["trained on"], line["rows"]) == ("first", "stopped", "best@2", run.rows)


def test_every_setting_has_a_key_of_its_own() -> None:
    assert len(set(state.TRAIN.values()) | set(state.RULE)) == len(state.TRAIN) + len(state.RULE)
    assert (ROOT / "pages" / "train.py").is_file()


def test_a_browser_that_missed_a_run_shows_what_is_set(best: Workspace) -> None:
    """It hears nothing of what the session holds already: widgets say by themselves what is chosen."""
    app = opened("train", also="full", **{"train-method": "ipo", "train-epochs": "2"})
    shown = [widget(app, "checkbox", words).proto.default for words in ("a random control of the same size", "the full set")]
    assert shown == [False, True]
    method, epochs = widget(app, "selectbox", "Method").proto, widget(app, "number_input", "Epochs").proto
    assert (method.options[method.default], epochs.default) == ("IPO", 2.0)
    assert not any(one.proto.set_value for kind in ("checkbox", "selectbox", "number_input") for one in getattr(app, kind))
