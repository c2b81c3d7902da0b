"""What the workspace holds and what is being done in it, as the files say at this moment; nothing here is cached."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deft_core.status import read_status
from deft_core.workspace import Workspace, read_json


@dataclass(frozen=True)
class ScoreState:
    dataset: str
    score_id: str | None  # None while the model is still being found
    state: str  # running, finished, failed, stopped or lost
    phase: str
    done: int
    total: int
    pairs_per_second: float | None
    seconds_left: float | None
    truncated: int
    message: str | None
    model: str
    created: str

    @property
    def running(self) -> bool:
        return self.state == "running"


def score_states(workspace: Workspace, dataset: str) -> list[ScoreState]:
    """The score sets of a dataset, newest first, and before them a scorer that has no score set yet or ended without one."""
    folder = workspace.root / "scores" / dataset
    sets = [state for path in folder.glob("[!.]*/status.json") if (state := _state(dataset, path.parent, path.parent.name))]
    finding = _state(dataset, folder, None)
    if finding and finding.state != "finished" and not any(state.running for state in sets):
        sets.append(finding)
    return sorted(sets, key=lambda state: (state.score_id is None, state.running, state.created), reverse=True)


def running(workspace: Workspace) -> list[ScoreState]:
    return [state for name in workspace.dataset_names() for state in score_states(workspace, name) if state.running]


def dataset_infos(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Newest first; a dataset whose description cannot be read is left to the page that opens it."""
    infos = [info for name in workspace.dataset_names() if (info := _json(workspace.existing_dataset(name) / "dataset.json"))]
    return iter(sorted(infos, key=lambda info: str(info.get("created")), reverse=True))


def _state(dataset: str, folder: Path, score_id: str | None) -> ScoreState | None:
    try:
        status = read_status(folder)
    except (OSError, ValueError, KeyError):
        return None
    if status is None:
        return None
    about = _json(folder / "score.json")
    return ScoreState(
        dataset,
        score_id,
        status["state"],
        str(status.get("phase", "")),
        int(status.get("done") or 0),
        int(status.get("total") or about.get("pairs") or 0),
        status.get("pairs_per_second"),
        status.get("seconds_left"),
        int(status.get("truncated") or 0),
        status.get("message"),
        str(about.get("model", "")),
        str(about.get("created", "")),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, json.JSONDecodeError):
        return {}
