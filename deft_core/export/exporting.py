"""From a selection to a file: checked before anything is written, and again before it takes its place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from deft_core import file_names, overrides, queries, selections
from deft_core.errors import InputError, NotFoundError
from deft_core.export import usage
from deft_core.export.job import Job, Progress
from deft_core.export.layouts import LAYOUTS, Layout
from deft_core.export.rows import beside_table
from deft_core.flips import flipped_table
from deft_core.queries import View
from deft_core.selections import Saved
from deft_core.workspace import Workspace, read_json, replace_atomically

__all__ = ["ExportReport", "check_target", "default_ending", "export"]


@dataclass(frozen=True)
class ExportReport:
    path: str
    rows: int
    layout: str
    selection: str  # name@version
    read_back_by: list[str]  # what read every row again, with its version
    notes: list[str]  # what is good to know about this file
    snippet: str  # for the trainer's own settings
    dataset_info: str | None  # LLaMA-Factory's list of datasets, which has the entry
    left_out: list[str]  # ids of the rows that are not in the file


def default_ending(layout: str) -> str:
    return _layout(layout).endings[0]


def export(
    workspace: Workspace,
    selection: str,
    path: Path,
    layout: str = "trl",
    *,
    replace: bool = False,
    leave_out: bool = False,
    progress: Progress = lambda _: None,
) -> ExportReport:
    """Writes the selection (`name` or `name@2`) to `path`; a file that its trainer would misread is an error, and is not left behind.

    With `leave_out` the rows that are known to be misread are not written, and named.
    """
    chosen, ending = check_target(path, layout, replace=replace)
    saved = selections.read(workspace, *selections.parse(selection))
    view, notes = _view(workspace, saved)
    job = _job(workspace, saved, view, chosen, progress, notes)
    job.look_through(leave_out)
    read_by: list[str] = []

    def fill(beside: Path) -> None:
        digests = job.write(beside, ending)
        read_by.extend(job.read_back(beside, ending, digests, _model(workspace, view)))

    replace_atomically(path, fill)
    info = str(usage.write_entry(path)) if layout == "llamafactory" else None
    snippet = usage.snippet(layout, path)
    return ExportReport(str(path), job.census.rows, layout, saved.reference, read_by, job.notes, snippet, info, job.left_out)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise InputError(f"a layout among {', '.join(LAYOUTS)}", repr(name), "Choose one of them.")
    return LAYOUTS[name]


def check_target(path: Path, name: str, *, replace: bool = False) -> tuple[Layout, str]:
    """The layout of that name and the file's ending, once it is sure that such a file can be written there."""
    layout = _layout(name)
    ending = next((ending for ending in layout.endings if path.name.endswith(ending)), None)
    if ending is None or path.name == ending:
        raise InputError(f"a file name that ends in {' or '.join(layout.endings)} for {layout.name}", path.name, "Name it like that.")
    if not path.parent.is_dir():
        raise InputError("a file in a folder that is there", str(path), "Make the folder first.")
    if path.is_dir() or (path.exists() and not replace):
        found = f"{path}, which is {'a folder' if path.is_dir() else 'there'}"
        raise InputError("the name of a new file", found, "Choose another name, or replace the file (--replace).")
    if not os.access(path.parent, os.W_OK):
        raise InputError("a folder that may be written", str(path.parent), "Choose another folder, or change its rights.")
    if layout.name == "llamafactory":
        usage.check_entry(path)
    return layout, ending


def _view(workspace: Workspace, saved: Saved) -> tuple[View, list[str]]:
    """The data and scores the selection was made from, and a note where the scores are gone."""
    if workspace.dataset_info(saved.dataset)["fingerprint"] != saved.fingerprints.get("data"):
        expected = f"the rows of {saved.dataset!r} that {saved.reference} was made from"
        raise NotFoundError(expected, "other rows: the dataset was imported again", "Save a new version with `deft select`.")
    if saved.score_id and saved.score_id not in workspace.score_ids(saved.dataset):
        note = f"The score set {saved.score_id} is no longer there: the file has no scores."
        return queries.open_view(workspace, saved.dataset, None), [note]
    return queries.open_view(workspace, saved.dataset, saved.score_id), []


def _job(workspace: Workspace, saved: Saved, view: View, layout: Layout, progress: Progress, notes: list[str]) -> Job:
    kept = selections.kept_rows(workspace, saved.name, saved.version)
    light = queries.light_table(view)
    light = light[light["id"].isin(kept["id"])].reset_index(drop=True)
    light = flipped_table(light, view, set(kept["id"][kept["flipped"]]))
    return Job(view, beside_table(kept, light, overrides.load(workspace, saved.dataset)), layout, progress, notes)


def _model(workspace: Workspace, view: View) -> str | None:
    """The model the rows were scored with."""
    if view.score_id is None:
        return None
    return str(read_json(workspace.score_set(view.dataset, view.score_id) / file_names.SCORE)["model"])
