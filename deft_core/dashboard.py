"""Starting the dashboard, and what a first start gets ready before it opens."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deft_core import processes
from deft_core.demo import DEMO, import_demo
from deft_core.errors import InputError
from deft_core.status import read_status
from deft_core.workspace import Workspace

__all__ = ["check_port", "prepare_demo", "serve"]

_APP = Path(__file__).parents[1] / "app.py"


def prepare_demo(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Default model, demo dataset, and a scorer of it in the background; what is done already is left alone."""
    from deft_core.lm.default_model import ensure

    ensure(say)
    report = import_demo(workspace)
    if _unscored(workspace):
        say(f"scoring the demo's {report.rows_kept} rows in the background")
        processes.start_scoring(workspace.root, DEMO)


def _unscored(workspace: Workspace) -> bool:
    """Whether the demo has no score set that is complete or being worked on."""
    states = [read_status(workspace.score_set(DEMO, score_id)) for score_id in workspace.score_ids(DEMO)]
    finding = read_status(workspace.scores(DEMO))
    at_work = finding is not None and finding["state"] == "running"
    rows = workspace.dataset_info(DEMO)["rows_kept"]
    done = any(status and (status["state"] == "running" or status.get("done") == rows) for status in states)
    return not at_work and not done


def check_port(port: int) -> None:
    """Whether the dashboard can listen there; asked before anything is prepared for it."""
    if not 1 <= port <= 65535:
        raise InputError("a port between 1 and 65535", str(port), "Give another --port, or leave it out: it is 8501 then.")
    other = f"Use `deft app --port {port + 1 if port < 65535 else 8501}`"
    try:
        socket.create_server(("localhost", port)).close()
    except OSError as error:
        expected = f"a free port for the dashboard: {port}"
        if error.errno != errno.EADDRINUSE:
            raise InputError(expected, error.strerror or str(error), f"{other}.") from None
        found = f"something listening there, perhaps a dashboard that is open already at http://localhost:{port}"
        raise InputError(expected, found, f"{other}, or open that page.") from None


def serve(workspace: Workspace, port: int) -> None:
    """Run the dashboard in the foreground until it is interrupted."""
    command = [sys.executable, "-m", "streamlit", "run", str(_APP), "--server.port", str(port)]
    environment = os.environ | {"DEFT_WORKSPACE": str(workspace.root.resolve())}
    try:
        raise SystemExit(subprocess.run(command, env=environment, cwd=_APP.parent, check=False).returncode)
    except KeyboardInterrupt:
        raise SystemExit(0) from None
