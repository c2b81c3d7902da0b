"""`deft train --preflight`: what a run would take, and whether it fits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from deft_core.errors import DeftError
from deft_core.runs.spec import Settings
from deft_core.terminal import print_values
from deft_core.workspace import Workspace

__all__ = ["say"]


def say(workspace: Workspace, reference: str, settings: Settings, as_json: bool) -> None:
    """Prints it; raises the first thing that keeps the run from working."""
    found = _report(workspace, reference, settings)
    print_values(found if as_json else _for_people(found), as_json)
    for problem in found["problems"]:
        if problem["blocks"]:
            raise DeftError("a run that fits", problem["words"], problem["remedy"])


def _for_people(found: dict[str, Any]) -> dict[str, Any]:
    """Parts a line each, bytes as gigabytes."""
    lines: dict[str, Any] = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    for group in ("left_out", "seconds", "memory", "disk", "device"):
        for name, value in (found[group] or {}).items():
            held = group == "memory" or name.endswith("_bytes")
            words = f"{group}: {name.removesuffix('_bytes')}"
            lines[words] = (
                f"{value / 1e9:,.2f} GB" if held and value is not None else f"{value:,.1f}" if isinstance(value, float) else value
            )
    return lines | {f"problem {number}": problem["words"] for number, problem in enumerate(found["problems"], start=1)}


def _report(workspace: Workspace, reference: str, settings: Settings) -> dict[str, Any]:
    """A run of this selection with these settings on this machine."""
    from deft_core.runs import device, facts, monitor, prepare, speeds
    from deft_core.runs.preflight import preflight

    known = facts.facts(workspace, prepare.source(workspace, reference))
    speed = speeds.measured(workspace, monitor.listing(workspace), known.model, settings)
    found = preflight(known, settings, device.device(), device.free_disk_bytes(workspace.root), speed)
    memory = asdict(found.memory) | {"peak": found.memory.peak} if found.memory else None
    values: dict[str, Any] = {"selection": known.reference, "rows": found.rows, "left_out": known.left_out, "steps": found.steps}
    values |= {"evaluations": found.evaluations, "tokens": found.tokens, "seconds": asdict(found.seconds) | {"total": found.seconds.total}}
    values |= {"memory": memory, "device": asdict(found.device), "disk": asdict(found.disk) if found.disk else None}
    return values | {"problems": [asdict(problem) for problem in found.problems], "fits": found.fits}
