"""`deft compare`: evaluated runs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deft_core.commands.evaluate import cell
from deft_core.commands.options import Json
from deft_core.terminal import print_rows, print_values

if TYPE_CHECKING:
    from deft_core.comparing import Comparison, Line

__all__ = ["app"]

app = typer.Typer()


@app.command()
def compare(
    context: typer.Context,
    run_ids: Annotated[list[str], typer.Argument(help="Evaluated runs; differences are to the first one.")],
    as_json: Json = False,
) -> None:
    """Compare evaluated runs, figure by figure, paired by prompt."""
    from deft_core import comparing

    found = comparing.compare([context.obj.existing_run(run_id) for run_id in run_ids])
    if as_json:
        print_values(found.as_dict(), as_json)
        return
    print_rows("table", _rows(found), as_json)
    for note in found.notes:
        typer.echo(note, err=True)


def _rows(found: Comparison) -> list[dict[str, str]]:
    """A line a measure, a column a run; in the columns after the first, the difference to it stands behind."""
    lines = {(line.measure, line.run): line for line in found.table}
    names = dict.fromkeys(line.measure for line in found.table)
    return [
        {"measure": name.replace("_", " ")} | {run: _words(lines[name, run]) if (name, run) in lines else "" for run in found.runs}
        for name in names
    ]


def _words(line: Line) -> str:
    own = cell({"value": line.value, "low": line.low, "high": line.high})
    difference = cell({"value": line.difference, "low": line.difference_low, "high": line.difference_high}, sign="+")
    return f"{own}  ({difference})" if difference else own
