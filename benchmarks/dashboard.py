"""How fast the dashboard answers: brushing Explore and moving Curate's threshold, on a real server.

    python benchmarks/dashboard.py [--quick] [--json] [--rows N] [--light]

The server runs in a process of its own over a generated workspace. First a real browser draws boxes and moves the slider, and what it
sends over its web socket is recorded; then the same messages are sent to another server by a client that draws nothing, since a
browser that paints in software takes both cores of a small machine. Server side is from that client's message to the server's word that
the script has finished; bytes are all that came back in between. First paint is from opening the address in a browser to the page's
heading and its figures, first chart to a drawn histogram: medians of five later openings by a browser that has been here before, and of
five by browsers that have not, whose cache is empty; and the first session of a fresh server, which reads the data. First contentful paint
is the browser's own timing of the first thing it painted, whatever that is. The peer does the same work in plain pandas on a table it holds
in memory: filter, six histograms, counts per category, means, the first 25 rows in order; no page, no browser. Both take turns. --light:
rows without texts, for ten million.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import websockets
from generated import generate
from playwright.sync_api import Page, Playwright, sync_playwright
from profiling import peak_memory_mb
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from deft_core.workspace import Workspace  # noqa: E402  the benchmarks run from a checkout

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update"]
SCREEN: Any = {"width": 1440, "height": 1800}
LOOKING_SECONDS = 10.0  # before somebody moves anything on a page just opened: the data is read, a thread reads the last turns
QUIET_SECONDS = 0.3  # after a script has finished: nothing more is on the way
FIRST = 3  # opening the page, and two interactions that fill caches every later one uses
DRAWN = ["reward_chosen", "reward_rejected", "reward_margin", "turns", "tokens_chosen", "reward_mean"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 rows, 5 interactions of a kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--light", action="store_true", help="rows without texts")
    parser.add_argument("--interactions", type=int, default=20)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.interactions = 20_000, 5
    with tempfile.TemporaryDirectory() as folder:
        generate(Workspace(Path(folder)), "big", options.rows, texts=not options.light)
        values = measure(Path(folder), options)
    for key, value in values.items():
        print(f"{key:<36}{value:,}" if isinstance(value, int | float) else f"{key:<36}{value}")
    if options.json:
        print(json.dumps(values))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    table = peer_table(folder)
    acts = {"explore": draw_box, "curate": move_threshold}
    recorded, measured = {}, {}
    with server(folder) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        paints = [first_paint(browser.new_page(viewport=SCREEN), f"{address}/explore") for _ in range(6)]
        new = np.median(paints[1:], axis=0)
        later = np.median(returning(playwright, f"{address}/explore"), axis=0)
        for page, act in acts.items():
            recorded[page] = record(browser.new_page(viewport=SCREEN), f"{address}/{page}", act, options.interactions)
        browser.close()
    with server(folder) as (address, pid):  # another one, which has none of the answers in a cache
        for frames, _ in recorded.values():  # Streamlit knows the pages once one has been opened, as it did when this was recorded
            asyncio.run(replay(address, frames[:1], table))
        for page, (frames, _) in recorded.items():
            measured[page] = asyncio.run(replay(address, frames, table))
        memory = peak_memory_mb(pid)
    both = [*measured["explore"], *measured["curate"]]
    return {
        "rows": options.rows,
        "threshold_p95_ms": percentile([one.seconds for one in measured["curate"]], 95),
        "brush_p95_ms": percentile([one.seconds for one in measured["explore"]], 95),
        "first_paint_s": round(float(later[0]), 2),
        "bytes_per_interaction": max(one.received for one in both),
        "peak_memory_mb": round(memory),
        "ratio_pandas": round(statistics.median(one.peer_seconds / one.seconds for one in both), 2),
        "threshold_median_ms": percentile([one.seconds for one in measured["curate"]], 50),
        "brush_median_ms": percentile([one.seconds for one in measured["explore"]], 50),
        "threshold_with_browser_median_ms": percentile(recorded["curate"][1], 50),
        "brush_with_browser_median_ms": percentile(recorded["explore"][1], 50),
        "first_chart_s": round(float(later[1]), 2),
        "first_contentful_paint_s": round(float(later[2]), 2),
        "first_paint_new_browser_s": round(float(new[0]), 2),
        "first_chart_new_browser_s": round(float(new[1]), 2),
        "first_paint_fresh_server_s": round(paints[0][0], 2),
        "first_chart_fresh_server_s": round(paints[0][1], 2),
        "interactions": options.interactions,
        "peer": "pandas in memory: filter, six histograms, counts, means, 25 rows in order; no page",
    }


def percentile(seconds: list[float], share: int) -> float:
    return round(float(np.percentile(seconds, share)) * 1000, 1)


# the server


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", str(port)]
    command += ["--server.fileWatcherType", "none"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"DEFT_WORKSPACE": str(folder)}, **quiet)  # type: ignore[call-overload]
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://localhost:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


# the client that draws nothing


@dataclass(frozen=True)
class Interaction:
    seconds: float
    received: int  # bytes
    peer_seconds: float


async def replay(address: str, frames: list[bytes], table: pd.DataFrame) -> list[Interaction]:
    """Sends what a browser sent, in its order, each message when the script of the one before has finished."""
    rng, measured = np.random.default_rng(0), []
    where = f"{address.replace('http', 'ws')}/_stcore/stream"
    async with websockets.connect(where, origin=address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[arg-type, list-item]
        for frame in frames:
            began, received, finished, seconds = time.perf_counter(), 0, False, 0.0
            await socket.send(frame)
            quiet = QUIET_SECONDS if measured else LOOKING_SECONDS
            while payload := await _next(socket, quiet if finished else None):
                received += len(payload)
                if kind(payload) == "script_finished":
                    finished, seconds = True, time.perf_counter() - began
            began = time.perf_counter()
            peer_work(table, *np.sort(rng.uniform(-0.05, 0.2, 2)))
            measured.append(Interaction(seconds, received, time.perf_counter() - began))
    return measured[-(len(frames) - FIRST) :]


async def _next(socket: Any, seconds: float | None) -> bytes:
    """The next message; nothing where none comes in time."""
    try:
        return bytes(await asyncio.wait_for(socket.recv(), seconds))
    except TimeoutError:
        return b""


def kind(payload: bytes) -> str | None:
    return ForwardMsg.FromString(payload).WhichOneof("type")


# the browser


class Wire:
    """What goes over a page's web socket: what was sent and when, and when the script had finished."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[bytes] = []
        self.sent: list[float] = []
        self.finished: list[float] = []
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.webSocketFrameSent", self._send)
        session.on("Network.webSocketFrameReceived", self._receive)

    def _send(self, event: dict[str, Any]) -> None:
        self.sent.append(event["timestamp"])
        self.frames.append(base64.b64decode(event["response"]["payloadData"]))

    def _receive(self, event: dict[str, Any]) -> None:
        if kind(base64.b64decode(event["response"]["payloadData"])) == "script_finished":
            self.finished.append(event["timestamp"])

    def during(self, act: Callable[[], Any]) -> float:
        """Seconds from the first message sent to the last script that finished."""
        self.sent, self.finished = [], []
        act()
        while not (self.sent and len(self.finished) >= len(self.sent)):
            self.page.wait_for_timeout(20)
        self.page.wait_for_timeout(500)  # what else is drawn, or sent
        return self.finished[-1] - self.sent[0]


