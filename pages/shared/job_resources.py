"""What goes on in the server or beside it whatever the browser does: imports, exports, scorers started from a page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import streamlit as st

from deft_core import processes
from deft_core.workspace import Workspace
from pages.shared import activity

# imports go on in a thread of the server, whatever the browser does


@dataclass
class ImportJob:
    dataset: str
    rows: int = 0
    report: Any = None  # importing.ImportReport
    error: Exception | None = None
    thread: Thread | None = None

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


@st.cache_resource(show_spinner=False)
def import_jobs(root: str) -> dict[str, ImportJob]:
    """By dataset; the newest import of each."""
    return {}


def imports_now(workspace: Workspace) -> list[ImportJob]:
    return [job for job in import_jobs(str(workspace.root)).values() if job.running]


# exports go on in a thread of the server, too


@dataclass
class ExportJob:
    dataset: str
    selection: str  # name@version
    layout: str
    path: Path
    status: dict[str, Any] = field(default_factory=dict)
    report: Any = None  # export.ExportReport
    error: Exception | None = None
    thread: Thread | None = None

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", "starting"))

    @property
    def share(self) -> float:
        """Of the phase."""
        return min(1.0, int(self.status.get("done", 0)) / max(1, int(self.status.get("total", 1))))

    def heard(self, status: dict[str, Any]) -> None:
        self.status = status


@st.cache_resource(show_spinner=False)
def export_jobs(root: str) -> dict[str, ExportJob]:
    """By path; the newest last."""
    return {}


def newest_export(workspace: Workspace, dataset: str) -> ExportJob | None:
    jobs = [job for job in export_jobs(str(workspace.root)).values() if job.dataset == dataset]
    return jobs[-1] if jobs else None


def exports_now(workspace: Workspace) -> list[ExportJob]:
    return [job for job in export_jobs(str(workspace.root)).values() if job.running]


# a scorer that was started from a page shows in the files only after a second or two


@st.cache_resource(show_spinner=False)
def _started(root: str) -> dict[str, tuple[int, float]]:
    """By dataset: pid and start time."""
    return {}


def start_scoring(workspace: Workspace, dataset: str, *model: str, **settings: Any) -> None:
    remember(workspace, dataset, processes.start_scoring(workspace.root, dataset, *model, **settings))


def remember(workspace: Workspace, name: str, pid: int) -> None:
    """A process whose end the pages wait for; a scorer goes by its dataset's name."""
    with suppress(psutil.NoSuchProcess):
        _started(str(workspace.root))[name] = (pid, processes.started_at(pid))


def being_scored(workspace: Workspace, dataset: str) -> bool:
    """Whether a scorer of this dataset is at work, started from here or by the command."""
    return scorer_lives(workspace, dataset) or any(one.running for one in activity.score_states(workspace, dataset))


def scorer_lives(workspace: Workspace, dataset: str | None = None) -> bool:
    """Whether a scorer that was started from here lives: of this dataset, or of any."""
    return any(processes.alive(*process) for name, process in _started(str(workspace.root)).items() if dataset in (None, name))
