"""Data: bring preferences in, see how they are read before they are, and read every row that was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from deft_core import queries
from deft_core.importing import FORMATS, Preview, PreviewRow
from deft_core.readers.fields import FIELDS
from deft_core.workspace import Workspace
from pages.shared import activity, intake, resources, state, widgets
from pages.shared.frame import Frame, open_page, page

REFUSED_ROWS = 20
DETECT, ALL_REASONS = "find out", "all reasons"
MODEL = "smollm2-135m"


def body(frame: Frame) -> None:
    infos = list(activity.dataset_infos(frame.workspace))
    with st.expander("Bring data", expanded=not infos or bool(state.value(state.SOURCE)), icon=":material/add:"):
        _bring(frame.workspace)
    _job(frame.workspace)
    if infos:
        _list(infos)
    if frame.dataset:
        _one(frame.workspace, frame.dataset)


# bring data


def _bring(workspace: Workspace) -> None:
    upload, path = st.columns(2, gap="medium")
    with upload:
        file = st.file_uploader("Upload a file", key="upload")
    with path:
        widgets.entry(
            "… or a path, folder, pattern or Hub dataset", state.SOURCE, placeholder="/data/pairs.jsonl   ~/prefs/*.json   owner/name"
        )
    source = intake.saved(workspace, file) if file else state.value(state.SOURCE)
    if not source:
        return
    chosen, _ = st.columns(2, gap="medium")
    format = chosen.selectbox(
        "Format", [DETECT, *FORMATS], key="format", format_func=lambda name: f"{name}: {FORMATS[name]}" if name in FORMATS else name
    )
    format = None if format == DETECT else format
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
            intake.start(workspace, source, chosen, format=format, fields=fields, heldout=held, judge=judged, replace=replace)
            state.choose_dataset(chosen)
            st.rerun()


def _job(workspace: Workspace) -> None:
    """The newest import: its progress, its figures or its error."""
    for name, job in list(resources.import_jobs(str(workspace.root)).items())[-1:]:
        if job.running:
            st.progress(0.0 if not job.rows else 0.5, text=f"Reading {widgets.plain(name)}: {job.rows:,} rows so far")
        elif isinstance(job.error, Exception):
            intake.show_error(job.error)
        elif job.report:
            report = job.report
            st.success(f"{widgets.plain(name)}: {report.rows_kept:,} of {report.rows_read:,} rows kept, {report.rows_refused:,} refused")


# what there is


def _list(infos: list[dict[str, Any]]) -> None:
    keys = {"name": "dataset", "rows_kept": "rows", "train": "train", "heldout": "held out", "judge": "judge", "rows_refused": "refused"}
    rows = [{title: info.get(key) for key, title in keys.items()} for info in infos]
    st.subheader("Datasets")
    widgets.figures_table(pd.DataFrame(rows))


def _one(workspace: Workspace, name: str) -> None:
    info = workspace.dataset_info(name)
    st.subheader(name)
    origin = f"{info.get('format', '')} · {info.get('source', '')} · imported {str(info.get('created', ''))[:16].replace('T', ' ')}"
    st.html(f'<div style="opacity:.8;overflow-wrap:anywhere">{widgets.html(origin)}</div>')
    with st.form("score", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.text_input(
            "Score with the model", value=MODEL, key="model", width=340, help="The default model, a local folder or a Hub id"
        )
        if st.form_submit_button("Score"):
            resources.start_scoring(workspace, name, model.strip() or MODEL)
            state.put(state.SCORES)  # the newest, which this one will be
            st.rerun()
    if st.button("See its rows and rewards"):
        st.switch_page(page("explore.py"), query_params={state.DATASET: name})
    _refused(workspace, name, info.get("reasons", {}))


def _refused(workspace: Workspace, name: str, reasons: dict[str, int]) -> None:
    total = sum(reasons.values())
    st.markdown(f"**{widgets.count(total, 'refused row')}**")
    if not total:
        st.text("Every row was usable.")
        return
    counts = {ALL_REASONS: total} | dict(sorted(reasons.items(), key=lambda item: -item[1]))
    current = state.value(state.REASON, ALL_REASONS)
    current = current if current in counts else ALL_REASONS
    widgets.pick(
        "Reason", state.REASON, list(counts), current, on_change=_choose_reason, format_func=lambda reason: f"{reason} ({counts[reason]:,})"
    )
    pages = -(-counts[current] // REFUSED_ROWS)
    at = min(state.number(state.REFUSED_PAGE), pages - 1) * REFUSED_ROWS
    for row in queries.refused_page(workspace.refused(name), at, REFUSED_ROWS, None if current == ALL_REASONS else current):
        place = f"{row.file}, line {row.line:,}" if row.line is not None else row.file
        widgets.text_box(row.original, heading=f"{place}: {row.reason}", height_rem=8)
    if pages > 1:
        widgets.pager(state.REFUSED_PAGE, pages, widgets.count(counts[current], "row"))


def _choose_reason(reason: str) -> None:
    state.put(state.REASON, "" if reason == ALL_REASONS else reason)
    state.put(state.REFUSED_PAGE)


open_page("datasets.py", body)
