"""Export of a saved version: which, for whom, under what name; it goes on in a thread of the server, whatever the browser does."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Thread
from typing import Any

import streamlit as st

from deft_core import export, selections
from deft_core.errors import DeftError
from deft_core.selections import Saved
from deft_core.workspace import Workspace, checked_name
from pages.shared import job_resources, widgets
from pages.shared.picked import Picked

DOWNLOAD_BYTES = 200 * 1024 * 1024
LAYOUTS = {
    "trl": "TRL, strings",
    "trl-chat": "TRL, messages",
    "llamafactory": "LLaMA-Factory",
    "axolotl": "Axolotl",
    "parquet": "Parquet, everything",
}

_log = logging.getLogger("deft.pages")


def draw(picked: Picked) -> None:
    workspace, dataset = picked.frame.workspace, str(picked.frame.dataset)
    job = job_resources.newest_export(workspace, dataset)
    with st.expander("Export a saved version", icon=":material/download:", expanded=job is not None):
        saved = [one.about for one in selections.listing(workspace, dataset) if one.about]
        if not saved:
            st.text("Nothing is saved yet. Save the subset as a version first: what is exported stays what it is.")
            return
        _form(workspace, dataset, saved)
        if job:
            _draw_job(job)


def _form(workspace: Workspace, dataset: str, saved: list[Saved]) -> None:
    by_reference = {one.reference: one for one in saved}
    which, layout_place, name_place = st.columns([2, 1.3, 2], gap="small", vertical_alignment="bottom")
    newest = f"export-version-{saved[0].reference}"  # a version just saved is the one offered
    reference = which.selectbox(
        "Version", list(by_reference), key=newest, format_func=lambda one: f"{one}, {by_reference[one].kept:,} rows"
    )
    layout = layout_place.selectbox("For", list(LAYOUTS), key="export-layout", format_func=LAYOUTS.__getitem__, index=1)
    suggested = f"{reference.replace('@', '-v')}-{layout}{export.default_ending(layout)}"
    name = name_place.text_input("File name", value=suggested, key=f"export-name-{suggested}", help=f"In {workspace.exports}")
    with st.container(horizontal=True, vertical_alignment="center"):
        running = bool(job_resources.exports_now(workspace))
        if st.button("Export", key="export", type="primary", disabled=running, help="One export at a time" if running else None):
            _started(workspace, dataset, reference, layout, name.strip())
        st.checkbox("Replace a file of this name", key="export-replace")
        st.checkbox(
            "Leave out rows that the trainer would misread", key="export-leave-out", help="Else such a row is an error that names it"
        )


def _started(workspace: Workspace, dataset: str, reference: str, layout: str, name: str) -> None:
    try:
        options = {option: bool(st.session_state.get(f"export-{option.replace('_', '-')}")) for option in ("replace", "leave_out")}
        start(workspace, dataset, reference, layout, name, **options)
    except DeftError as error:
        widgets.problem(error)
        return
    st.rerun()


def start(workspace: Workspace, dataset: str, reference: str, layout: str, name: str, *, replace: bool, leave_out: bool) -> None:
    """Begins the export in a thread; raises what can be known at once."""
    path = workspace.exports / checked_name(name, "file")
    path.parent.mkdir(parents=True, exist_ok=True)
    export.check_target(path, layout, replace=replace)
    job = job_resources.ExportJob(dataset, reference, layout, path)

    def work() -> None:
        try:
            job.report = export.export(workspace, reference, path, layout, replace=replace, leave_out=leave_out, progress=job.heard)
        except Exception as error:  # shown by the page, which asks the job
            job.error = error
            if not isinstance(error, DeftError):
                _log.exception("an export failed")

    jobs = job_resources.export_jobs(str(workspace.root))
    jobs.pop(str(path), None)
    jobs[str(path)] = job
    job.thread = Thread(target=work, name=f"export {path.name}", daemon=True)
    job.thread.start()


def _draw_job(job: job_resources.ExportJob) -> None:
    """How far it is, what came of it, or its error."""
    if job.running:
        st.progress(job.share, text=f"{widgets.plain(job.path.name)}: {job.phase}")
    elif isinstance(job.error, DeftError):
        st.text(f"{job.path.name} was not written.")
        widgets.problem(job.error)
    elif job.error:
        st.error("The export met something it does not know. The details are in the output of the server that shows this page.")
    elif job.report:
        _result(job, job.report)


def _result(job: job_resources.ExportJob, report: export.ExportReport) -> None:
    readers = " and ".join(report.read_back_by)
    st.success(
        f"{widgets.count(report.rows, 'row')} of {widgets.plain(report.selection)} written and read back by {widgets.plain(readers)}."
    )
    st.text("\n".join([report.path, *report.notes]))
    if report.dataset_info:
        st.text(f"Its entry stands in {report.dataset_info}")
    with st.container(horizontal=True, vertical_alignment="center"):
        _download(job.path)
    st.code(report.snippet, language="yaml" if report.layout in ("llamafactory", "axolotl") else "python")


def _download(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        st.text("The file is no longer there.")
        return
    if size < DOWNLOAD_BYTES:
        st.download_button(f"Download, {_megabytes(size)}", _reader(path), file_name=path.name, key="export-download", on_click="ignore")
    else:
        st.text(f"{_megabytes(size)}: too large to go through the browser, take it from its folder.")


def _reader(path: Path) -> Any:
    """Read when it is asked for."""
    return path.read_bytes


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.1f} MB"
