"""What the command writes for people, on standard error: a progress line while something runs, and errors in three parts."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from deft_core.errors import DeftError
from deft_core.status import duration

__all__ = ["ProgressLine", "explain", "printable"]

_EVERY_SECONDS = 10.0  # between lines where standard error is a file


def printable(text: str) -> str:
    """Text of unknown origin without what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def explain(error: DeftError) -> None:
    console = Console(stderr=True, highlight=False)
    for label, part in (("expected", error.expected), ("found", error.found), ("do", error.remedy)):
        console.print(f"{label + ':':<10}{printable(part)}", markup=False, soft_wrap=True)


def status_words(status: dict[str, Any]) -> str:
    """The phase of a status with its rate and the time left, as far as it knows them."""
    words = str(status.get("phase", ""))
    if status.get("pairs_per_second"):
        words += f"  {status['pairs_per_second']:.2f} pairs/s  {duration(status['seconds_left'])} left"
    return words


class ProgressLine:
    """A context that shows statuses as they come: a live bar on a terminal, now and then a line in a file."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,}"),
            console=self.console,
        )
        self.task = self.bar.add_task("starting", total=1)
        self.shown, self.phase = 0.0, ""

    def __enter__(self) -> ProgressLine:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, status: dict[str, Any]) -> None:
        if self.console.is_terminal:
            self.bar.update(self.task, description=status_words(status), completed=status.get("done", 0), total=status.get("total", 1))
        elif status.get("phase") != self.phase or time.monotonic() - self.shown > _EVERY_SECONDS:
            self.phase, self.shown = str(status.get("phase", "")), time.monotonic()
            count = f"  {status['done']:,}/{status['total']:,}" if "done" in status and "total" in status else ""
            self.console.print(status_words(status) + count, markup=False, soft_wrap=True)
