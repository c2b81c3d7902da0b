"""What the command writes: on standard output values and rows, for people or as one JSON object; on standard error a progress line
while something runs, and errors in three parts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from deft_core.errors import DeftError
from deft_core.status import duration

__all__ = ["ProgressLine", "explain", "print_rows", "print_values", "printable", "say"]

_EVERY_SECONDS = 10.0  # between lines where standard error is a file


def printable(text: str) -> str:
    """Text of unknown origin without what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def say(words: str) -> None:
    """A line for people on standard error, whatever is asked for on standard output."""
    typer.echo(printable(words), err=True)


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


def count_words(status: dict[str, Any]) -> str:
    """What the phase has done of what, where it counts."""
    counts = "done" in status and "total" in status and status.get("counted", status.get("phase")) == status.get("phase")
    return f"{status['done']:,}/{status['total']:,}" if counts else ""


class ProgressLine:
    """A context that shows statuses as they come: a live bar on a terminal, now and then a line in a file."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("starting", total=1, count="")
        self.shown, self.phase = 0.0, ""

    def __enter__(self) -> ProgressLine:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:  # else it prints an empty line
            self.bar.stop()

    def show(self, status: dict[str, Any]) -> None:
        count = count_words(status)
        if self.console.is_terminal:
            done, total = (status["done"], status["total"]) if count else (0, 1)
            self.bar.update(self.task, description=status_words(status), completed=done, total=total, count=count)
        elif status.get("phase") != self.phase or time.monotonic() - self.shown > _EVERY_SECONDS:
            self.phase, self.shown = str(status.get("phase", "")), time.monotonic()
            self.console.print("  ".join(filter(None, [status_words(status), count])), markup=False, soft_wrap=True)


def print_values(values: Mapping[str, Any], as_json: bool) -> None:
    """One object, a line for each of its keys."""
    if as_json:
        typer.echo(json.dumps(dict(values), ensure_ascii=False))
        return
    table = Table(show_header=False, box=None)
    for key, value in values.items():
        table.add_row(key.replace("_", " "), _cell(value))
    _console().print(table)


def print_rows(what: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """A list of objects with the same keys, as a table; `what` is the list's key in JSON."""
    if as_json:
        from deft_core import tables

        typer.echo(tables.as_json({what: rows}))
        return
    table = Table(box=None)
    for key in rows[0] if rows else [f"no {what}"]:
        table.add_column(key, overflow="fold", justify="right" if rows and isinstance(rows[0][key], int | float) else "left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    _console().print(table)


def _console() -> Console:
    """Standard output without markup, so that dataset text cannot style the terminal; wide where it is no terminal."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 200)


def _cell(value: Any) -> Text:
    if isinstance(value, bool) or value is None:
        words = "" if value is None else str(value).lower()
    elif isinstance(value, list | tuple):
        words = ", ".join(map(str, value))
    elif isinstance(value, dict):
        words = ", ".join(f"{key}: {one}" for key, one in value.items())
    elif isinstance(value, int):
        words = f"{value:,}"
    elif isinstance(value, float):
        words = f"{value:,.4g}"
    else:
        words = " ".join(str(value).split())
    return Text(printable(words[:400]))
