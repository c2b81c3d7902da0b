"""A run with those it is held against, started together: its random control, the full set, the same without guidance.

They wait in this order for the device, have one held-out sample, and take the omega that the first of them measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from deft_core.errors import DeftError, InputError
from deft_core.runs import launch, monitor
from deft_core.runs.prepare import prepare, prepare_control, prepare_full, prepare_unguided
from deft_core.runs.spec import ROLES, Run, Settings, read_run
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
    """Prepares all of them, or none where one is refused, and starts them one behind the other.

    Where one cannot be started, those before it go on and the rest is there to be resumed; where not even the first can, none is left.
    """
    wanted = {"random": control, "full": full, "unguided": unguided}
    group = prepare_group(workspace, reference, settings, [role for role, asked in wanted.items() if asked], name=name)
    for place, run_id in enumerate(group.runs):
        try:
            start(workspace, run_id)
        except (DeftError, OSError) as error:
            if place == 0:
                _take_away(workspace, group.runs)
                raise
            raise _halfway(workspace, group, place, error) from error
    return group


def _halfway(workspace: Workspace, group: Group, started: int, error: DeftError | OSError) -> DeftError:
    """What a person has to know of a group of which only the first runs were started."""
    names = [read_run(workspace.run(run_id)).name for run_id in group.runs]
    why = error.found if isinstance(error, DeftError) else error.strerror or str(error)
    found = f"{', '.join(names[:started])} started; {', '.join(names[started:])} not: {why}"
    remedy = "What has started goes on. See to the disk and its rights, then resume the others: they are in the list of runs as stopped."
    return DeftError(f"to start {len(names)} runs", found, remedy)


def _take_away(workspace: Workspace, run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        with suppress(DeftError, OSError):  # the first error is the one to tell
            launch.delete(workspace, run_id)


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
        _take_away(workspace, [run.run_id for run in made])
        raise
    return Group(first, tuple(run.run_id for run in made))


def members(workspace: Workspace, group: str) -> list[Run]:
    """The runs of a group that are there, in the order of ROLES and then of time."""
    found = [one.run for one in monitor.listing(workspace) if one.run and one.run.group == group]
    return sorted(found, key=lambda run: (ROLES.index(run.role), run.created, run.run_id))
