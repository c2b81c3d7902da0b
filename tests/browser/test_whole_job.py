"""The whole job as a person does it, nothing faked: the demo, the default model, its scores, a tenth of the rows, a run and its random
control, watched through a reload and a server that is killed, stopped and resumed, compared, and asked a question."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from deft_core import selections
from deft_core.lm import default_model
from deft_core.queries import light_table, open_view
from deft_core.run_charts import PANELS
from deft_core.runs import groups, metrics, monitor, queue
from deft_core.runs.spec import Run
from deft_core.workspace import Workspace, read_json
from tests.browser.conftest import _Server
from tests.browser.test_dashboard import settled

pytestmark = pytest.mark.browser

STEPS, HELD_OUT, TOKENS, ROWS_A_STEP = 6, 6, 8, 2
MINUTES = 60_000  # in milliseconds, as Playwright counts
LONG = 10 * MINUTES  # for what a model has to do on a machine that may be busy


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    default_model.ensure(print)
    workspace = Workspace(tmp_path / "workspace")
    yield workspace
    for entry in queue.entries_of(workspace.runs).values():
        os.kill(entry["pid"], signal.SIGKILL)


def test_from_the_demo_to_an_answer_of_the_model(page: Page, workspace: Workspace) -> None:
    with _Server(workspace.root) as server:
        load_and_score(page, server.address)
        save_a_tenth(page, server.address, workspace)
        run, control = start(page, workspace)
        watch(page, workspace, run)
        page.reload()
        curves_are_those_of(page, workspace, run, at_least=2)
        expect(stop_button(page)).to_be_visible()
        pid = read_json(workspace.run(run.run_id) / "status.json")["pid"]
        server.process.kill()
        server.process.wait()
        before = figure(page, "time so far").inner_text()
    with _Server(workspace.root, server.port):
        expect(figure(page, "time so far")).not_to_have_text(before, timeout=LONG)  # without a reload
        expect(stop_button(page)).to_be_visible()
        curves_are_those_of(page, workspace, run, at_least=3)
        assert read_json(workspace.run(run.run_id) / "status.json")["pid"] == pid, "the server took nothing with it"
        resume(page, workspace, control, stop(page, workspace, control))
        for one in (run, control):
            finished_without_gap(workspace, one)
        compare(page, workspace, run, control)
        ask(page, run)


def load_and_score(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Load the demo").click()
    scoring = page.get_by_text(re.compile(r"scoring demo"))
    expect(scoring).to_be_visible()
    expect(scoring).to_have_count(0, timeout=LONG)
    expect(page.get_by_text("demo has 296 of 296 rows scored.")).to_be_visible()


def save_a_tenth(page: Page, address: str, workspace: Workspace) -> None:
    page.goto(f"{address}/curate?dataset=demo")
    settled(page)
    page.get_by_role("combobox", name=re.compile("Keep")).click()
    page.get_by_role("option", name="highest", exact=True).click()
    page.wait_for_url("**keep=highest*")
    share = page.get_by_role("spinbutton", name="share, %")
    share.fill("10")
    share.press("Enter")
    page.wait_for_url("**fraction=0.1*")
    settled(page)
    page.get_by_label("Save as a version of").fill("best")
    page.get_by_label("Save as a version of").press("Tab")
    settled(page)
    page.get_by_role("button", name=re.compile(r"^Save \d+ rows")).click()
    expect(page.get_by_text("Saved best@1")).to_be_visible()
    table = light_table(open_view(workspace, "demo"))
    table = table[table["split"] == "train"]
    highest = table.nlargest(len(selections.kept_rows(workspace, "best")), "reward_chosen")
    assert len(highest) == round(0.1 * len(table)) == 24
    assert set(selections.kept_rows(workspace, "best")["id"]) == set(highest["id"])


def number(page: Page, label: str, value: int, key: str = "") -> None:
    """Types a number; with the key it has in the address, waits until the page has taken it: other fields may follow it."""
    field = page.get_by_role("spinbutton", name=label, exact=True)
    field.fill(str(value))
    field.press("Enter")
    if key:
        page.wait_for_url(re.compile(rf"[?&]{key}={value}(&|$)"))
    still(page)
    expect(field).to_have_value(str(value))


def stop_button(page: Page) -> Locator:
    """The page's own; Streamlit has another while a script runs."""
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop", exact=True)


