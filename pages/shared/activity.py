"""What the workspace holds and what is being done in it, as the files say at this moment; nothing here is cached.

A damaged file takes nothing else along: the other datasets and score sets are listed, and the damaged one with its error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.runs import monitor, queue
from deft_core.status import read_status
from deft_core.workspace import Workspace, read_json


@dataclass(frozen=True)
class ScoreState:
    dataset: str
    score_id: str | None  # None while the model is still being found
    state: str  # running, finished, failed, stopped, lost or damaged
    phase: str
    done: int
    total: int
    pairs_per_second: float | None
    seconds_left: float | None
    message: str | None
    model: str
    created: str  # empty while the score set is being begun
    max_length: int | None  # this and batch_tokens: what a scorer that goes on has to be given
    batch_tokens: int | None
    layout_reason: str | None  # why it is not scored in the fastest layout

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class NoiseState:
    """A computation of noise columns under way."""

    dataset: str
    phase: str
    done: int  # rows read
    total: int
    seconds_left: float | None


def score_states(workspace: Workspace, dataset: str) -> list[ScoreState]:
    """The score sets of the dataset as it is, newest first, and before them a scorer that has none yet or ended without one."""
    folder = workspace.root / "scores" / dataset
    try:
        current = workspace.score_ids(dataset)
    except DeftError:  # nobody knows which one is of these data: all are listed, the damaged one as such
        current = [path.parent.name for path in folder.glob("[!.]*/score.json")]
    sets = []
    for path in folder.glob("[!.]*/status.json"):
        being_begun = not path.with_name(file_names.SCORE).is_file()
        if (being_begun or path.parent.name in current) and (state := _state(dataset, path.parent, path.parent.name)):
            sets.append(state)
    finding = _state(dataset, folder, None)
    if finding and finding.state != "finished" and not any(state.running for state in sets):
        sets.append(finding)
    return sorted(sets, key=lambda state: (state.score_id is None, state.running, state.created), reverse=True)


def running(workspace: Workspace) -> list[ScoreState]:
    return [state for name in workspace.dataset_names() for state in score_states(workspace, name) if state.running]


def noise_running(workspace: Workspace) -> list[NoiseState]:
    found = {name: _noise_status(workspace, name) for name in workspace.dataset_names()}
    return [
        NoiseState(name, str(status["phase"]), int(status["done"]), int(status["total"]), status.get("seconds_left"))
        for name, status in found.items()
        if status.get("state") == "running"
    ]


@dataclass(frozen=True)
class LiveRun:
    """A run that is queued or running."""

    run_id: str
    name: str
    state: str
    progress: monitor.Progress


def live_runs(workspace: Workspace) -> list[LiveRun]:
    """Those under way, then those that wait, the next one first."""
    entries = queue.entries_of(workspace.runs)
    waiting = queue.waiting(entries)
    found = [_live(workspace.run(run_id)) for run_id in (*(run_id for run_id in entries if run_id not in waiting), *waiting)]
    return [one for one in found if one and one.state in monitor.LIVE]


def _live(folder: Path) -> LiveRun | None:
    listed = monitor.listed(folder)
    return LiveRun(folder.name, listed.name, listed.status, listed.progress) if (folder / file_names.RUN).is_file() else None


def dataset_infos(workspace: Workspace) -> tuple[list[dict[str, Any]], dict[str, DeftError]]:
    """What each dataset says of itself, newest first; and by name those that cannot be read."""
    infos, damaged = [], {}
    for name in workspace.dataset_names():
        try:
            infos.append(workspace.dataset_info(name))
        except DeftError as error:
            damaged[name] = error
    return sorted(infos, key=lambda info: str(info.get("created")), reverse=True), damaged


def _noise_status(workspace: Workspace, dataset: str) -> dict[str, Any]:
    try:
        return read_status(workspace.noise_work(dataset)) or {}
    except (FileNotFoundError, DeftError):  # the dataset was removed this very moment; of a damaged file the Noise tab tells
        return {}


def _state(dataset: str, folder: Path, score_id: str | None) -> ScoreState | None:
    about: dict[str, Any] = {}
    try:
        status = read_status(folder)
        about = read_json(folder / file_names.SCORE) if (folder / file_names.SCORE).is_file() else {}
    except FileNotFoundError:  # the folder was removed this very moment
        return None
    except DeftError as error:
        status = {"state": "damaged", "message": str(error)}
    if status is None:
        return None
    return ScoreState(
        dataset=dataset,
        score_id=score_id,
        state=status["state"],
        phase=str(status.get("phase", "")),
        done=int(status.get("done") or 0),
        total=int(status.get("total") or about.get("pairs") or 0),
        pairs_per_second=status.get("pairs_per_second"),
        seconds_left=status.get("seconds_left"),
        message=status.get("message"),
        model=str(about.get("model", "")),
        created=str(about.get("created", "")),
        max_length=about.get("max_length"),
        batch_tokens=about.get("batch_tokens"),
        layout_reason=about.get("layout_reason"),
    )
