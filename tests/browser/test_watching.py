"""A run is watched in a real browser: its curves move, a person's zoom stays, and a process that is gone does not look alive."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Locator, Page, expect

from deft_core.runs import metrics
from deft_core.workspace import Workspace, read_json, write_json
from tests.browser.conftest import _Server

pytestmark = pytest.mark.browser

OF = 400


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return import_module("generated_runs")


def loss(page: Page) -> Locator:
    """The canvas of the loss; its data attributes say what is drawn."""
    return page.get_by_role("img", name="Loss and its parts")


def drawn(canvas: Locator) -> tuple[float, float, int]:
    """First and last step on the axis, and the last step of the line."""
    low, high, last = (canvas.get_attribute(f"data-{name}") for name in ("low", "high", "last"))
    return float(low or 0), float(high or 0), int(last or 0)


def test_curves_move_and_a_zoom_stays(page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType) -> None:
    folder = runs.generate_run(Workspace(tmp_path), "live", 200, of=OF, evaluations=8)
    runs.live(folder, 200, OF)
    page.goto(f"{serve(tmp_path)}/runs?run=live")
    canvas = loss(page)
    expect(canvas).to_have_attribute("data-last", "200")
    assert drawn(canvas)[:2] == (0, 200)
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    low, high, _ = drawn(canvas)
    assert 20 < low < 80 < high < 140
    others = page.get_by_role("img", name="Speed and memory")
    assert drawn(others)[:2] == (low, high)  # all charts of a run are zoomed together
    for last in (210, 230):
        runs.append_steps(folder, last - 10, last, OF, 50)
        runs.live(folder, last, OF)
        expect(canvas).to_have_attribute("data-last", str(last))
        assert drawn(canvas)[:2] == (low, high)
    canvas.dblclick()
    assert drawn(canvas) == (0, 230, 230)


def test_what_is_read_under_the_pointer_stays_while_numbers_come(
    page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType
) -> None:
    folder = runs.generate_run(Workspace(tmp_path), "live", 200, of=OF)
    runs.live(folder, 200, OF)
    page.goto(f"{serve(tmp_path)}/runs?run=live")
    canvas = loss(page)
    expect(canvas).to_have_attribute("data-last", "200")
    canvas.hover()
    read = page.locator(".tip").get_by_text(re.compile(r"^step \d+$"))
    expect(read).to_be_visible()
    runs.append_steps(folder, 200, 210, OF, 50)
    runs.live(folder, 210, OF)
    expect(canvas).to_have_attribute("data-last", "210")
    expect(read).to_be_visible()


def test_curves_stay_when_the_theme_changes(page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType) -> None:
    runs.finish(runs.generate_run(Workspace(tmp_path), "done", 20), 20)
    page.emulate_media(color_scheme="light")
    page.goto(f"{serve(tmp_path)}/runs?run=done")
    expect(loss(page)).to_have_attribute("data-last", "20")
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    loss(page).hover()
    expect(page.locator(".tip").get_by_text(re.compile(r"^step \d+$"))).to_be_visible()
    expect(page.get_by_text("BidiComponent Error")).to_have_count(0)


def test_a_small_number_is_said_in_few_characters(page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType) -> None:
    folder = runs.generate_run(Workspace(tmp_path), "small", 0, of=2)
    for step in (1, 2):
        metrics.append(folder, "step", step, loss=0.0000015)
    runs.finish(folder, 2)
    page.goto(f"{serve(tmp_path)}/runs?run=small")
    loss(page).hover()
    expect(page.locator(".tip").get_by_text("1.5e-6")).to_be_visible()


def test_a_process_that_is_gone_is_lost_without_a_reload(
    page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType
) -> None:
    folder = runs.generate_run(Workspace(tmp_path), "live", 20, of=OF)
    runs.live(folder, 20, OF)
    page.goto(f"{serve(tmp_path)}/runs?run=live")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    write_json(folder / "status.json", read_json(folder / "status.json") | {"pid": 2**22 + 1})
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_text("its process is gone without a word")).to_be_visible()
    expect(loss(page)).to_be_visible()


def test_a_click_between_two_servers_leaves_no_empty_page(page: Page, tmp_path: Path, runs: ModuleType) -> None:
    first = runs.generate_run(Workspace(tmp_path), "first", 20, of=OF, name="the first")
    other = runs.generate_run(Workspace(tmp_path), "other", 20, of=OF, seed=1, name="the other", group="first", role="unguided")
    for folder in (first, other):
        runs.live(folder, 20, OF)
    with _Server(tmp_path) as server:
        page.goto(f"{server.address}/runs?run=first")
        expect(loss(page)).to_have_attribute("data-last", "20")
        server.process.kill()
        server.process.wait()
    with _Server(tmp_path, server.port):
        page.get_by_role("button", name="without guidance: running").click()
        for folder in (first, other):
            runs.append_steps(folder, 20, 25, OF, 50)
        expect(loss(page)).to_have_attribute("data-last", "25")
        expect(page.get_by_role("heading", name="Is it learning what I want?")).to_be_visible()


def test_what_is_typed_and_ticked_outlives_refreshes(page: Page, serve: Callable[[Path], str], tmp_path: Path, runs: ModuleType) -> None:
    for number in range(2):
        runs.finish(runs.generate_run(Workspace(tmp_path), f"done-{number}", 5, seed=number), 5)
    folder = runs.generate_run(Workspace(tmp_path), "live", 20, of=OF, seed=9)
    runs.live(folder, 20, OF)
    page.goto(f"{serve(tmp_path)}/runs")
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    place = table.bounding_box()
    assert place
    for row, label in ((2, "Compare 1 run"), (3, "Compare 2 runs")):  # two ticks, seconds apart: the table is drawn again in between
        page.mouse.click(place["x"] + 16, place["y"] + 35 * row + 17)
        expect(page.get_by_role("button", name=label)).to_be_visible()
    page.mouse.click(place["x"] + 100, place["y"] + 35 + 17)
    page.get_by_role("button", name="Name, tags, note").click()
    page.get_by_role("textbox", name="Note").fill("half a sent")
    runs.append_steps(folder, 20, 25, OF, 50)
    runs.live(folder, 25, OF)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text("25 / 400")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half a sent")
