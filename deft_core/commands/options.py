"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Json", "Name", "ScoreId"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line.")]
Name = Annotated[str, typer.Argument(help="A dataset of the workspace.")]
ScoreId = Annotated[str | None, typer.Option(help="A score set; else the newest one.")]
