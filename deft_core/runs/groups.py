"""A run with those it is held against, started together: its random control, the full set, the same without guidance.

They wait in this order for the device, have one held-out sample, and take the omega that the first of them measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from deft_core.errors import DeftError, InputError
from deft_core.runs import launch, monitor
from deft_core.runs.prepare import prepare, prepare_control, prepare_full, prepare_unguided
from deft_core.runs.spec import ROLES, Run, Settings
from deft_core.workspace import Workspace

__all__ = ["Group", "members", "prepare_group", "start_group"]


@dataclass(frozen=True)
class Group:
    group: str  # the id of its first run
    runs: tuple[str, ...]  # ids in the order in which they run


def start_group(
    workspace: Workspace,
    reference: str,
    settings: Settings,
    *,
    name: str | None = None,
    control: bool = True,
    full: bool = False,
    unguided: bool = False,
    start: Callable[[Workspace, str], object] = launch.start,
) -> Group:
    """Prepares all of them, or none where one is refused, and starts them one behind the other."""
    wanted = {"random": control, "full": full, "unguided": unguided}
    group = prepare_group(workspace, reference, settings, [role for role, asked in wanted.items() if asked], name=name)
    for run_id in group.runs:
        start(workspace, run_id)
    return group


def prepare_group(
    workspace: Workspace, reference: str, settings: Settings, against: Collection[str] = (), *, name: str | None = None
) -> Group:
    """The run and those of the roles `against` it, ready to be started; a refusal takes away what was made."""
    unknown = sorted(set(against) - set(ROLES[1:]))
    if unknown:
        raise InputError(f"{', '.join(ROLES[1:-1])} or {ROLES[-1]} beside a run", repr(unknown[0]), "Name one of these, or none.")
    made: list[Run] = []
    try:
        made.append(prepare(workspace, reference, settings, name=name))
        first = made[0].run_id
        if "random" in against:
            made.append(prepare_control(workspace, first, seed=settings.seed))
        if "full" in against:
            made.append(prepare_full(workspace, first))
        if "unguided" in against:
            made.append(prepare_unguided(workspace, first))
    except BaseException:
        for run in made:
            with suppress(DeftError, OSError):  # the first error is the one to tell
                launch.delete(workspace, run.run_id)
        raise
    return Group(first, tuple(run.run_id for run in made))


def members(workspace: Workspace, group: str) -> list[Run]:
    """The runs of a group that are there, in the order of ROLES and then of time."""
    found = [one.run for one in monitor.listing(workspace) if one.run and one.run.group == group]
    return sorted(found, key=lambda run: (ROLES.index(run.role), run.created, run.run_id))
