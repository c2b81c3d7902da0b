"""How fast runs are watched: a refresh of a live run with many steps, and the list of many finished ones, on a real server.

    python benchmarks/monitor.py [--quick] [--json] [--steps N] [--runs N]

The workspace is generated: one run that lives (its process is this one) with 100,000 steps, and 300 that have finished. A client that
draws nothing opens pages over the server's web socket as a browser does, and asks for the run's page again as its timer would; before each
time five more steps are appended. A refresh is from its message to the server's word that the script has finished; bytes are all that came
back, though a browser keeps parts that stay as they are. The list is opened by a new session of a server that has drawn another page but
has not read the runs; `again` by one more session, `fresh_server` by the first of all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets
from dashboard import _next, peak_memory_mb, percentile, server
from generated_runs import append_steps, evaluate, finish, generate_run, live
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from deft_core.workspace import Workspace

RUN = "a-long-one"
NEW_STEPS = 5  # a second's, of a fast run
QUIET_SECONDS = 0.5  # after a script has finished: nothing more is on the way
PAGE_TICK_SECONDS = 1.0  # of the page of runs; the sidebar has another timer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 steps, 30 runs, 5 refreshes")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--refreshes", type=int, default=30)
    options = parser.parse_args()
    if options.quick:
        options.steps, options.runs, options.refreshes = 5_000, 30, 5
    with tempfile.TemporaryDirectory() as folder:
        made(Workspace(Path(folder)), options.steps, options.runs, options.refreshes)
        values = asyncio.run(measure(Path(folder), options.steps, options.refreshes))
    for key, value in values.items():
        print(f"{key:<28}{value:,}")
    if options.json:
        print(json.dumps(values))


def made(workspace: Workspace, steps: int, runs: int, refreshes: int) -> None:
    """The live run last: it is the newest."""
    for number in range(runs):
        parent = f"best-{number - number % 2:04d}"  # every second one is the control of the one before
        role = {"role": "random", "control_of": parent, "group": parent} if number % 2 else {}
        folder = generate_run(workspace, f"best-{number:04d}", 40, evaluations=5, seed=number, **role)
        finish(folder, 40)
        if number == 0:
            evaluate(folder, 0.1)
        for name in ("evaluation.json", "evaluation_rows.parquet", "evaluation_neutral.parquet") if number else ():
            shutil.copyfile(workspace.run("best-0000") / name, folder / name)
    of = steps + NEW_STEPS * refreshes
    live(generate_run(workspace, RUN, steps, of=of, seed=runs), steps, of)


async def measure(folder: Path, steps: int, refreshes: int) -> dict[str, Any]:
    with server(folder) as (address, _):
        async with session(address, "runs") as fresh:
            fresh_seconds = fresh.seconds
    with server(folder) as (address, pid):
        async with session(address, "datasets"):
            pass
        async with session(address, "runs") as first:
            pass
        async with session(address, "runs") as again:
            pass
        async with session(address, "runs", f"run={RUN}") as opened:
            first_look = opened.seconds
            seconds, received = await refreshed(opened, folder / "runs" / RUN, steps, refreshes)
        memory = peak_memory_mb(pid)
    return {
        "steps": steps + NEW_STEPS * refreshes,
        "refresh_ms": percentile(seconds, 95),
        "refresh_bytes": max(received),
        "runs_page_s": round(first.seconds, 3),
        "refresh_median_ms": percentile(seconds, 50),
        "first_look_s": round(first_look, 2),
        "runs_page_again_s": round(again.seconds, 3),
        "runs_page_fresh_server_s": round(fresh_seconds, 2),
        "runs_page_bytes": first.received,
        "metrics_megabytes": round((folder / "runs" / RUN / "metrics.jsonl").stat().st_size / 1e6),
        "peak_memory_mb": round(memory),
        "refreshes": refreshes,
    }


async def refreshed(opened: Session, folder: Path, steps: int, refreshes: int) -> tuple[list[float], list[int]]:
    """(seconds, bytes) of each refresh but the first, which fills what later ones use."""
    of, seconds, received = steps + NEW_STEPS * refreshes, [], []
    for number in range(refreshes):
        last = steps + NEW_STEPS * (number + 1)
        append_steps(folder, last - NEW_STEPS, last, of, max(1, of // 50), seed=number)
        live(folder, last, of)
        await opened.refresh()
        seconds.append(opened.seconds)
        received.append(opened.received)
    return seconds[1:], received[1:]


@dataclass
class Session:
    """A page opened over a web socket; `seconds` and `received` (bytes) are those of the last asking."""

    socket: Any
    query: str
    seconds: float = 0.0
    received: int = 0
    timers: dict[float, str] = field(default_factory=dict)  # seconds: fragment
    page_hash: str = ""

    async def ask(self, message: BackMsg) -> None:
        began, self.received, finished = time.perf_counter(), 0, False
        await self.socket.send(message.SerializeToString())
        while payload := await _next(self.socket, QUIET_SECONDS if finished else None):
            self.received += len(payload)
            said = ForwardMsg.FromString(payload)
            self._note(said)
            if said.HasField("script_finished") and said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                finished, self.seconds = True, time.perf_counter() - began

    def _note(self, message: ForwardMsg) -> None:
        if message.HasField("auto_rerun"):
            self.timers[message.auto_rerun.interval] = message.auto_rerun.fragment_id
        if message.HasField("new_session"):
            self.page_hash = message.new_session.page_script_hash

    async def refresh(self) -> None:
        """As the page's own timer does."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = self.page_hash
        message.rerun_script.fragment_id = self.timers[PAGE_TICK_SECONDS]
        message.rerun_script.is_auto_rerun = True
        await self.ask(message)


@asynccontextmanager
async def session(address: str, page: str, query: str = "") -> AsyncIterator[Session]:
    where = f"{address.replace('http', 'ws')}/_stcore/stream"
    async with websockets.connect(where, origin=address, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[arg-type, list-item]
        opened, message = Session(socket, query), BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        await opened.ask(message)
        yield opened


if __name__ == "__main__":
    main()
