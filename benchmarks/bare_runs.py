"""Runs for benchmarks, without evaluations: rows scored, selected and prepared as `deft train` does, trained in this process."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from deft_core import selecting, selections  # noqa: E402
from deft_core.rule import Rule  # noqa: E402
from deft_core.runs import metrics  # noqa: E402
from deft_core.runs.prepare import prepare  # noqa: E402
from deft_core.runs.spec import Settings  # noqa: E402
from deft_core.workspace import Workspace  # noqa: E402

__all__ = ["DATASET", "prepared", "train"]

DATASET = "bench"


def prepared(workspace: Workspace, name: str, rule: Rule, settings: Settings) -> Path:
    """The folder of a run on the rows that a rule keeps of DATASET, which is scored."""
    selections.save(workspace, name, selecting.draft(workspace, DATASET, rule))
    return workspace.run(prepare(workspace, name, settings).run_id)


def train(folder: Path) -> dict[str, Any]:
    """One run from loading the model to its being saved, in seconds: `wall` of all that, `reading` of reading the rows and of what the

    loss asks the base model, `steps` of the steps; `tokens` they read, `step_times` since the first began, `losses`, and the peak memory of
    this process in MB.
    """
    from deft_core.lm import training

    began, phases = time.time(), dict[str, float]()

    def say(said: dict[str, Any]) -> None:
        if "phase" in said:
            phases.setdefault(said["phase"], time.time())

    end = training.train(folder, should_stop=lambda: False, say=say, evaluation=NoEvaluation)
    events = metrics.read(folder)[0]
    started = next(event["time"] for event in events if event["event"] == "start")
    steps = [event for event in events if event["event"] == "step"]
    return {
        "wall": time.time() - began,
        "reading": started - phases["reading the rows"],
        "steps": end.seconds,
        "tokens": end.tokens,
        "step_times": [step["time"] - started for step in steps],
        "losses": [step["loss"] for step in steps],
        "memory_mb": end.peak_memory_bytes / 2**20,
    }


class NoEvaluation:
    """Stands in for the evaluations of a run."""

    @staticmethod
    def prepare(*_: Any, **__: Any) -> None:
        return None

    @staticmethod
    def during(*_: Any, **__: Any) -> dict[str, Any]:
        return {}
