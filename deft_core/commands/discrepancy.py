"""`deft discrepancy`: the tokens that separate chosen from rejected, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deft_core.commands.options import Json, Name, ScoreId
from deft_core.errors import NotFoundError
from deft_core.terminal import print_rows, print_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app"]

app = typer.Typer()


@app.command()
def discrepancy(
    context: typer.Context,
    name: Name,
    top: Annotated[int, typer.Option(min=1, help="Tokens to list on each side.")] = 20,
    score_id: ScoreId = None,
    as_json: Json = False,
) -> None:
    """List the tokens that separate chosen from rejected, with intervals, and say how reliable d is."""
    from deft_core import group_counts, queries, reliability
    from deft_core.discrepancy import read_table

    view = queries.open_view(context.obj, name, score_id or queries.NEWEST)
    if view.discrepancy is None:
        raise NotFoundError(f"scores of {name!r}", "none yet", f"Score it with `deft score {name}`.")
    counts = group_counts.read_counts(view.discrepancy.parent)
    curve = reliability.split_half(counts)
    verdict = reliability.verdict(curve, counts.conversations, reliability.chance(counts))
    tops = reliability.top_tokens(read_table(view.discrepancy.parent), reliability.bootstrap(counts), top)
    preferred, dispreferred = (_rows(side) for side in tops)
    if as_json:
        about = asdict(verdict) | {"split_half": _rows(curve)}
        print_values({"preferred": preferred, "dispreferred": dispreferred, "reliability": about}, as_json)
        return
    print_rows("preferred", preferred, as_json)
    print_rows("dispreferred", dispreferred, as_json)
    print_values(asdict(verdict), as_json)


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