def still(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def option(page: Page, name: str) -> Locator:
    return page.get_by_role("radio", name=name, exact=True).or_(page.get_by_role("button", name=name, exact=True))


def figure(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=re.compile(rf"^{label}")).get_by_test_id("stMetricValue")


def start(page: Page, workspace: Workspace) -> tuple[Run, Run]:
    """From Curate through the form of the Train page; the run and its control."""
    page.get_by_role("button", name="Train on best@1").click()
    expect(page.get_by_role("heading", name="What will this run do, and does it fit?")).to_be_visible()
    option(page, "auto").click()  # guidance, which is off
    page.wait_for_url("**train-guidance=auto*")
    still(page)
    option(page, "steps").click()
    expect(page.get_by_role("spinbutton", name="Steps", exact=True)).to_have_value("18")  # three epochs of 24 rows, four a step
    number(page, "Steps", STEPS, "train-steps")
    number(page, "Evaluate every … steps", STEPS, "train-eval-steps")
    number(page, "Held-out prompts", HELD_OUT, "train-eval-rows")
    page.get_by_text("More", exact=True).click()
    number(page, "Rows a step", ROWS_A_STEP, "train-rows-per-step")
    number(page, "Tokens an answer", TOKENS, "train-new-tokens")
    expect(figure(page, "rows")).to_have_text("24")
    expect(figure(page, "steps")).to_have_text(str(STEPS))
    expect(page.get_by_text("2 evaluations on the way")).to_be_visible()
    expect(figure(page, "time, estimated")).to_have_text(re.compile(r"≈ \d"))
    expect(figure(page, "memory, estimated")).to_have_text(re.compile(r"≈ \d+\.\d GB"))
    expect(page.get_by_role("checkbox", name="a random control of the same size")).to_be_checked()
    page.get_by_role("button", name="Start 2 runs").click()
    expect(page.get_by_role("heading", name="Is it learning what I want?")).to_be_visible()
    [group] = {one.run.group for one in monitor.listing(workspace) if one.run}
    page.wait_for_url(f"**run={group}*")
    run, control = groups.members(workspace, group)
    assert (run.rows, run.heldout_rows, run.settings.steps, run.settings.guidance) == (24, HELD_OUT, STEPS, None)
    assert (control.role, control.rows, control.control_of) == ("random", 24, run.run_id)
    return run, control


def loss(page: Page) -> Locator:
    return page.get_by_role("img", name="Loss and its parts")


def watch(page: Page, workspace: Workspace, run: Run) -> None:
    """The curves move by themselves."""
    expect(loss(page)).to_have_attribute("data-last", "1", timeout=LONG)
    expect(loss(page)).to_have_attribute("data-last", "2", timeout=LONG)
    expect(page.get_by_role("button", name="random control: queued")).to_be_visible()


def curves_are_those_of(page: Page, workspace: Workspace, run: Run, at_least: int) -> None:
    """Every chart is there, and the last step of the file is drawn."""
    expect(loss(page)).to_have_attribute("data-last", re.compile(rf"^[{at_least}-{STEPS}]$"), timeout=LONG)
    for panel in PANELS:
        expect(page.get_by_role("img", name=panel.title)).to_be_visible()
    assert steps(workspace, run)[-1] >= int(loss(page).get_attribute("data-last") or 0)


def steps(workspace: Workspace, run: Run) -> list[int]:
    events, _ = metrics.read(workspace.run(run.run_id))
    return [event["step"] for event in metrics.standing(events) if event["event"] == "step"]


def stop(page: Page, workspace: Workspace, control: Run) -> int:
    """The control, whose turn comes once the run has finished; the step it got to."""
    expect(page.get_by_role("button", name="random control: running")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="random control: running").click()
    expect(page.get_by_role("heading", name=control.name, exact=True)).to_be_visible()
    still(page)  # the charts of the run before it are gone
    curves_are_those_of(page, workspace, control, at_least=1)
    stop_button(page).click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
    at = read_json(workspace.run(control.run_id) / "exit.json")["step"]
    assert 1 <= at < STEPS, "it was stopped on its way"
    assert steps(workspace, control) == list(range(1, at + 1))
    return int(at)


def resume(page: Page, workspace: Workspace, control: Run, at: int) -> None:
    """From its checkpoint to its end."""
    expect(page.get_by_text(f"Resume goes on from step {at}.")).to_be_visible()
    still(page)
    page.get_by_role("button", name="Resume").click()
    expect(stop_button(page)).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name=re.compile("^Compare with"))).to_be_visible(timeout=LONG)
    expect(loss(page)).to_have_attribute("data-last", str(STEPS))
    starts = [event["step"] for event in metrics.read(workspace.run(control.run_id))[0] if event["event"] == "start"]
    assert starts == [0, at]


