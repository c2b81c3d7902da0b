"""A run that is about to be started from a page, as the command and as lines of Python: the same run, to be copied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from deft_core.runs.spec import Settings

__all__ = ["changed", "command", "python_lines"]

_OPTIONS = ("method", "guidance", "epochs", "steps", "lr", "beta", "seed", "eval_steps", "eval_rows", "lora_rank")  # of `deft train`
_ARGUMENTS = {"random": "control", "full": "full", "unguided": "unguided"}  # of groups.start_group


def changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not what they are by themselves, given the method and the rank; these two, guidance and lr always."""
    usual = Settings(settings.method, lora_rank=settings.lora_rank)
    names = [field.name for field in fields(Settings)]
    found = {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(usual, name)}
    if settings.steps is not None:  # they win
        found.pop("epochs", None)
    rank = {"lora_rank": settings.lora_rank} if settings.lora_rank else {}
    return {"method": settings.method, "guidance": settings.guidance} | rank | {"lr": settings.lr} | found


def command(root: Path, reference: str, settings: Settings, against: Collection[str] = (), name: str | None = None) -> str:
    """`deft train ...` for a shell, an option a line."""
    parts = [f"deft --workspace {shlex.quote(str(root))} train {shlex.quote(reference)}"]
    for setting, value in changed(settings).items():
        if setting == "guidance":
            parts.append(f"--guidance {'auto' if value is None else f'{value:g}'}")
        elif setting in _OPTIONS:
            parts.append(f"--{setting.replace('_', '-')} {shlex.quote(str(value))}")
        else:
            parts.append(f"--set {setting}={shlex.quote(value if isinstance(value, str) else json.dumps(value))}")
    parts += [f"--control {role}" for role in _ARGUMENTS if role in against]
    parts += [f"--name {shlex.quote(name)}"] if name else []
    return " \\\n  ".join(parts)


def python_lines(root: Path, reference: str, settings: Settings, against: Collection[str] = (), name: str | None = None) -> str:
    """A script that starts the same runs."""
    given = ", ".join(f"{setting}={value!r}" for setting, value in changed(settings).items())
    others = [f"{argument}={role in against}" for role, argument in _ARGUMENTS.items() if (role in against) != (role == "random")]
    others += [f"name={name!r}"] if name else []
    call = ", ".join([f"Workspace(Path({str(root)!r}))", repr(reference), "settings", *others])
    imports = ["from pathlib import Path", "", "from deft_core.runs import groups", "from deft_core.runs.spec import Settings"]
    lines = [
        *imports,
        "from deft_core.workspace import Workspace",
        "",
        f"settings = Settings({given})",
        f"print(groups.start_group({call}))",
    ]
    return "\n".join(lines)
