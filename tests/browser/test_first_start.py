"""The main job with nothing faked: an empty workspace, the demo, the default model, its scorer, and the rewards on screen."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from deft_core.filters import Between, from_text
from deft_core.lm import default_model
from deft_core.queries import light_table, open_view
from deft_core.status import read_status
from deft_core.workspace import Workspace
from tests.browser.test_dashboard import click_cell, drag, filters, settled, shown_rows

SCORER_MILLISECONDS = 240_000  # loading the model, counting tokens, checking the layout, the first small parts
# the largest number in front of the word "scored" on the page
SCORED = r"""() => Math.max(0, ...[...document.body.innerText.matchAll(/^(\d+) scored$/gm)].map(found => parseInt(found[1])))"""


@pytest.mark.browser
def test_from_an_empty_workspace_to_a_pair_read_token_by_token(serve: Callable[[Path], str], page: Page, tmp_path: Path) -> None:
    default_model.ensure(print)
    workspace = Workspace(tmp_path / "workspace")
    address = serve(workspace.root)
    page.goto(address)
    page.get_by_role("button", name="Load the demo").click()
    page.get_by_role("button", name="See its rewards").click()
    expect(page.get_by_role("heading", name="How are the rewards distributed?")).to_be_visible()

    # the histograms fill while the scorer is at work, and rate and time left are on screen
    page.wait_for_function(f"({SCORED})() > 0", timeout=SCORER_MILLISECONDS)
    first = page.evaluate(SCORED)
    page.wait_for_function(f"({SCORED})() > {first}", timeout=SCORER_MILLISECONDS)
    assert 0 < first < 296
    expect(page.get_by_text(re.compile(r"scoring demo \d+ ?%, .* left"))).to_be_visible()
    expect(page.get_by_text("rows/s")).to_be_visible()

    # a scorer that is stopped leaves what it has; a box on it is exact; a row opens
    score_id = workspace.score_ids("demo")[0]
    status = read_status(workspace.score_set("demo", score_id))
    scorer = psutil.Process(status["pid"])
    scorer.send_signal(signal.SIGTERM)
    expect(page.get_by_text("rows/s")).to_have_count(0)
    drag(page, "histogram-reward_rejected", (0.3, 0.4), (0.8, 0.6))
    page.wait_for_url("**filter=between**")
    box = from_text(filters(page)[0])
    assert isinstance(box, Between)
    inside = light_table(open_view(workspace, "demo"))["reward_chosen"].between(box.low, box.high).sum()
    assert inside > 0
    shown_rows(page, int(inside))
    expect(page.get_by_text(f"{inside} of 296 rows")).to_be_visible()
    settled(page)
    click_cell(page, 150, row=1)
    expect(page.get_by_text(f"row 1 of {inside}")).to_be_visible()
    expect(page.locator("[title*=contribution]").first).to_be_visible()

    # a cold deep link in a session of its own shows the same rows
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    shown_rows(page, int(inside))
