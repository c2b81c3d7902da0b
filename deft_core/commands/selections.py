"""`deft select`, `deft selections`, `deft selection ...`: subsets saved as versions, listed, compared, restored, renamed, deleted."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from deft_core.commands.options import Json, Name, ScoreId
from deft_core.errors import InputError
from deft_core.terminal import print_rows, print_values, say

__all__ = ["app"]

app = typer.Typer()
selection = typer.Typer(no_args_is_help=True, help="Compare, restore, rename or delete saved selections.")
app.add_typer(selection, name="selection")

KEEP_HELP = "highest, lowest, middle, random, stratified or range; not given: what the other options imply, else random."
Reference = Annotated[str, typer.Argument(help="A selection, or one version of it: best, best@2 or best@v2.")]


@app.command()
def select(
    context: typer.Context,
    name: Name,
    as_: Annotated[str, typer.Option("--as", help="The selection's name; where it is there already, this is its next version.")],
    keep: Annotated[str | None, typer.Option(help=KEEP_HELP)] = None,
    by: Annotated[str | None, typer.Option(help="The column of numbers to go by; not given: reward_chosen.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the rows that take part; 0.05 where no amount is given.")] = None,
    count: Annotated[int | None, typer.Option(help="Number of rows.")] = None,
    value: Annotated[float | None, typer.Option(help="highest: at least this; lowest: at most this.")] = None,
    low: Annotated[float | None, typer.Option(help="range: from this, included.")] = None,
    high: Annotated[float | None, typer.Option(help="range: to this, included.")] = None,
    where: Annotated[str, typer.Option(help="Only rows for which this condition over the view `pairs` is true.")] = "",
    seed: Annotated[int, typer.Option(help="Of chance.")] = 0,
    strata: Annotated[str | None, typer.Option(help="stratified: by source (also where not given), or by length in five bands.")] = None,
    within: Annotated[
        str | None, typer.Option(help="stratified: highest (also where not given), lowest or random rows of a stratum.")
    ] = None,
    score_id: ScoreId = None,
    note: Annotated[str, typer.Option(help="A text to keep with the version.")] = "",
    as_json: Json = False,
) -> None:
    """Save what a rule and the decisions keep as a new version of a selection."""
    from deft_core import queries, selecting, selections
    from deft_core.rule import usual, words

    options = {"keep": keep, "by": by, "fraction": fraction, "count": count, "value": value, "low": low, "high": high}
    options |= {"where": where, "seed": seed, "strata": strata, "within": within}
    if (strata or within) and keep not in (None, "stratified"):
        raise InputError("--strata and --within with --keep stratified", f"--keep {keep}", "Leave them out, or keep by strata.")
    scored = bool(queries.open_view(context.obj, name, score_id or queries.NEWEST).parts)
    rule = usual({option: given for option, given in options.items() if given is not None}, scored)
    draft = selecting.draft(context.obj, name, rule, score_id or queries.NEWEST, say)
    saved = selections.save(context.obj, as_, draft, note)
    values = {"selection": saved.name, "version": saved.version, "kept": saved.kept, "dropped": saved.dropped}
    values |= {"fingerprint": saved.fingerprint, "kept_by_hand": int((draft.rows["by"] == "hand").sum())}
    print_values(values | {"score_id": saved.score_id, "rule": words(saved.rule)}, as_json)


@app.command("selections")
def list_selections(context: typer.Context, as_json: Json = False) -> None:
    """List every version of every selection, newest first."""
    from deft_core import selections

    print_rows("selections", [_row(one) for one in selections.listing(context.obj)], as_json)


def _row(listed: Any) -> dict[str, Any]:
    from deft_core.rule import words

    about, row = listed.about, {"selection": listed.name, "version": listed.version}
    if about is None:
        nothing = dict.fromkeys(("dataset", "rule", "kept", "dropped", "created", "fingerprint", "score_id", "note"))
        return row | nothing | {"problem": str(listed.problem)}
    row |= {"dataset": about.dataset, "rule": words(about.rule), "kept": about.kept, "dropped": about.dropped, "created": about.created}
    return row | {"fingerprint": about.fingerprint, "score_id": about.score_id, "note": about.note, "problem": None}


@selection.command()
def compare(context: typer.Context, a: Reference, b: Reference, as_json: Json = False) -> None:
    """Rows that two versions have in common, and those of only one."""
    from deft_core import selections

    found = selections.compare(context.obj, a, b)
    values: dict[str, Any] = {"a": a, "b": b, "both": len(found.both), "only_a": len(found.only_a), "only_b": len(found.only_b)}
    values["flipped_otherwise"] = len(found.flipped_otherwise)
    ids = {"ids_only_a": found.only_a, "ids_only_b": found.only_b, "ids_flipped_otherwise": found.flipped_otherwise}
    print_values(values | (ids if as_json else {}), as_json)


@selection.command()
def restore(context: typer.Context, version: Reference, as_json: Json = False) -> None:
    """Make an old version the newest one: a new version with the same rule and rows."""
    from deft_core import selections

    name, number = selections.parse(version)
    if number is None:
        raise InputError("the version to restore, as name@2", repr(version), "`deft selections` lists the versions.")
    saved = selections.restore(context.obj, name, number)
    values = {"selection": saved.name, "version": saved.version, "kept": saved.kept, "dropped": saved.dropped}
    print_values(values | {"fingerprint": saved.fingerprint, "restores": saved.restores}, as_json)


@selection.command()
def rename(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A selection.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    as_json: Json = False,
) -> None:
    """Give a selection, with all its versions, another name."""
    from deft_core import selections

    selections.rename(context.obj, name, new)
    print_values({"selection": new, "versions": selections.versions(context.obj, new)}, as_json)


@selection.command()
def delete(
    context: typer.Context,
    name: Reference,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a version, or a selection with all its versions. A version's number is never given again."""
    from deft_core import selections

    name, number = selections.parse(name)
    there = selections.versions(context.obj, name)
    if not yes and there:
        what = f"version {number} of {name}" if number else f"{name} with all its versions ({', '.join(map(str, there))})"
        if not sys.stdin.isatty():
            raise InputError("--yes", f"no terminal to ask on whether to delete {what}", "Add --yes where that is meant.")
        typer.confirm(f"Delete {what}?", abort=True, err=True)
    print_values({"selection": name, "deleted": selections.delete(context.obj, name, number)}, as_json)
