"""Where a run comes from, what it was told, what it wrote; and its files."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.rule import Rule, words
from deft_core.runs import monitor, tensorboard
from deft_core.runs.monitor import Listed
from deft_core.runs.spec import Run, Settings
from deft_core.workspace import Workspace
from pages.shared import run_resources, state, widgets
from pages.shared.frame import page

LINES = 20
FILES = {file_names.METRICS: "curves", file_names.SAMPLES: "samples", file_names.EVALUATION: "evaluation", file_names.LOG: "log"}


def log(folder: Path) -> None:
    st.markdown("**Log**", help=f"The last {LINES} lines of what its processes wrote.")
    lines = monitor.log_tail(folder, LINES)
    if lines:
        st.code("\n".join(lines), language=None, wrap_lines=True)
    else:
        st.caption("Nothing yet.")


def draw(workspace: Workspace, one: Listed) -> None:
    assert one.run is not None
    settings, files = st.columns([3, 2], gap="medium")
    with settings:
        st.markdown("**Settings and lineage**")
        _lineage(one.run)
        _onward(workspace.run(one.run_id), one.run)
        widgets.table({"run": one.run_id} | _about(one.run) | _settings(one.run.settings))
    with files:
        st.markdown("**Files**")
        _files(workspace.run(one.run_id))


def _lineage(run: Run) -> None:
    """Links to what it was made from."""
    label = f"selection {run.selection}@{run.version}"
    settings: dict[str, Any] = {}
    with suppress(DeftError):  # a rule of a later version: its words stand in the table
        rule = Rule.from_dict(run.rule)
        label, settings = f"{label}: {words(rule)}", rule.as_dict()
    made = {state.DATASET: run.dataset, state.SCORES: run.score_id}
    with st.container(horizontal=True, gap="small"):
        query = made | {state.SELECTION: run.selection} | {name: str(value) for name, value in settings.items() if value != ""}
        st.page_link(page("curate.py"), label=widgets.plain(label), icon=":material/content_cut:", query_params=query)
        st.page_link(page("explore.py"), label=f"rewards of {widgets.plain(run.dataset)}", icon=":material/bar_chart:", query_params=made)
        st.page_link(page("discrepancy.py"), label="d", icon=":material/balance:", query_params=made)


def _onward(folder: Path, run: Run) -> None:
    """Links to what can be done with it once it has finished."""
    with st.container(horizontal=True, gap="small"):
        if (folder / file_names.ROW_MARGINS).is_file():
            rows = {state.DATASET: run.dataset, state.SCORES: run.score_id, state.RUN_ROWS: run.run_id}
            label = "what it made of single rows"
            st.page_link(page("explore.py"), label=label, icon=":material/scatter_plot:", query_params=rows)
        if (folder / file_names.MODEL / "config.json").is_file():
            asked = {state.DATASET: run.dataset, state.TRY: run.run_id}
            st.page_link(page("try_model.py"), label="ask it something", icon=":material/chat:", query_params=asked)


def _about(run: Run) -> dict[str, str]:
    prints = {f"{name} fingerprint": (value or "")[:12] for name, value in run.fingerprints.items()}
    about = {"dataset": run.dataset, "selection": f"{run.selection}@{run.version}", "score set": run.score_id, "model": run.model}
    about |= {"made": run.created[:19].replace("T", " ") + " UTC", "rows": f"{run.rows:,}", "held-out rows": f"{run.heldout_rows:,}"}
    if run.truncated_rows is not None:
        about["rows cut at the length limit"] = f"{run.truncated_rows:,} of {run.rows:,}, at {run.max_length:,} tokens"
    guidance = "off" if run.omega == 0 else "automatic" if run.omega is None else f"{run.omega:g}"
    return about | {"guidance weight": guidance} | prints


def _settings(settings: Settings) -> dict[str, str]:
    values = {field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "guidance"}
    return {
        name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
        if value is not None
    }


# files


def _files(folder: Path) -> None:
    with st.container(horizontal=True, gap="small"):
        for name, what in FILES.items():
            path = folder / name
            if path.is_file():
                st.download_button(
                    what,
                    partial(path.open, "rb"),
                    f"{folder.name}-{name}",
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"get-{name}",
                )
    model = folder / file_names.MODEL
    st.caption("The model, as transformers and others read it:" if model.is_dir() else "The run's folder; the model will be in it:")
    st.code(str((model if model.is_dir() else folder).resolve()), language=None, wrap_lines=True)
    _tensorboard(folder)


def _tensorboard(folder: Path) -> None:
    if not tensorboard.installed():
        st.caption("TensorBoard is not installed here. With `pip install tensorboard` its files can be written from this place.")
        return
    if st.button("Write TensorBoard's files", icon=":material/show_chart:"):
        tensorboard.write(folder, run_resources.curves(folder))
    if tensorboard.place(folder).is_dir():
        st.code(f"tensorboard --logdir {tensorboard.place(folder).resolve()}", language=None, wrap_lines=True)
