"""The `deft` command: a thin shell over the library. Data on standard output, progress and messages on standard error.

Every command takes --json: one object on one line. It ends with 0, with 1 and a message in three parts, or with 2 for wrong
usage. Heavy libraries are imported inside the command that needs them.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deft_core import DEFAULT_MODEL
from deft_core.commands import compare, decisions, discrepancy, evaluate, export, noise, refused, runs, selections, train, what_if
from deft_core.commands.options import Json, Name, ScoreId
from deft_core.errors import DeftError, InputError
from deft_core.status import duration
from deft_core.terminal import ProgressLine, explain, print_rows, print_values, say
from deft_core.workspace import Workspace, default_root

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

_MAKE_A_WORKSPACE = ("app", "demo", "import")  # and `run unpack`

Model = Annotated[str, typer.Option(help="The default model, a local folder or a Hub id.")]
Limit = Annotated[int | None, typer.Option(help="Score only the first so many rows by id.")]
BatchTokens = Annotated[
    int | None, typer.Option(help="Padded tokens in one forward pass; else what the score set began with, or what suits the device.")
]
MaxLength = Annotated[int, typer.Option(help="Tokens of prompt and one response; longer prompts are cut from the left.")]


def main() -> None:
    """Run the command; SIGTERM ends it as Ctrl-C does, so that a status file says "stopped"."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except DeftError as error:
        explain(error)
        sys.exit(1)
    except OSError as error:  # a disk that is full, a folder that may not be written
        where = str(error.filename or "the file named")
        explain(DeftError(f"to read or write {where}", error.strerror or str(error), "Check the path, its rights and the space left."))
        sys.exit(1)


@app.callback()
def _root(
    context: typer.Context,
    workspace: Annotated[Path | None, typer.Option(help="The workspace's folder; else DEFT_WORKSPACE, else data/workspace.")] = None,
) -> None:
    context.obj = Workspace(workspace or default_root())
    root = context.obj.root.absolute()
    if root.exists() and not root.is_dir():
        raise InputError("a folder for the workspace", f"a file: {root}", "Name a folder by --workspace or DEFT_WORKSPACE.")
    needless = context.invoked_subcommand in _MAKE_A_WORKSPACE or {"--help", "unpack"} & set(sys.argv)
    if not root.exists() and not needless:
        say(f"There is no workspace at {root}: `deft import` and `deft demo` make one, --workspace and DEFT_WORKSPACE name another.")


@app.command("app")
def open_app(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on localhost.")] = 8501,
    demo: Annotated[bool, typer.Option("--demo", help="First fetch the default model, import the demo and start scoring it.")] = False,
) -> None:
    """Open the dashboard on localhost."""
    from deft_core import dashboard

    dashboard.check_port(port)
    if demo:
        dashboard.prepare_demo(context.obj, say)
    dashboard.serve(context.obj, port)


@app.command()
def demo(context: typer.Context, as_json: Json = False) -> None:
    """Import the bundled demo and score it."""
    from deft_core.demo import DEMO, import_demo

    import_demo(context.obj)
    _score(context.obj, DEMO, {}, as_json)


