"""Bringing data in from a page: an upload on disk, a preview, and an import that goes on in a thread of the server."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import streamlit as st

from deft_core import importing
from deft_core.errors import DeftError, InputError
from deft_core.workspace import Workspace
from pages.shared import job_resources, resources, state, widgets

UPLOAD = "upload"
DAY_SECONDS = 86_400

_log = logging.getLogger("deft.pages")


def uploaded(workspace: Workspace, file: Any | None) -> str:
    """The path of the copy of this session's upload, empty without one; the copy of a file that was chosen before is removed."""
    path = str(_copy(workspace, file)) if file else ""
    if state.upload() not in ("", path):
        _remove(state.upload())
    state.set_upload(path)
    return path


def _copy(workspace: Workspace, file: Any) -> Path:
    """It keeps its own name, in a folder of its own (Streamlit's number for it)."""
    folder = workspace.root / ".uploads" / re.sub(r"\W", "", file.file_id)
    path = folder / (Path(file.name).name or "upload")
    if not path.exists():
        _sweep(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / ".part"
        with beside.open("wb") as handle:
            file.seek(0)
            shutil.copyfileobj(file, handle)
        beside.replace(path)
    return path


def _sweep(uploads: Path) -> None:
    """Copies whose browser was closed before they were imported."""
    for folder in uploads.glob("*"):
        if time.time() - folder.stat().st_mtime > DAY_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _remove(upload: str) -> None:
    shutil.rmtree(Path(upload).parent, ignore_errors=True)


def previewed(source: str, format: str | None, fields: tuple[tuple[str, str], ...] | None) -> importing.Preview:
    path = Path(source).expanduser()
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return resources.preview(str(path) if path.exists() else source, changed, format, fields)


def suggested_name(source: str) -> str:
    """The file's name without its endings; the folder's for a pattern."""
    path = Path(source)
    stem = (path.parent if "*" in path.name or "?" in path.name else path).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:60] or "dataset"


def start(workspace: Workspace, source: str, name: str, **settings: Any) -> None:
    """Reads the source in a thread: a click elsewhere, or a closed browser, does not end it. An upload is read once, then removed."""
    if workspace.dataset(name).exists() and not settings.get("replace"):  # here, where an upload is still at hand
        raise InputError("a new dataset name", f"{name!r} is taken", "Choose another name, or replace the dataset.")
    upload = source if source == state.upload() else ""
    job = job_resources.ImportJob(name)
    fields: Mapping[str, str] | None = settings.pop("fields", None)

    def progress(rows: int) -> None:
        job.rows = rows

    def read() -> None:
        try:
            job.report = importing.import_source(
                workspace,
                str(Path(source).expanduser()) if source.startswith("~") else source,
                name,
                fields=fields,
                progress=progress,
                **settings,
            )
        except Exception as error:  # shown by the page, which asks the job
            job.error = error
            if not isinstance(error, DeftError):
                _log.exception("an import failed")
        finally:
            if upload:
                _remove(upload)

    jobs = job_resources.import_jobs(str(workspace.root))
    jobs.pop(name, None)
    jobs[name] = job
    job.thread = Thread(target=read, name=f"import {name}", daemon=True)
    job.thread.start()
    if upload:
        state.set_upload("")  # it is the thread's now
        state.renew(UPLOAD)


def show_error(error: Exception) -> None:
    if isinstance(error, DeftError):
        widgets.problem(error)
    else:
        st.error("The import met something it does not know. The details are in the output of the server that shows this page.")
