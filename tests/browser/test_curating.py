"""Curating with a real browser and a real server: thresholds, decisions by keyboard, versions, export; and a server that is killed."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from deft_core import overrides, selections
from deft_core.queries import light_table, open_view
from deft_core.rule import Rule
from deft_core.selection import kept
from deft_core.workspace import Workspace
from tests.browser.conftest import _Server
from tests.browser.test_dashboard import ROWS, Serve, click_cell, drag, filters, settled, shown_rows
from tests.score_sets import write_demo

pytestmark = pytest.mark.browser


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    write_demo(workspace, ROWS)
    return workspace


def said(page: Page, words: str) -> None:
    expect(page.get_by_text(words).first).to_be_visible()


def query(page: Page, name: str) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get(name, [])


def quiet(page: Page) -> None:
    """The script has run to its end, and nothing is on the way to it."""
    page.wait_for_timeout(150)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def press(page: Page, key: str) -> None:
    settled(page)
    page.keyboard.press(key)


def move_threshold(page: Page, presses: int) -> None:
    for _ in range(presses):
        quiet(page)
        page.get_by_role("slider").first.press("ArrowRight")
    quiet(page)


def test_back_and_forward_show_the_rules_one_after_the_other(serve: Serve, page: Page, workspace: Workspace) -> None:
    five_percent = str(round(0.05 * (light_table(open_view(workspace, "demo"))["split"] == "train").sum()))
    lowest = "keep=lowest&by=reward_chosen"
    rules = [
        "keep=random&by=reward_chosen&fraction=0.05&seed=0",
        f"{lowest}&fraction=0.05",
        f"{lowest}&count={five_percent}",
        f"{lowest}&count=9",
    ]

    def shows(place: int) -> None:
        page.wait_for_url(f"**&{rules[place]}")
        settled(page)
        kept_rows = page.get_by_test_id("stMetric").filter(has_text=re.compile("^kept")).get_by_test_id("stMetricValue")
        expect(kept_rows).to_have_text("9" if place == 3 else five_percent)
        expect(page.get_by_role("combobox", name=re.compile("Keep"))).to_have_value("lowest" if place else "random")
        expect(page.get_by_test_id("stAlertContentError")).to_have_count(0)

    page.goto(f"{serve(workspace.root)}/curate?dataset=demo&scores=tiny&{rules[0]}")
    shows(0)
    page.get_by_role("combobox", name=re.compile("Keep")).click()
    page.get_by_role("option", name="lowest", exact=True).click()
    shows(1)
    page.get_by_role("radio", name="rows", exact=True).click()
    shows(2)
    rows = page.get_by_role("spinbutton", name="rows")
    rows.fill("9")
    rows.press("Enter")
    shows(3)
    for place, go in (
        (2, page.go_back),
        (1, page.go_back),
        (0, page.go_back),
        (1, page.go_forward),
        (2, page.go_forward),
        (3, page.go_forward),
    ):
        go()
        shows(place)


def test_from_two_brushed_charts_to_an_exported_selection(serve: Serve, browser: Browser, page: Page, workspace: Workspace) -> None:
    address = serve(workspace.root)
    page.goto(f"{address}/explore")
    inside = brush_two_charts(page, light_table(open_view(workspace, "demo")))
    row = read_flip_undo_and_keep(page, workspace, inside)
    page.goto(f"{address}/curate?dataset=demo&keep=highest")
    settled(page)
    rows = save_two_versions(page, workspace, row)
    export(page, workspace, rows)

    # a reload and the link in a new browser show the same
    link = page.url
    page.reload()
    settled(page)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(rows))
    other = browser.new_context().new_page()
    other.goto(link)
    settled(other)
    expect(other.get_by_test_id("stMetricValue").first).to_have_text(str(rows))
    other.goto(f"{address}/explore?dataset=demo&row={row}")
    said(other, "undo: keep 1 row")
    other.close()


def brush_two_charts(page: Page, table: pd.DataFrame) -> int:
    """Exact counts, both filters in the address."""
    drag(page, "histogram-reward_rejected", (0.3, 0.4), (0.9, 0.6))
    page.wait_for_url("**filter=between**")
    drag(page, "histogram-reward_margin", (0.2, 0.4), (0.8, 0.6))
    page.wait_for_url("**filter=between*filter=between**")
    settled(page)
    inside = pd.Series(True, table.index)
    for _, low, high, column in [one.split(" ") for one in filters(page)]:
        inside &= table[column].between(float(low), float(high))
    assert {one.split(" ")[3] for one in filters(page)} == {"reward_chosen", "reward_margin"}
    shown_rows(page, int(inside.sum()))
    return int(inside.sum())


def read_flip_undo_and_keep(page: Page, workspace: Workspace, inside: int) -> str:
    click_cell(page, 150, row=1)
    said(page, f"row 1 of {inside}")
    press(page, "j")
    said(page, f"row 2 of {inside}")
    [row] = query(page, "row")
    press(page, "f")
    said(page, "saved: flip 1 row")
    assert overrides.load(workspace, "demo").flipped == {row}
    press(page, "u")
    said(page, "saved: undo flip 1 row")
    assert overrides.load(workspace, "demo").flipped == frozenset()
    press(page, "a")
    said(page, "saved: keep 1 row")
    assert overrides.load(workspace, "demo").kept == {row}
    return row


def save_two_versions(page: Page, workspace: Workspace, by_hand: str) -> int:
    """What is kept is what the rule says, with the row kept by hand; the rows of the second version."""
    table = light_table(open_view(workspace, "demo"))
    first, second = (set(table["id"][kept(table, Rule("highest", fraction=share))]) | {by_hand} for share in (0.06, 0.065))
    move_threshold(page, 10)
    assert query(page, "fraction") == ["0.06"]
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(str(len(first)))
    page.get_by_label("Save as a version of").fill("best")
    page.get_by_label("Save as a version of").press("Tab")
    save(page, "best@1")
    assert set(selections.kept_rows(workspace, "best")["id"]) == first
    move_threshold(page, 5)
    save(page, "best@2")
    assert set(selections.kept_rows(workspace, "best")["id"]) == second
    page.get_by_role("radio", name="Versions").or_(page.get_by_role("button", name="Versions")).first.click()
    said(page, f"{len(first)} in both, 0 only in best@1, {len(second - first)} only in best@2")
    return len(second)


def save(page: Page, reference: str) -> None:
    quiet(page)
    page.get_by_role("button", name=re.compile(r"^Save \d+ rows")).click()
    said(page, f"Saved {reference}")


def export(page: Page, workspace: Workspace, rows: int) -> None:
    """In the background, and read back."""
    page.get_by_text("Export a saved version").click()
    page.get_by_role("button", name="Export", exact=True).click()
    said(page, "written and read back by")
    [file] = [path for path in workspace.exports.iterdir() if path.suffix == ".jsonl"]
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == rows
    assert set(json.loads(lines[0])) >= {"prompt", "chosen", "rejected"}


def test_no_decision_is_lost_when_the_server_is_killed(page: Page, workspace: Workspace) -> None:
    """200 decisions by keyboard; the server dies at eight random moments, also in the middle of one."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    kills = set(rng.sample(range(5, 195), 8))
    confirmed: list[tuple[str, str]] = []
    rows = light_table(open_view(workspace, "demo")).sort_values("reward_chosen", ascending=False)
    ids = list(rows["id"][rows["split"] == "train"])
    only = quote('is ["train"] split')
    place = 0
    while len(confirmed) < 200:
        before = overrides.load(workspace, "demo")
        place += ids[place] in before.kept | before.dropped  # written, but killed before it was said
        with _Server(workspace.root) as server:
            page.goto(f"{server.address}/explore?dataset=demo&chart=none&filter={only}&row={ids[place]}")
            said(page, f"row {place + 1} of {len(ids)}")
            settled(page)
            while len(confirmed) < 200:
                quiet(page)
                kind = rng.choice(["keep", "drop"])
                events = len(overrides.read(workspace, "demo"))
                page.keyboard.press({"keep": "a", "drop": "d"}[kind])
                if len(confirmed) in kills:
                    kills.remove(len(confirmed))
                    page.wait_for_timeout(rng.uniform(0, 120))
                    server.process.kill()
                    break
                expect(page.locator(f".st-key-decide-{kind} button[kind=primary]").first).to_be_visible()
                said(page, f"saved: {kind} 1 row")
                confirmed.append((ids[place], kind))
                assert len(overrides.read(workspace, "demo")) == events + 1
                place += 1
                page.keyboard.press("j")
                said(page, f"row {place + 1} of {len(ids)}")
    found = overrides.load(workspace, "demo")
    for row, kind in confirmed:
        assert row in (found.kept if kind == "keep" else found.dropped), "what was said to be saved is there"
