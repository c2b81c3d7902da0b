"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Json", "Name"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line.")]
Name = Annotated[str, typer.Argument(help="A dataset of the workspace.")]
