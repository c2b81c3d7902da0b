"""Bringing data in: an upload or a path, how it is read, and the form that starts the import."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from deft_core.errors import DeftError
from deft_core.importing import FORMATS, Preview, PreviewRow
from deft_core.readers.fields import FIELDS
from deft_core.workspace import Workspace
from pages.shared import intake, job_resources, state, widgets

DETECT = "find out"


def draw(workspace: Workspace) -> None:
    upload, path = st.columns(2, gap="medium")
    with upload:
        file = st.file_uploader("Upload a file", key=state.renewed_key(intake.UPLOAD))
        st.caption(f"Up to {st.get_option('server.maxUploadSize')} MB; larger: give a path.")
    with path:
        widgets.entry(
            "… or a path, folder, pattern or Hub dataset", state.SOURCE, placeholder="/data/pairs.jsonl   ~/prefs/*.json   owner/name"
        )
    source = intake.uploaded(workspace, file) or state.value(state.SOURCE)
    if not source:
        return
    chosen, _ = st.columns(2, gap="medium")
    picked = chosen.selectbox(
        "Format", [DETECT, *FORMATS], key="format", format_func=lambda name: f"{name}: {FORMATS[name]}" if name in FORMATS else name
    )
    format = None if picked == DETECT else picked
    found = intake.previewed(source, format, None)
    fields: dict[str, str] | None = None
    if found.format is None and found.columns:
        fields = _fields(found)
        found = intake.previewed(source, format, tuple(fields.items())) if fields else found
    if found.format:
        st.html(f"Read as <b>{widgets.html(found.format)}</b>: {widgets.html(FORMATS.get(found.format, ''))}")
    if found.problem:
        st.warning(widgets.plain(found.problem))
    for row in found.rows:
        _preview_row(row)
    _launch(workspace, source, format, fields)


def _fields(found: Preview) -> dict[str, str]:
    """Which column is what, where the layout is not known."""
    st.text("This layout is not known. Which column holds what? Name the chosen and the rejected answer, or two answers and the label.")
    nothing = "–"
    picked = {}
    for start in range(0, len(FIELDS), 4):
        for place, field in zip(st.columns(4), list(FIELDS)[start : start + 4], strict=False):
            picked[field] = place.selectbox(field, [nothing, *found.columns], key=f"field-{field}", help=FIELDS[field])
    named = {field: column for field, column in picked.items() if column != nothing}
    enough = {"chosen", "rejected"} <= named.keys() or {"response_1", "response_2", "label"} <= named.keys()
    return named if enough else {}


def _preview_row(row: PreviewRow) -> None:
    if row.preference is None:
        widgets.text_box(row.original, heading=f"line {row.line}, refused: {row.reason}", height_rem=6)
        return
    prompt, chosen, rejected = st.columns(3)
    turns = [f"{message.role}: {message.content}" for message in row.preference.prompt]
    best, *_, worst = row.preference.responses
    for place, heading, text in (
        (prompt, f"line {row.line}, prompt, {widgets.count(len(turns), 'message')}", "\n\n".join(turns)),
        (chosen, "chosen", best.text),
        (
            rejected,
            f"rejected, the worst of {len(row.preference.responses)}" if len(row.preference.responses) > 2 else "rejected",
            worst.text,
        ),
    ):
        with place:
            widgets.text_box(text, heading=heading, height_rem=11)


def _launch(workspace: Workspace, source: str, format: str | None, fields: Mapping[str, str] | None) -> None:
    with st.form("import", border=False):
        name, heldout, judge = st.columns([2, 1, 1])
        chosen = name.text_input("Name", value=intake.suggested_name(source), key=f"name-{source}")
        held = heldout.number_input("Held out", 0.0, 0.9, 0.1, 0.05, help="Share of conversations kept out of training")
        judged = judge.number_input(
            "Judge", 0.0, 0.9, 0.1, 0.05, help="Share of conversations that a judge is fitted on, kept out of training too"
        )
        replace = st.checkbox("Replace a dataset of this name")
        if st.form_submit_button("Import", type="primary"):
            try:
                intake.start(workspace, source, chosen, format=format, fields=fields, heldout=held, judge=judged, replace=replace)
            except DeftError as error:
                widgets.problem(error)
                return
            state.choose_dataset(chosen)
            st.rerun()


def draw_job(workspace: Workspace) -> None:
    """The newest import: how far it is, its figures or its error."""
    for name, job in list(job_resources.import_jobs(str(workspace.root)).items())[-1:]:
        if job.running:
            st.text(f"Reading {name}: {job.rows:,} rows so far")
        elif isinstance(job.error, Exception):
            intake.show_error(job.error)
        elif job.report:
            report = job.report
            st.success(f"{widgets.plain(name)}: {report.rows_kept:,} of {report.rows_read:,} rows kept, {report.rows_refused:,} refused")