def returning(playwright: Playwright, address: str, times: int = 5) -> list[tuple[float, float, float]]:
    """Openings by a browser that keeps its cache; what it looks like to open the page for the third time and later."""
    with tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=shutil.which("chromium"), args=ARGUMENTS, viewport=SCREEN
        )
        found = [first_paint(browser.new_page(), address) for _ in range(2 + times)]
        browser.close()
    return found[2:]


def first_paint(page: Page, address: str) -> tuple[float, float, float]:
    """Seconds until heading and figures are there, until a chart is, and until the browser painted anything."""
    began = time.perf_counter()
    page.goto(address)
    page.get_by_test_id("stMetricValue").first.wait_for(timeout=120_000)
    figures = time.perf_counter() - began
    page.locator(".js-plotly-plot .nsewdrag").first.wait_for(timeout=120_000)
    chart = time.perf_counter() - began
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    page.close()
    return figures, chart, paint


def record(page: Page, address: str, act: Callable[[Page, int], None], count: int) -> tuple[list[bytes], list[float]]:
    """All that was sent, and the seconds of each interaction as the browser saw them."""
    wire = Wire(page)
    wire.during(lambda: page.goto(address))
    page.locator(".js-plotly-plot .nsewdrag").first.wait_for(timeout=120_000)
    page.wait_for_timeout(2000)
    seconds = [wire.during(lambda place=number: act(page, place)) for number in range(count + 2)]  # type: ignore[misc]
    page.close()
    return wire.frames, seconds[2:]


def draw_box(page: Page, number: int) -> None:
    """A box on one of the histograms, in turn and in other places."""
    layer = page.locator('[class*="st-key-drawn-histogram-"] .nsewdrag').nth(number % 2)
    layer.scroll_into_view_if_needed()
    box = layer.bounding_box()
    assert box
    left, right = 0.15 + 0.03 * (number % 7), 0.6 + 0.04 * (number % 5)
    page.mouse.move(box["x"] + left * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()


def move_threshold(page: Page, number: int) -> None:
    """The slider under the histogram, a step up or down."""
    page.get_by_role("slider").first.press("ArrowRight" if number % 5 else "ArrowLeft")


# the peer


def peer_table(folder: Path) -> pd.DataFrame:
    pairs = pd.read_parquet(folder / "datasets/big/pairs.parquet", columns=["id", "split", "source", "turns"])
    parts = sorted((folder / "scores/big/generated").glob("part-*.parquet"))
    names = ["id", *(name for name in DRAWN if name != "turns")]
    scores = pd.concat([pd.read_parquet(part, columns=names) for part in parts], ignore_index=True)
    table = pairs.merge(scores, on="id")
    table["source"] = table["source"].astype("category")
    return table


def peer_work(table: pd.DataFrame, low: float, high: float) -> tuple[Any, ...]:
    inside = table[(table["reward_chosen"] >= low) & (table["reward_chosen"] <= high)]
    histograms = [np.histogram(inside[name], bins=60) for name in DRAWN]
    first = inside.sort_values("reward_chosen", ascending=False).head(25)
    return histograms, inside["source"].value_counts(), inside[DRAWN].mean(), first


if __name__ == "__main__":
    main()
