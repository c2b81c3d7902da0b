"""The main job with nothing faked: an empty workspace, the demo, the default model, its scorer, and the rewards on screen."""

import re
import signal
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from deft_core.lm import default_model
from deft_core.status import read_status
from deft_core.workspace import Workspace

SCORER_MILLISECONDS = 180_000  # loading the model, counting tokens, checking the layout and the first small parts


@pytest.mark.browser
def test_from_an_empty_workspace_to_a_pair_read_token_by_token(serve, page: Page, tmp_path: Path) -> None:
    default_model.ensure(print)
    workspace = Workspace(tmp_path / "workspace")
    address = serve(workspace.root)
    page.goto(address)
    page.get_by_role("button", name="Load the demo").click()
    page.get_by_role("button", name="See its rewards").click()
    expect(page.get_by_text("How are the rewards distributed?")).to_be_visible()

    # the histogram fills while the scorer is at work
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=SCORER_MILLISECONDS)
    scored = page.get_by_text(re.compile(r"^[\d,]+ scored$")).first
    expect(scored).to_be_visible()
    first = int(scored.inner_text().split()[0])
    assert 0 < first < 296
    page.wait_for_function(
        "before => [...document.querySelectorAll('*')].some(e => /^\\d+ scored$/.test(e.textContent) && parseInt(e.textContent) > before)",
        arg=first,
        timeout=SCORER_MILLISECONDS,
    )
    expect(page.get_by_text(re.compile(r"scoring demo \d+%.* left"))).to_be_visible()

    # stop it where it is: what is there stays and is counted exactly
    score_id = workspace.score_ids("demo")[0]
    status = read_status(workspace.score_set("demo", score_id))
    psutil.Process(status["pid"]).send_signal(signal.SIGTERM)
    psutil.Process(status["pid"]).wait()
    page.goto(f"{address}/explore?dataset=demo")  # a cold deep link in a session of its own
    expect(page.get_by_text("How are the rewards distributed?")).to_be_visible()
    page.locator(".js-plotly-plot").first.wait_for()
    assert len(page.locator(".js-plotly-plot").all()) >= 2
