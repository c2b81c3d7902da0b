"""`deft decide`, `deft undo`, `deft redo`: decisions about rows, written to the dataset's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deft_core.commands.options import Json, Name
from deft_core.errors import InputError
from deft_core.terminal import print_values, say
from deft_core.workspace import Workspace

if TYPE_CHECKING:
    from deft_core.overrides import Event

__all__ = ["app"]

app = typer.Typer()


@app.command()
def decide(
    context: typer.Context,
    name: Name,
    decision: Annotated[str, typer.Argument(help="keep, drop, follow (the rule decides again), flip, note or tag.")],
    ids: Annotated[list[str] | None, typer.Option("--id", help="A row; give it again for further rows.")] = None,
    where: Annotated[str | None, typer.Option(help="All rows for which this condition over the view `pairs` is true.")] = None,
    text: Annotated[str | None, typer.Option(help="Of a note (empty: remove it) or a tag (with a leading minus: take it off).")] = None,
    as_json: Json = False,
) -> None:
    """Decide on single rows, or on all that a condition is true for."""
    from deft_core import overrides

    if (ids is None) == (where is None):
        found = "neither" if ids is None else "both"
        raise InputError("rows by --id or by --where", found, "Give one of them, for example --where 'reward_margin < -0.2'.")
    rows = ids if ids is not None else _matching(context.obj, name, where or "")
    event = overrides.append(context.obj, name, decision, rows, text)
    _print(context.obj, name, [event], overrides.words(event), as_json)


def _matching(workspace: Workspace, name: str, where: str) -> Sequence[str]:
    from deft_core import flips, overrides, queries

    view = queries.open_view(workspace, name)
    flipped = flips.flipped_pairs(view, overrides.load(workspace, name).flipped)
    found = list(queries.where_ids(view, where, flipped=flipped))
    if not found:
        raise InputError(f"rows for which {where!r} is true", "none", "Widen the condition; `deft query` shows what there is.")
    return found


@app.command()
def undo(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Take back the newest decision on a dataset that is done."""
    from deft_core import overrides

    _print_step(context.obj, name, overrides.undo(context.obj, name), "undo", as_json)


@app.command()
def redo(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Do again what was undone last, unless a new decision has been made since."""
    from deft_core import overrides

    _print_step(context.obj, name, overrides.redo(context.obj, name), "redo", as_json)


def _print_step(workspace: Workspace, name: str, step: Event | None, kind: str, as_json: bool) -> None:
    from deft_core import overrides

    if step is None:
        say(f"nothing to {kind}")
        _print(workspace, name, [], "", as_json)
        return
    target = next(event for event in overrides.read(workspace, name) if event.event == step.target)
    _print(workspace, name, [step], f"{kind}: {overrides.words(target)}", as_json)


def _print(workspace: Workspace, name: str, events: list[Event], done: str, as_json: bool) -> None:
    """The events written, and how many rows are decided on after them."""
    from deft_core import overrides

    counts = overrides.load(workspace, name).counts()
    if as_json:
        print_values({"events": [asdict(event) for event in events], "counts": counts}, as_json)
    else:
        print_values(({"saved": done} if events else {}) | counts, as_json)