@app.command("import")
def import_(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A file, folder, glob, saved `datasets` folder or Hub id.")],
    name: Annotated[str, typer.Option(help="What to call the dataset.")],
    format: Annotated[str | None, typer.Option(help="Force a format instead of detecting it; docs/formats.md lists them.")] = None,
    fields: Annotated[
        list[str] | None, typer.Option(help="field=column, for layouts that no format knows: --fields prompt=question ...")
    ] = None,
    more_fields: Annotated[list[str] | None, typer.Argument(metavar="[FIELD=COLUMN]...", help="More field mappings.")] = None,
    split: Annotated[str | None, typer.Option(help="Read only this split of the source.")] = None,
    heldout: Annotated[float, typer.Option(help="Share of the conversations held out.")] = 0.1,
    judge: Annotated[float, typer.Option(help="Share of the conversations kept for fitting the judge.")] = 0.1,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a dataset of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Read a preference set into the workspace; what cannot be used is listed with its reason."""
    from deft_core.importing import import_source

    mapping = _mapping([*(fields or []), *(more_fields or [])])
    with ProgressLine() as line:
        report = import_source(
            context.obj,
            source,
            name,
            format=format,
            fields=mapping or None,
            split=split,
            heldout=heldout,
            judge=judge,
            replace=replace,
            progress=lambda rows: line.show({"phase": f"reading, {rows:,} rows so far"}),
        )
    if report.rows_refused:
        say(refused.counted(context.obj.dataset_info(name)["reasons"], name))
    print_values(asdict(report), as_json)


def _mapping(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise InputError("--fields as field=column", ", ".join(wrong), "Write for example --fields prompt=question chosen=better.")
    return dict(pair.split("=", 1) for pair in pairs)


@app.command()
def datasets(context: typer.Context, as_json: Json = False) -> None:
    """List the datasets of the workspace."""
    keys = ("name", "format", "rows_read", "rows_kept", "rows_refused", "train", "heldout", "judge", "created", "source")
    infos = [context.obj.dataset_info(name) for name in context.obj.dataset_names()]
    print_rows("datasets", [{key: info[key] for key in keys} for info in infos], as_json)


@app.command()
def score(
    context: typer.Context,
    name: Name,
    model: Model = DEFAULT_MODEL,
    limit: Limit = None,
    batch_tokens: BatchTokens = None,
    max_length: MaxLength = 1024,
    share: Annotated[
        bool, typer.Option("--share", help="Beside a process that scores the same set: take parts of its work, instead of following it.")
    ] = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster (docs/scale.md).")] = "local",
    slot_cpus: Annotated[int | None, typer.Option(min=1, help="With --engine ray: cores of a slot, which holds the model; else 1.")] = None,
    as_json: Json = False,
) -> None:
    """Score every response with a language model; goes on where an earlier run stopped."""
    if share and engine == "ray":
        raise InputError("--share or --engine ray", "both", "A cluster shares the work by itself: leave --share out.")
    if slot_cpus and engine == "local":
        raise InputError("--slot-cpus with --engine ray", "--engine local", "Set OMP_NUM_THREADS for the cores of a local run.")
    settings = {"model": model, "limit": limit, "batch_tokens": batch_tokens, "max_length": max_length}
    _score(context.obj, name, settings, as_json, engine=engine, slot_cpus=slot_cpus or 1, share=share)


def _score(
    workspace: Workspace,
    name: str,
    settings: Mapping[str, Any],
    as_json: bool,
    *,
    engine: str = "local",
    slot_cpus: int = 1,
    share: bool = False,
) -> None:
    """Score, and print the report."""
    from deft_core.lm.score_settings import ScoreSettings

    asked, rows = ScoreSettings(**settings), workspace.dataset_info(name)["rows_kept"]  # refused before torch is imported
    from deft_core.lm import ray_engine, score_set

    with ProgressLine() as line:
        made_by = None
        if engine == "ray":
            line.show({"phase": "connecting to the cluster"})
            made_by = ray_engine.RayEngine(slot_cpus)
        report = score_set.score(workspace, name, asked, line.show, engine=made_by, share=share)
    if report.pairs < rows:
        say(f"{report.pairs:,} of {rows:,} rows are scored; the same command without --limit goes on")
    print_values(asdict(report) | {"seconds": report.seconds if as_json else duration(report.seconds)}, as_json)


@app.command()
def query(
    context: typer.Context,
    name: Name,
    sql: Annotated[str, typer.Argument(help="One SELECT over the view `pairs`.")],
    score_id: ScoreId = None,
    run: Annotated[str | None, typer.Option(help="Add what this run made of single rows: kept, margins, learned.")] = None,
    format: Annotated[str | None, typer.Option(help="json, csv or parquet; else by the ending of --out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Answer a read-only SQL question about a dataset and its scores."""
    from deft_core import flips, overrides, queries, tables

    form = tables.format_for(out, format)
    view = queries.open_view(context.obj, name, score_id or queries.NEWEST, run)
    rows = queries.user_sql(view, sql, flipped=flips.flipped_pairs(view, overrides.load(context.obj, name).flipped))
    if out is not None:
        tables.write(rows, out, form)
        print_values({"rows": rows.num_rows, "path": str(out)}, as_json)
    elif as_json:
        typer.echo(tables.as_json({"rows": rows.to_pylist()}))
    elif form == "csv":
        tables.write_csv(rows, sys.stdout)
    else:
        print_rows("rows", rows.to_pylist(), as_json)


app.add_typer(compare.app)
app.add_typer(decisions.app)
app.add_typer(discrepancy.app)
app.add_typer(evaluate.app)
app.add_typer(export.app)
app.add_typer(noise.app)
app.add_typer(refused.app)
app.add_typer(runs.app)
app.add_typer(selections.app)
app.add_typer(train.app)
app.add_typer(what_if.app)
