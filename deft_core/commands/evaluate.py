"""`deft evaluate`: what a finished run is worth, beside its base."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deft_core.commands.options import Json
from deft_core.status import duration
from deft_core.terminal import ProgressLine, print_rows, print_values

__all__ = ["app", "cell"]

app = typer.Typer()


@app.command()
def evaluate(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(help="A finished run, as `deft runs` lists it.")],
    reward_model: Annotated[
        str | None, typer.Option(help="Judge by this sequence-classification model instead of the base's states.")
    ] = None,
    bart_model: Annotated[str | None, typer.Option(help="Add BARTScore by this sequence-to-sequence model.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Take the margins by row, too, that Explore shows beside the rewards.")] = False,
    as_json: Json = False,
) -> None:
    """Evaluate a finished run against its base: alignment, generalisation, cost."""
    folder = context.obj.existing_run(run_id)
    from deft_core.lm.evaluation import evaluate_run
    from deft_core.lm.row_margins import measure

    with ProgressLine() as line:
        found = evaluate_run(folder, reward_model=reward_model, bart_model=bart_model, say=line.show)
        if rows:
            measure(folder, line.show)
    if as_json:
        print_values(found, as_json)
        return
    for section in ("alignment", "generalisation"):
        lines = [_row(name, figures) for name, figures in found[section].items()]
        judge = [{"measure": "judge accuracy", "base": cell(found["judge"]["accuracy"]), "tuned": "", "difference": ""}]
        print_rows(section, lines + judge if section == "alignment" else lines, as_json)
    print_values({"judge": found["judge"]["words"]} | _costs(found["cost"]), as_json)


def _row(name: str, figures: dict[str, Any]) -> dict[str, str]:
    cells = {side: cell(figures[side]) for side in ("base", "tuned", "difference")}
    return {"measure": name.replace("_", " ")} | cells


def cell(figure: dict[str, Any] | None, sign: str = "") -> str:
    """A figure with its interval: 0.61 [0.52, 0.70]; empty where there is none."""
    if figure is None or figure["value"] is None:
        return ""
    value = f"{figure['value']:{sign}.3g}"
    return value if figure["low"] is None else f"{value} [{figure['low']:{sign}.3g}, {figure['high']:{sign}.3g}]"


def _costs(cost: dict[str, Any]) -> dict[str, Any]:
    return {name: duration(value) if name.endswith("_seconds") and value is not None else value for name, value in cost.items()}
