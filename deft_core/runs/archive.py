"""A run folder as one file, to be run on another machine and brought back: `deft run pack`, `deft run unpack`.

An archive is a plain tar (Parquet and weights do not get smaller), `<run-id>/...` for each run in it. Nothing in it is trusted: only plain
files and folders that stay below a run's own folder are written, beside the workspace's runs first, and a run takes its place
when all of it is there and its run.json is that of a run.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from deft_core import file_names
from deft_core.errors import DeftError, InputError, first_line
from deft_core.runs import monitor, queue
from deft_core.runs.spec import Run, read_run, take_omega, write_run
from deft_core.workspace import Workspace, checked_name, replace_atomically

__all__ = ["pack", "unpack"]

_PIECE_BYTES = 1 << 20


def pack(workspace: Workspace, run_ids: Sequence[str], target: Path) -> None:
    """Writes the archive, all of it or nothing. Checkpoints go along where the run has not finished: it goes on from the last of them.

    Raises InputError for a run that lives (its files change), and for one that waits for a guidance weight which another run, not
    packed with it, has to measure first.
    """
    if target.exists():
        raise InputError("a new file to pack into", f"{target}, which is there", "Choose another name, or remove it.")
    folders = [workspace.existing_run(run_id) for run_id in dict.fromkeys(run_ids)]
    for folder in folders:
        _check_packable(folder, [one.name for one in folders])
    replace_atomically(target, lambda beside: _write(folders, beside))


def _check_packable(folder: Path, together: Sequence[str]) -> None:
    run, state = read_run(folder), monitor.status(folder)
    if state in monitor.LIVE:
        raise InputError(
            "a run whose process has ended", f"{folder.name}, which is {state}", f"Stop it first: `deft run stop {folder.name}`."
        )
    parent = run.omega_of
    if run.omega is None and parent and parent not in together and not take_omega(folder, run):
        remedy = f"Pack both: `deft run pack {parent} {folder.name} --to FILE`."
        raise InputError(f"the guidance weight that {folder.name} takes from {parent}", "a run that has not measured it", remedy)


def _write(folders: Iterable[Path], path: Path) -> None:
    with tarfile.open(path, "w", dereference=True) as archive:
        for folder in folders:
            left_out = {file_names.CHECKPOINTS} if monitor.status(folder) == "finished" else set()
            archive.add(folder, folder.name, recursive=False, filter=_anonymous)
            for file in _files(folder, left_out):
                archive.add(file, f"{folder.name}/{file.relative_to(folder).as_posix()}", recursive=False, filter=_anonymous)


def _files(folder: Path, left_out: set[str]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] not in left_out and not any(part.startswith(".") for part in parts) and (path.is_file() or path.is_dir()):
            yield path


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names and numbers of whoever packed it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(workspace: Workspace, source: Path, *, replace_runs: bool = False, model: str | None = None) -> list[str]:
    """The runs of an archive, put into the workspace, all or none; their ids.

    A run that is there but was never started makes way; any other one that is not alive where `replace_runs` says so and the archive's is
    at least as far. `model` is what the
    runs' model is called here; that it is the same one is checked when a run starts.

    Raises InputError: no archive of runs, a member that would land elsewhere, a run that is there, a folder as `model` that is not there.
    """
    if model and Path(model).is_absolute() and not Path(model).is_dir():
        raise InputError("a model that is there", f"no folder {model}", "Give its folder here, or its Hub id.")
    workspace.runs.mkdir(parents=True, exist_ok=True)
    with _opened(source) as archive, queue.opened(workspace.runs):
        members = archive.getmembers()
        run_ids = _checked(members, source)
        for run_id in run_ids:
            _check_place(workspace, run_id, replace_runs)
        with ExitStack() as places:  # left as a whole, they are taken one after the other
            for run_id in run_ids:
                folder = places.enter_context(workspace.new_folder(workspace.run(run_id), replace=True))
                _extract(archive, [member for member in members if _run_of(member) == run_id], folder)
                run = _checked_run(folder, run_id, source)
                _check_as_far(folder, workspace.run(run_id))
                if model:
                    write_run(folder, replace(run, model=model))
    return run_ids


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source) as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        remedy = "Pack the run again, and copy the whole file."
        found = f"{source}: {first_line(error).removesuffix(':')}"
        raise InputError("an archive that `deft run pack` wrote, whole", found, remedy) from None


def _run_of(member: tarfile.TarInfo) -> str:
    return PurePosixPath(member.name).parts[0] if PurePosixPath(member.name).parts else ""


def _checked(members: Sequence[tarfile.TarInfo], source: Path) -> list[str]:
    """The ids of the runs; raises for a member that is no file or folder below one of them."""
    for member in members:
        path, plain = PurePosixPath(member.name), member.isfile() or member.isdir()
        climbs = path.is_absolute() or not path.parts or ".." in path.parts or "\\" in member.name or ":" in member.name
        if not plain or climbs or any(part.startswith(".") for part in path.parts):
            kind = "a link or a device" if not plain else "a path that leads elsewhere" if climbs else "a hidden name"
            remedy = "Nothing was unpacked. Ask whoever made the file; `deft run pack` writes no such thing."
            raise InputError(f"only files below a run's folder in {source}", f"{member.name!r}, {kind}", remedy)
    found = list(dict.fromkeys(_run_of(member) for member in members))
    if not found:
        raise InputError("an archive that `deft run pack` wrote", f"nothing in {source}", "Pack the run again.")
    return [checked_name(run_id, "run") for run_id in found]


def _check_place(workspace: Workspace, run_id: str, replace_runs: bool) -> None:
    folder = workspace.run(run_id)
    if not folder.exists():
        return
    state = monitor.status(folder)
    if state in monitor.LIVE:
        raise InputError(f"a place for {run_id}", f"that run, which is {state} here", f"Stop it first: `deft run stop {run_id}`.")
    if (folder / file_names.STATUS).is_file() and not replace_runs:
        found = f"that run, {state} at step {monitor.progress(folder).step} here"
        raise InputError(f"a place for {run_id}", found, "Add --replace where the archive is to take its place.")


def _extract(archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo], folder: Path) -> None:
    for member in members:
        target = folder.joinpath(*PurePosixPath(member.name).parts[1:])
        (target if member.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
        stream = archive.extractfile(member)
        if stream is not None:  # else a folder
            with stream, target.open("wb") as handle:
                shutil.copyfileobj(stream, handle, _PIECE_BYTES)


def _check_as_far(folder: Path, here: Path) -> None:
    """Raises where the run that is there would lose steps, or its model, to the unpacked one."""
    far, far_here = ((monitor.status(one) == "finished", monitor.progress(one).step) for one in (folder, here))
    if here.exists() and far < far_here:
        found = f"{'finished' if far[0] else 'not finished'}, at step {far[1]}"
        remedy = f"Nothing was unpacked. To have it all the same, delete the one that is here: `deft run delete {here.name}`."
        raise InputError(f"{here.name} as far as it is here: {monitor.status(here)}, at step {far_here[1]}", found, remedy)


def _checked_run(folder: Path, run_id: str, source: Path) -> Run:
    try:
        run = read_run(folder)
    except DeftError:
        raise InputError(f"the run.json of a run in {source}", f"another one in {run_id}", "Pack the run again.") from None
    missing = [name for name in (file_names.INPUT, file_names.HELDOUT, file_names.DISCREPANCY) if not (folder / name).is_file()]
    if run.run_id != run_id or missing:
        found = f"without {', '.join(missing)}" if missing else f"with the run.json of {run.run_id}"
        raise InputError(f"a run folder as `deft train` makes it in {source}", f"{run_id} {found}", "Pack the run again.")
    return run
