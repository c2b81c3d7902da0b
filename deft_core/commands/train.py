"""`deft train`: starts a fine-tuning run on a saved selection, and those it is held against."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from deft_core.commands.options import Json
from deft_core.errors import DeftError, InputError
from deft_core.terminal import ProgressLine, print_values, say
from deft_core.workspace import Workspace

__all__ = ["app"]

app = typer.Typer()
_POLL_SECONDS = 0.5


@app.command()
def train(
    context: typer.Context,
    selection: Annotated[str, typer.Argument(help="A selection, or one version of it: best, best@2 or best@v2.")],
    method: Annotated[str, typer.Option(help="dpo, pro, sft, ipo, simpo or orpo.")] = "dpo",
    guidance: Annotated[str, typer.Option(help="Weight of the guidance term; auto: 10 % of the loss's gradient; 0: none.")] = "0",
    epochs: Annotated[float, typer.Option(help="Passes over the rows.")] = 1.0,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimiser instead of epochs.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; else by the size of the model, as docs/training.md tells.")] = None,
    beta: Annotated[float | None, typer.Option(help="Of DPO, IPO and SimPO; else the method's usual one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the rows' order, of LoRA's first weights and of a control's rows.")] = 0,
    eval_steps: Annotated[
        int | None, typer.Option(help="Steps from one evaluation to the next; else five in all; 0: none before the end.")
    ] = None,
    eval_rows: Annotated[int, typer.Option(help="Held-out prompts that evaluations look at.")] = 64,
    lora_rank: Annotated[int, typer.Option(help="Rank of LoRA adapters; 0: all weights learn.")] = 0,
    control: Annotated[
        list[str] | None,
        typer.Option(
            help="What to hold it against, may be given several times. random: as many rows of the same pool by chance; full: all rows of "
            "that pool; unguided: the same without guidance."
        ),
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, as run.json names it; several times.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    preflight: Annotated[
        bool, typer.Option("--preflight", help="Start nothing: say what the run would take, and whether it fits.")
    ] = False,
    later: Annotated[
        bool, typer.Option("--later", help="Start nothing: make the run folder, for `deft run resume` or `deft run pack`.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it until it has ended; it goes on whatever becomes of this command.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a fine-tuning run; it goes on by itself, in its turn."""
    from deft_core.runs import groups, launch, monitor
    from deft_core.runs.spec import Settings

    given = {
        "method": method,
        "guidance": _guidance(guidance),
        "epochs": epochs,
        "steps": steps,
        "lr": lr,
        "beta": beta,
        "seed": seed,
        "eval_steps": eval_steps,
        "eval_rows": eval_rows,
        "lora_rank": lora_rank,
    } | dict(_setting(text) for text in other or [])
    settings = Settings.from_dict(given)
    if given["lr"] is None:
        settings = replace(settings, lr=_rate(context.obj, selection, bool(settings.lora_rank)) or settings.lr)
    if later and wait:
        raise InputError("--later or --wait", "both", "A run that is not started cannot be followed: leave one of them out.")
    if preflight:
        from deft_core.commands.preflight import say as say_ahead

        say_ahead(context.obj, selection, settings, as_json)
        return
    group = groups.prepare_group(context.obj, selection, settings, control or [], name=name)
    for run_id in () if later else group.runs:
        launch.start(context.obj, run_id)
    folders = [context.obj.run(run_id) for run_id in group.runs]
    if wait:
        _follow(folders)
    random = group.runs[1] if "random" in (control or []) else None
    report = {"run": group.group, "control": random, "status": monitor.status(folders[0]), "group": list(group.runs)}
    for folder in folders if later else []:
        say(f"made {folder}, which nothing runs yet")
    print_values(report, as_json)
    if wait:
        _check_finished(folders)


def _rate(workspace: Workspace, selection: str, adapters: bool) -> float | None:
    from deft_core.runs import defaults, prepare
    from deft_core.runs.facts import model_size

    made_from = prepare.source(workspace, selection)
    return defaults.rate(model_size(workspace.score_set(made_from.saved.dataset, made_from.score_id), made_from.about), adapters)


def _guidance(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError("--guidance as a number or auto", repr(text), "Write for example --guidance auto.") from None


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of a setting: a number, true, false or null as JSON has them, else a word."""
    from dataclasses import fields

    from deft_core.runs.spec import Settings

    name, equals, value = text.partition("=")
    known = [field.name for field in fields(Settings)]
    if not equals or name not in known:
        remedy = "Write for example --set gradient_checkpointing=true."
        raise InputError(f"--set NAME=VALUE with one of {', '.join(known)}", repr(text), remedy)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _follow(folders: Sequence[Path]) -> None:
    """Until all have ended; what the first one that lives says is shown. Ctrl-C ends the following alone."""
    from deft_core.runs import monitor
    from deft_core.status import read_status

    try:
        with ProgressLine() as line:
            while living := [folder for folder in folders if monitor.status(folder) in monitor.LIVE]:
                said = read_status(living[0]) or {}
                line.show(said | {"phase": f"{living[0].name} {said.get('phase', '')}"})
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        typer.echo(f"{', '.join(folder.name for folder in folders)} goes on; `deft run stop` ends it.", err=True)
        raise


def _check_finished(folders: Sequence[Path]) -> None:
    from deft_core.runs import monitor

    for folder in folders:
        if (state := monitor.status(folder)) != "finished":
            message, remedy = monitor.last_words(folder) or ("somebody stopped it", f"`deft run resume {folder.name}` goes on.")
            raise DeftError(
                f"{folder.name} to finish", f"that it {'was ' if state in ('stopped', 'lost') else ''}{state}: {message}", remedy
            )
