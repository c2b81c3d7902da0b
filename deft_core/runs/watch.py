"""The worker's own reader of its metrics: which step the run is at, and the alerts that its events call for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deft_core.runs import metrics
from deft_core.runs.alerts import alerts
from deft_core.runs.spec import Run

__all__ = ["Watch"]

_KEPT = ("event", "step", "kind", "omega", "loss", "margin", "implicit_chosen", "entropy")  # of events that are no evaluations
_EVERY_STEPS = 10  # or a twentieth of the steps so far: looking costs a pass over them


class Watch:
    """`look` again and again while the run goes on; `step` is the last one the metrics speak of."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.total, self.method = folder, run.settings.total_steps(run.rows), run.settings.method
        self.events: list[dict[str, Any]] = []
        self.offset = self.looked = self.step = 0
        self._read()

    def look(self, last: bool = False) -> None:
        """Reads what is new; after evaluations, every few steps and at the end, appends the alerts it calls for."""
        fresh = self._read()
        due = self.step - self.looked >= max(_EVERY_STEPS, self.step // 20)
        if last or due or any(event["event"] == "evaluation" for event in fresh):
            self.looked = self.step
            for alert in alerts(self.events, self.total, self.method):
                metrics.append(self.folder, "alert", alert.step, kind=alert.kind, words=alert.words)
            self._read()

    def _read(self) -> list[dict[str, Any]]:
        fresh, self.offset = metrics.read(self.folder, self.offset)
        if not fresh:
            return []
        added = [event if event["event"] == "evaluation" else {key: event[key] for key in _KEPT if key in event} for event in fresh]
        self.events += added
        if any(event["event"] == "start" for event in added):
            self.events = metrics.standing(self.events)
        self.step = int(next((event["step"] for event in reversed(self.events) if event["event"] != "alert"), 0))
        return fresh
