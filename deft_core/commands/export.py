"""`deft export`: a selection as a file for a trainer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deft_core.commands.options import Json
from deft_core.terminal import ProgressLine, print_values

__all__ = ["app"]

app = typer.Typer()


@app.command()
def export(
    context: typer.Context,
    selection: Annotated[str, typer.Argument(help="A selection, or one of its versions: name@2.")],
    file: Annotated[Path, typer.Argument(help="The file to write: .jsonl, .json, either as .gz, or .parquet.")],
    layout: Annotated[str, typer.Option(help="trl, trl-chat, llamafactory, axolotl or parquet.")] = "trl",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a file of that name.")] = False,
    leave_out: Annotated[bool, typer.Option("--leave-out", help="Leave out rows that the trainer would misread, and say so.")] = False,
    as_json: Json = False,
) -> None:
    """Write what a trainer reads, and read it back before it counts."""
    from deft_core.export import export as export_selection

    with ProgressLine() as line:
        report = asdict(export_selection(context.obj, selection, file, layout, replace=replace, leave_out=leave_out, progress=line.show))
    values = {"path": report.pop("path"), "rows": report.pop("rows"), "layout": report.pop("layout")} | report
    if as_json:
        print_values(values, as_json=True)
        return
    snippet, notes, readers, left_out = (values.pop(key) for key in ("snippet", "notes", "read_back_by", "left_out"))
    shown = {key: value for key, value in values.items() if value is not None}
    print_values(shown | {"left_out": len(left_out), "read_back_by": ", ".join(readers)}, as_json=False)
    typer.echo("\n".join(["", *notes, "", snippet]))
