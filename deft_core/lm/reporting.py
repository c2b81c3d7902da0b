"""What a run says of itself while it trains: metrics.jsonl, samples.jsonl and its status. For the main process."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from deft_core import file_names
from deft_core.runs import metrics
from deft_core.status import Say
from deft_core.workspace import append_line

__all__ = ["RunReport", "peak_memory_bytes"]

Evaluate = Callable[[int], dict[str, Any]]  # of the model as it is after this step; see evaluation.during


class RunReport:
    """`evaluate` is set once there is something to evaluate with; None leaves evaluations out."""

    def __init__(self, folder: Path, of: int, steps_an_epoch: int, say: Say) -> None:
        self.folder, self.of, self.steps_an_epoch, self.say = folder, of, steps_an_epoch, say
        self.evaluate: Evaluate | None = None
        self.steps, self.seconds = 0, 0.0  # of this process

    def step(self, step: int, values: dict[str, float], rows: int, tokens: int, seconds: float) -> dict[str, float]:
        """Adds the step's time and memory, and writes it down."""
        self.steps, self.seconds = self.steps + 1, self.seconds + seconds
        left = (self.of - step) * self.seconds / self.steps
        rates = {"pairs_per_second": rows / seconds, "tokens_per_second": tokens / seconds}
        whole = values | rates | {"epoch": step / self.steps_an_epoch, "memory_bytes": _memory_bytes(), "seconds_left": left}
        metrics.append(self.folder, "step", step, **whole)
        self.say({"phase": "training", "done": step, "total": self.of, "seconds_left": round(left, 1)} | _rounded(rates))
        return whole

    def evaluation(self, step: int) -> dict[str, float]:
        if self.evaluate is None:
            return {}
        self.say({"phase": "evaluating", "done": step, "total": self.of})
        values = dict(self.evaluate(step))
        for sample in values.pop("samples", []):
            append_line(self.folder / file_names.SAMPLES, {"step": step} | sample)
        metrics.append(self.folder, "evaluation", step, **values)
        return {name: value for name, value in values.items() if isinstance(value, int | float)}

    def checkpoint(self, step: int) -> None:
        metrics.append(self.folder, "checkpoint", step)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def _memory_bytes() -> int:
    """What the model's device holds now: allocated on a GPU, resident in memory on a CPU."""
    return int(torch.cuda.memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