def finished_without_gap(workspace: Workspace, run: Run) -> None:
    folder = workspace.run(run.run_id)
    assert monitor.status(folder) == "finished"
    assert steps(workspace, run) == list(range(1, STEPS + 1))
    assert (folder / "model" / "model.safetensors").is_file()


def compare(page: Page, workspace: Workspace, run: Run, control: Run) -> None:
    """Figures and paired differences of the table are those of the files."""
    run, control = groups.members(workspace, run.group)  # with the weight that the run measured
    resolved = read_json(workspace.run(run.run_id) / "resolved.json")["omega"]
    assert control.omega == resolved > 0
    page.get_by_role("button", name=re.compile(f"^{re.escape(run.name)}: finished")).click()
    expect(page.get_by_text("Resume goes on")).to_have_count(0)
    page.get_by_role("button", name="Compare with random control").click()
    table = page.locator("table.compared")
    expect(table).to_be_visible()
    names = table.locator("tr").first.locator("th span")
    expect(names).to_have_text([run.name, control.name, "base"])
    told = [json.loads((workspace.run(one.run_id) / "evaluation.json").read_text()) for one in (run, control)]
    rows = [pd.read_parquet(workspace.run(one.run_id) / "evaluation_rows.parquet").set_index("id") for one in (run, control)]
    assert len(rows[0]) == HELD_OUT and set(rows[0].index) == set(rows[1].index)
    for measure, scale, unit in (("accuracy implicit", 100, " %"), ("margin", 1, "")):
        name = measure.replace(" ", "_")
        values = [one["alignment"][name]["tuned"]["value"] for one in told]
        cells = table.locator("tr").filter(has=page.get_by_text(measure, exact=True)).locator("td")
        for place, value in enumerate(values):
            expect(cells.nth(place + 1)).to_contain_text(f"{scale * value:.1f}{unit}" if unit else f"{value:,.3g}")
        paired = (rows[1][f"{name}_tuned"] - rows[0][f"{name}_tuned"]).mean()
        words = "the same" if paired == 0 else f"{scale * paired:+.1f} points" if unit else f"{paired:+.3g}"
        expect(cells.nth(2)).to_contain_text(words)
    cost = told[0]["cost"]
    assert cost["scoring_seconds"] > 0 and cost["training_seconds"] > 0
    for title in ("Loss", "Accuracy, held out", "Margin, held out"):
        expect(page.get_by_role("img", name=title, exact=True)).to_be_visible()


def ask(page: Page, run: Run) -> None:
    """Base and trained model answer the same question."""
    page.get_by_role("button", name=re.compile(rf"^{re.escape(run.name)}, finished")).click()
    page.get_by_role("link", name="ask it something").click()
    expect(page.get_by_role("heading", name="What does the model say now?")).to_be_visible()
    number(page, "New tokens", 12)
    page.get_by_label("Question").fill("Name three colours.")
    page.get_by_label("Question").press("Tab")
    still(page)
    page.get_by_role("button", name="Ask").click()
    answers = page.locator(".st-key-try-answers")
    expect(answers.get_by_text(re.compile(r"^\d+ tokens?, .*tokens/s"))).to_have_count(2, timeout=LONG)
    expect(page.get_by_role("button", name="Stop Shortcut Esc")).to_be_disabled(timeout=LONG)
    told: Any = answers.inner_text()
    assert "base" in told and run.name in told
