"""What a person sees when browsers, servers and people get in one another's way; docs/faults.md tells it. The processes and the tiny model
that they train are real."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect

from deft_core.runs import metrics, monitor, queue
from deft_core.workspace import Workspace
from tests.browser.conftest import _Server
from tests.runs.made import until
from tests.test_cli import deft

pytestmark = pytest.mark.browser

SECONDS = 300  # for real processes on a machine that may be busy
LONG = 1000 * SECONDS


@pytest.fixture
def best(small: Workspace, tiny: Path) -> Iterator[Workspace]:
    """Sixty rows scored by a tiny model, and a quarter of them selected."""
    deft(small, "score", "small", "--model", str(tiny))
    deft(small, "select", "small", "--as", "best", "--keep", "highest", "--fraction", "0.25")
    yield small
    for entry in queue.entries_of(small.runs).values():
        os.kill(entry["pid"], signal.SIGKILL)


def train(page: Page, server: _Server, steps: int) -> None:
    """The Train page, all of it drawn."""
    settings = {"steps": steps, "lr": 1e-3, "eval-steps": steps, "eval-rows": 4, "new-tokens": 4}
    page.goto(f"{server.address}/train?dataset=small&selection=best&" + urlencode({f"train-{name}": to for name, to in settings.items()}))
    expect(page.get_by_role("button", name="Start 2 runs")).to_be_enabled()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def watched(page: Page) -> None:
    expect(page.get_by_role("heading", name="Is it learning what I want?")).to_be_visible(timeout=LONG)


def test_runs_outlive_the_browser_and_the_server_that_started_them(page: Page, browser: Browser, best: Workspace) -> None:
    with _Server(best.root) as server:
        starting = browser.new_page()
        train(starting, server, steps=6)
        starting.get_by_role("button", name="Start 2 runs").click()
        watched(starting)
        starting.close()
        assert len(best.run_ids()) == 2
        assert {monitor.status(best.run(run_id)) for run_id in best.run_ids()} <= set(monitor.LIVE)
        server.process.kill()
        server.process.wait()
    until(lambda: {monitor.status(best.run(run_id)) for run_id in best.run_ids()} == {"finished"}, SECONDS)
    for run_id in best.run_ids():
        steps = [event["step"] for event in metrics.read(best.run(run_id))[0] if event["event"] == "step"]
        assert steps == [1, 2, 3, 4, 5, 6]
    [group] = {one.run.group for one in monitor.listing(best) if one.run}
    with _Server(best.root) as server:
        page.goto(f"{server.address}/runs?run={group}")
        expect(page.get_by_role("button", name="Compare with random control")).to_be_visible()
        expect(page.get_by_role("img", name="Loss and its parts")).to_have_attribute("data-last", "6")


def test_two_servers_on_one_workspace_and_two_people_who_press_start_at_once(page: Page, browser: Browser, best: Workspace) -> None:
    with _Server(best.root) as first, _Server(best.root) as second:
        other = browser.new_page()
        for one, server in ((page, first), (other, second)):
            train(one, server, steps=20_000)
        for one in (page, other):
            one.get_by_role("button", name="Start 2 runs").click()
        for one in (page, other):
            watched(one)
        listed = [one.run for one in monitor.listing(best) if one.run]
        assert sorted(run.role for run in listed) == ["random", "random", "run", "run"]
        assert len({run.group for run in listed}) == 2
        until(lambda: [monitor.status(best.run(run.run_id)) for run in listed].count("running") == 1, SECONDS)
        assert len(queue.entries_of(best.runs)) == 4
        [running] = [run.run_id for run in listed if monitor.status(best.run(run.run_id)) == "running"]

        # both see the same run; one stops it, and the other sees that without a click
        page.goto(f"{first.address}/runs?run={running}")
        other.goto(f"{second.address}/runs?run={running}")
        for one in (page, other):
            expect(one.get_by_role("img", name="Loss and its parts")).to_be_visible(timeout=LONG)
        other.get_by_role("button", name="Stop", exact=True).click()
        for one in (page, other):
            expect(one.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
        assert monitor.status(best.run(running)) == "stopped"
        until(lambda: [monitor.status(best.run(run.run_id)) for run in listed].count("running") == 1, SECONDS)
        other.close()
