"""`deft runs`, `deft run ...`: the fine-tuning runs, one of them, its log; stopping, resuming and deleting it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deft_core.commands.options import Json
from deft_core.errors import InputError
from deft_core.terminal import print_rows, print_values, printable, say

__all__ = ["app"]

app = typer.Typer()
run = typer.Typer(no_args_is_help=True, help="Show, follow, stop, resume or delete a run; take one to another machine and back.")
app.add_typer(run, name="run")

RunId = Annotated[str, typer.Argument(help="A run, as `deft runs` lists it.")]


@app.command()
def runs(context: typer.Context, as_json: Json = False) -> None:
    """List the runs, newest first."""
    from deft_core.runs import monitor

    rows = [_row(one) for one in monitor.listing(context.obj)]
    print_rows("runs", rows, as_json)


def _row(one: Any) -> dict[str, Any]:
    """A monitor.Listed as a line."""
    about, progress = one.run, one.progress
    row = {"run": one.run_id, "status": one.status, "step": progress.step, "of": progress.of, "seconds_left": progress.seconds_left}
    if about is None:
        nothing = dict.fromkeys(("name", "selection", "method", "rows", "control_of", "created"))
        return row | nothing | {"problem": str(one.problem), "group": None, "role": None}
    described = {"name": one.name, "selection": f"{about.selection}@{about.version}", "method": about.settings.method, "rows": about.rows}
    described |= {"control_of": about.control_of, "created": about.created, "problem": one.problem and str(one.problem)}
    return row | described | {"group": about.group, "role": about.role}


@run.command("show")
def show(context: typer.Context, run_id: RunId, as_json: Json = False) -> None:
    """One run: how it stands, and its newest figures."""
    from dataclasses import asdict

    from deft_core.runs import metrics, monitor
    from deft_core.runs.spec import read_run

    folder = context.obj.existing_run(run_id)
    about, progress = read_run(folder), monitor.progress(folder)
    events = metrics.standing(metrics.read(folder)[0])
    training, heldout = _newest(events, "step"), _newest(events, "evaluation")
    words = monitor.last_words(folder) or (None, None)
    report = {"run": run_id, "status": monitor.status(folder), "step": progress.step, "metrics": training | heldout}
    report |= {
        "of": progress.of,
        "seconds": progress.seconds,
        "seconds_left": progress.seconds_left,
        "message": words[0],
        "remedy": words[1],
    }
    report |= {"alerts": [{key: event[key] for key in ("step", "kind", "words")} for event in events if event["event"] == "alert"]}
    report |= {"training": training, "heldout": heldout, "about": asdict(about)}
    print_values(report if as_json else _for_people(report), as_json)


def _newest(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The values of the last event of a kind."""
    last: dict[str, Any] = next((event for event in reversed(events) if event["event"] == kind), {})
    return {name: value for name, value in last.items() if name not in ("event", "step", "time")}


def _for_people(report: dict[str, Any]) -> dict[str, Any]:
    """Without what only programs read; figures and alerts a line each."""
    found: dict[str, Any] = {key: report[key] for key in ("run", "status", "step", "of", "seconds_left", "message", "remedy")}
    found |= {key: report["about"][key] for key in ("name", "selection", "version", "model", "rows", "control_of", "created")}
    found |= {f"{alert['kind']} at step {alert['step']}": alert["words"] for alert in report["alerts"]}
    found |= report["training"]
    return found | {f"held out: {name}": value for name, value in report["heldout"].items()}


@run.command("log")
def log(
    context: typer.Context,
    run_id: RunId,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 20,
    as_json: Json = False,
) -> None:
    """The last lines of what a run's processes wrote."""
    from deft_core.runs import monitor

    found = monitor.log_tail(context.obj.existing_run(run_id), lines)
    if not found:
        say(f"{run_id} has no log: the dashboard and `deft` write one; torchrun, accelerate and the worker alone write to their terminal.")
    if as_json:
        print_values({"run": run_id, "lines": found}, as_json)
    else:
        typer.echo(printable("\n".join(found)))


@run.command("stop")
def stop(
    context: typer.Context,
    run_id: RunId,
    grace: Annotated[float, typer.Option(min=0, help="Seconds it has to save a checkpoint; then it is killed.")] = 120.0,
    as_json: Json = False,
) -> None:
    """Stop a run: it saves a checkpoint at the next step and ends."""
    from deft_core.runs import launch

    typer.echo(f"asked {run_id} to stop after the step under way", err=True)
    status = launch.stop(context.obj, run_id, grace)
    _report(context, run_id, status, as_json)


@run.command("resume")
def resume(context: typer.Context, run_id: RunId, as_json: Json = False) -> None:
    """Go on with a run that was stopped, failed or was lost, from its last checkpoint."""
    from deft_core.runs import launch, monitor

    launch.resume(context.obj, run_id)
    _report(context, run_id, monitor.status(context.obj.run(run_id)), as_json)


def _report(context: typer.Context, run_id: str, status: str, as_json: bool) -> None:
    from deft_core.runs import monitor

    print_values({"run": run_id, "status": status, "step": monitor.progress(context.obj.run(run_id)).step}, as_json)


@run.command("pack")
def pack(
    context: typer.Context,
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="One run or several, as `deft runs` lists them.")],
    to: Annotated[Path | None, typer.Option(help="The file to write; else <run-id>.tar in the current folder.")] = None,
    as_json: Json = False,
) -> None:
    """Write runs to one file, to run or to keep elsewhere; what has finished goes without its checkpoints."""
    from deft_core.runs import archive

    target = to or Path(f"{run_ids[0]}.tar")
    archive.pack(context.obj, run_ids, target)
    print_values({"runs": run_ids, "path": str(target), "bytes": target.stat().st_size}, as_json)


@run.command("unpack")
def unpack(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that `deft run pack` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of runs that were started here too.")] = False,
    model: Annotated[str | None, typer.Option(help="What the model is called here: a folder or a Hub id, with the same weights.")] = None,
    as_json: Json = False,
) -> None:
    """Put packed runs into this workspace: `deft run resume` starts those that have not finished."""
    from deft_core.runs import archive, monitor

    found = archive.unpack(context.obj, source, replace_runs=replace, model=model)
    status = {run_id: monitor.status(context.obj.run(run_id)) for run_id in found}
    print_values({"runs": found, "status": status}, as_json)


@run.command("delete")
def delete(
    context: typer.Context,
    run_id: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a run with its checkpoints and its model, for good."""
    from deft_core.runs import launch

    context.obj.existing_run(run_id)
    if not yes:
        what = f"{run_id} with its checkpoints and its model"
        if not sys.stdin.isatty():
            raise InputError("--yes", f"no terminal to ask on whether to delete {what}", "Add --yes where that is meant.")
        typer.confirm(f"Delete {what}?", abort=True, err=True)
    launch.delete(context.obj, run_id)
    print_values({"run": run_id, "deleted": True}, as_json)
