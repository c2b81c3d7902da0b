"""`deft refused`: the rows that an import could not use, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from deft_core.commands.options import Json, Name
from deft_core.errors import InputError
from deft_core.terminal import print_rows

__all__ = ["app", "counted"]

app = typer.Typer()

_COLUMNS = ("file", "line", "reason", "detail", "original")


@app.command()
def refused(
    context: typer.Context,
    name: Name,
    reason: Annotated[str | None, typer.Option(help="Only rows refused for a reason that contains these words.")] = None,
    limit: Annotated[int | None, typer.Option(help="List only the first so many rows.")] = None,
    as_json: Json = False,
) -> None:
    """Count the reasons for which rows were refused, and list each row with its line and reason."""
    if limit is not None and limit < 0:
        raise InputError("a --limit of at least 0", str(limit), "Give a larger --limit.")
    lines = context.obj.refused(name).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if reason is None or reason.lower() in row["reason"].lower()]
    if reason is not None and lines and not rows:
        known = "; ".join(context.obj.dataset_info(name)["reasons"])
        raise InputError(f"a reason for which rows of {name!r} were refused", repr(reason), f"There are: {known}.")
    reasons = dict(Counter(row["reason"] for row in rows).most_common())
    _print(list(islice(rows, limit)), reasons, as_json)


def _print(rows: list[dict[str, Any]], reasons: Mapping[str, int], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"refused": rows, "reasons": reasons}, ensure_ascii=False))
        return
    if reasons:
        print_rows("reasons", [{"rows": count, "reason": reason} for reason, count in reasons.items()], as_json=False)
    print_rows("refused", [{column: row.get(column) for column in _COLUMNS} for row in rows], as_json=False)


def counted(reasons: Mapping[str, int], name: str) -> str:
    """How many rows an import refused and why, most frequent reasons first, and where they are listed."""
    lines = [f"rows refused: {sum(reasons.values()):,} (`deft refused {name}` lists them)"]
    return "\n".join([*lines, *(f"{count:>9,}  {reason}" for reason, count in reasons.items())])
