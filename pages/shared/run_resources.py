"""The caches of runs: readers that go on where they stopped, the list, what evaluated runs come to; and runs that are being stopped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Thread

import streamlit as st

from deft_core import comparing, file_names
from deft_core.errors import DeftError
from deft_core.runs import launch, monitor, verdict
from deft_core.runs.curves import CurveReader, Curves
from deft_core.runs.monitor import Listed
from deft_core.runs.samples import SampleReader
from deft_core.runs.spec import ROLES
from deft_core.runs.verdict import Verdict
from deft_core.workspace import Workspace

Signature = tuple[tuple[str, str, int], ...]  # run folder, role, when it was evaluated


@st.cache_resource(show_spinner=False)
def _listing(root: str) -> monitor.Listing:
    return monitor.Listing(Workspace(Path(root)))


def runs(workspace: Workspace) -> list[Listed]:
    """Every run, newest first, as the files say."""
    return _listing(str(workspace.root)).read()


def grouped(listed: list[Listed]) -> list[list[Listed]]:
    """Runs that were started together: the newest group first, in each the run and then those it is held against."""
    groups: dict[str, list[Listed]] = {}
    for one in listed:
        groups.setdefault(one.run.group if one.run else one.run_id, []).append(one)
    return [sorted(group, key=_in_group) for group in groups.values()]


def _in_group(one: Listed) -> tuple[int, str]:
    return (ROLES.index(one.run.role), one.run.created) if one.run else (0, "")


@st.cache_resource(max_entries=24, show_spinner=False)
def _reader(folder: str) -> CurveReader:
    return CurveReader(Path(folder))


def curves(folder: Path) -> Curves:
    """The run's numbers as its file has them at this moment; only what is new is read."""
    return _reader(str(folder)).read()


@st.cache_resource(max_entries=24, show_spinner=False)
def _samples(folder: str) -> SampleReader:
    return SampleReader(Path(folder))


def samples(folder: Path) -> SampleReader:
    return _samples(str(folder))


# verdicts


def verdicts(workspace: Workspace, run_id: str, against: list[Listed]) -> list[Verdict]:
    """What came of an evaluated run, beside those of its group that are evaluated too, else beside its base."""
    of_group = [(one.run_id, one.run.role) for one in against if one.run and evaluated(workspace.run(one.run_id))]
    signed = [(str(workspace.run(one)), role, _evaluated_at(workspace.run(one))) for one, role in [(run_id, "run"), *of_group]]
    return _verdicts(tuple(signed))


@st.cache_resource(max_entries=300, show_spinner="Comparing …")
def _verdicts(signature: Signature) -> list[Verdict]:
    folders = [Path(folder) for folder, _, _ in signature]
    if len(folders) == 1:
        return [verdict.beside_base(comparing.read_evaluated(folders[0]).figures)]
    return verdict.beside_others(comparing.compare(folders), {Path(folder).name: role for folder, role, _ in signature[1:]})


def evaluated(folder: Path) -> bool:
    return _evaluated_at(folder) > 0


def _evaluated_at(folder: Path) -> int:
    with suppress(FileNotFoundError):
        return (folder / file_names.EVALUATION).stat().st_mtime_ns
    return 0


# stopping: a run has a while to save a checkpoint, then its process is killed


@st.cache_resource(show_spinner=False)
def _stopping(root: str) -> dict[str, Thread]:
    return {}


def stop(workspace: Workspace, run_id: str, grace_seconds: float = launch.GRACE_SECONDS) -> None:
    """In the background, whatever the browser does."""
    threads = _stopping(str(workspace.root))
    if grace_seconds and run_id in threads and threads[run_id].is_alive():
        return
    threads[run_id] = Thread(target=_stop, args=(workspace, run_id, grace_seconds), daemon=True)
    threads[run_id].start()


def _stop(workspace: Workspace, run_id: str, grace_seconds: float) -> None:
    with suppress(DeftError):  # it has ended by itself, or was deleted: the page shows that
        launch.stop(workspace, run_id, grace_seconds)
