"""Which files one look at a dataset reads, and how to tell that they have changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deft_core import file_names
from deft_core.errors import InputError, NotFoundError
from deft_core.noise import stored
from deft_core.runs.spec import read_run
from deft_core.workspace import Workspace

__all__ = ["NEWEST", "View", "open_view", "pairs_version", "version"]

NEWEST = "newest"  # instead of a score id: whichever was created last


@dataclass(frozen=True)
class View:
    """The files behind one look at a dataset; hashable, so that it can be part of a cache key."""

    dataset: str
    score_id: str | None  # None: without scores
    pairs: Path
    parts: tuple[Path, ...]  # of the score set, those written so far
    discrepancy: Path | None  # the token table d comes from
    extra: tuple[tuple[str, str], ...]  # the source's other columns: name, kind
    what_ifs: tuple[Path, ...] = ()  # saved reward columns under another d; each file is called after its column
    noise: Path | None = None  # the noise columns, where they are of the dataset as it is
    margins: Path | None = None  # a run's margins by row


def open_view(workspace: Workspace, dataset: str, score_id: str | None = NEWEST, run_id: str | None = None) -> View:
    """The dataset with the named score set, the newest one (without scores where there is none), or none at all.

    With a run, what that made of single rows as well.
    """
    info = workspace.dataset_info(dataset)
    if score_id == NEWEST:
        score_id = next(iter(workspace.score_ids(dataset)), None)
    parts, table, what_ifs = _score_files(workspace, dataset, score_id) if score_id else ((), None, ())
    extra = tuple((str(name), str(kind)) for name, kind in info.get("extra_columns", {}).items())
    noise, of_run = stored.current(workspace, dataset), _margins(workspace, dataset, run_id) if run_id else None
    return View(dataset, score_id, workspace.pairs(dataset), parts, table, extra, what_ifs, noise, of_run)


def _margins(workspace: Workspace, dataset: str, run_id: str) -> Path:
    folder = workspace.existing_run(run_id)
    run, path = read_run(folder), folder / file_names.ROW_MARGINS
    if run.dataset != dataset:
        raise InputError(f"a run on {dataset!r}", f"{run_id}, which is on {run.dataset!r}", "Choose a run on this dataset, or none.")
    if not path.is_file():
        remedy = f"They are taken after its evaluation; `deft evaluate {run_id} --rows` takes them now."
        raise NotFoundError(f"margins by row of {run_id}", f"no {path}", remedy)
    return path


def _score_files(workspace: Workspace, dataset: str, score_id: str) -> tuple[tuple[Path, ...], Path | None, tuple[Path, ...]]:
    folder = workspace.score_set(dataset, score_id)
    known = workspace.score_ids(dataset)
    if score_id not in known:
        found = f"no {score_id!r} (there: {', '.join(known) or 'none yet'})"
        raise NotFoundError(f"a score set of {dataset!r} as it is now", found, "Choose one of those, or score the dataset.")
    table = folder / file_names.DISCREPANCY
    what_ifs = tuple(sorted((folder / file_names.COLUMNS).glob("[!.]*.parquet")))
    return tuple(sorted(folder.glob(file_names.PARTS))), table if table.is_file() else None, what_ifs


def version(workspace: Workspace, view: View) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever the data, their noise columns, a run's margins, the score set's parts or its saved what-ifs do (not its status).

    Costs one `stat` a file.
    """
    files = [
        view.pairs,
        view.pairs.with_name(file_names.DATASET),
        *view.parts,
        *view.what_ifs,
        *(path for path in (view.noise, view.margins) if path),
    ]
    if view.score_id:
        folder = workspace.score_set(view.dataset, view.score_id)
        files += [folder / file_names.SCORE, folder / file_names.DISCREPANCY]
    return tuple(_stamp(path) for path in files if path.exists())


def pairs_version(view: View) -> tuple[str, int, int]:
    """Changes whenever the texts do, whatever becomes of their scores."""
    return _stamp(view.pairs)


def _stamp(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns
