"""The noise workbench on the command line."""

from __future__ import annotations

from dataclasses import asdict

import typer

from deft_core.commands.options import Json, Name
from deft_core.terminal import ProgressLine, print_values

__all__ = ["app"]

app = typer.Typer()


@app.command()
def noise(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Mark duplicates, leaks and other noise, where that is not done yet, and count the rows of each signal."""
    from deft_core.noise import stored, workbench
    from deft_core.noise.report import report

    if stored.current(context.obj, name) is None:
        with ProgressLine() as line:
            workbench.compute(context.obj, name, line.show)
    found = report(context.obj, name)
    if as_json:
        print_values(asdict(found), as_json)
        return
    counts = {signal: "needs scores" if rows is None else rows for signal, rows in found.counts.items()}
    print_values(counts | {"notes": "; ".join(found.notes.values()), "path": found.path, "seconds": found.seconds}, as_json)
