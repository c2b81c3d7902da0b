"""A real server over a temporary workspace, and a real Chromium; a failed test leaves a screenshot in tests/browser/failures/."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (requirements-dev.txt)")
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
FAILURES = Path(__file__).parent / "failures"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WAIT_MILLISECONDS = 30_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Starts a dashboard over a workspace and gives its address."""
    with ExitStack() as stack:
        yield lambda workspace: stack.enter_context(_Server(workspace)).address


class _Server:
    def __init__(self, workspace: Path, port: int = 0) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = port or free.getsockname()[1]
        self.port, self.address = port, f"http://localhost:{port}"
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", str(port)]
        command += ["--server.fileWatcherType", "none"]
        environment = os.environ | {"DEFT_WORKSPACE": str(workspace)}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> _Server:
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5):
                    return self
            except OSError:
                continue
        raise RuntimeError(f"streamlit ended with {self.process.returncode}")

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 1800})
    page.set_default_timeout(WAIT_MILLISECONDS)
    expect.set_options(timeout=WAIT_MILLISECONDS)
    elsewhere: list[str] = []
    errors: list[str] = []  # of scripts in the page: one that React does not catch leaves it white
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if urlsplit(request.url).hostname in (None, "localhost") else elsewhere.append(request.url))
    yield page
    if getattr(request.node, "failed", False):
        FAILURES.mkdir(exist_ok=True)
        page.screenshot(path=FAILURES / f"{request.node.name}.png", full_page=True)
    page.close()
    assert not errors
    assert not elsewhere, "everything stays on this machine"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed  # type: ignore[attr-defined]
    return report
