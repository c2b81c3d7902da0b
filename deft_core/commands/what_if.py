"""`deft what-if`: another d, a new reward column, no model."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from deft_core.commands.options import Json, Name, ScoreId
from deft_core.terminal import print_values

__all__ = ["app"]

app = typer.Typer()


@app.command("what-if")
def what_if(
    context: typer.Context,
    name: Name,
    column: Annotated[str, typer.Option("--as", help="What to call the new reward column.")],
    mask: Annotated[
        list[str] | None, typer.Option(help="punctuation, stopwords, digits, a token's text or its id; may be given several times.")
    ] = None,
    smooth: Annotated[float, typer.Option(help="Tokens to add to both counts of every token that occurs.")] = 0.0,
    source: Annotated[str | None, typer.Option(help="Count the training rows of this source alone.")] = None,
    kept: Annotated[str | None, typer.Option(help="Count the rows that this selection keeps alone.")] = None,
    score_id: ScoreId = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a what-if of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Reward every row under another d, from pooled states, and save it as a column."""
    from deft_core import queries
    from deft_core import what_if as what_ifs
    from deft_core.pooled import open_head, open_pooled

    view = queries.open_view(context.obj, name, score_id or queries.NEWEST)
    change = what_ifs.Change(tuple(mask or ()), smooth, source, kept)
    what_ifs.checked_column(view, column, replace)
    rows, flipped = what_ifs.kept_by(context.obj, name, kept) if kept is not None else (None, [])
    pooled = open_pooled(view)
    found = what_ifs.answer(view, pooled, open_head(view), change, rows, flipped)
    what_ifs.save(view, pooled, column, change, found, replace=replace)
    correlation = None if math.isnan(found.rank_correlation) else found.rank_correlation
    values = {"column": column, "rank_correlation": correlation, "kept_overlap": found.kept_overlap}
    print_values(values | {"score_id": view.score_id, "rows": pooled.rows.num_rows, "masked_tokens": found.masked_tokens}, as_json)
