"""`deft train`: starts a fine-tuning run on a saved selection, and its random control."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deft_core.commands.options import Json
from deft_core.errors import DeftError, InputError
from deft_core.terminal import ProgressLine, print_values

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
    lr: Annotated[float | None, typer.Option(help="Learning rate; else 5e-6, with LoRA 1e-4.")] = None,
    beta: Annotated[float | None, typer.Option(help="Of DPO, IPO and SimPO; else the method's usual one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the rows' order, of LoRA's first weights and of a control's rows.")] = 0,
    eval_steps: Annotated[int | None, typer.Option(help="Steps from one evaluation to the next; else five in all.")] = None,
    eval_rows: Annotated[int, typer.Option(help="Held-out prompts that evaluations look at.")] = 64,
    lora_rank: Annotated[int, typer.Option(help="Rank of LoRA adapters; 0: all weights learn.")] = 0,
    control: Annotated[str | None, typer.Option(help="random: also a run on as many rows of the same pool by chance.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it until it has ended; it goes on whatever becomes of this command.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start a fine-tuning run; it goes on by itself, in its turn."""
    from deft_core.runs import launch, monitor
    from deft_core.runs.prepare import prepare, prepare_control
    from deft_core.runs.spec import Settings

    if control not in (None, "random"):
        raise InputError("--control random, or none", repr(control), "Leave it out, or write --control random.")
    settings = Settings(
        method=method,
        guidance=_guidance(guidance),
        epochs=epochs,
        steps=steps,
        lr=lr,
        beta=beta,
        seed=seed,
        eval_steps=eval_steps,
        eval_rows=eval_rows,
        lora_rank=lora_rank,
    )
    run = prepare(context.obj, selection, settings, name=name)
    runs = [run.run_id, *([prepare_control(context.obj, run.run_id, seed=seed).run_id] if control else [])]
    for run_id in runs:
        launch.start(context.obj, run_id)
    folders = [context.obj.run(run_id) for run_id in runs]
    if wait:
        _follow(folders)
    report = {"run": runs[0], "control": runs[1] if control else None, "status": monitor.status(folders[0])}
    print_values(report, as_json)
    if wait:
        _check_finished(folders)


def _guidance(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError("--guidance as a number or auto", repr(text), "Write for example --guidance auto.") from None


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
