"""One run: how it stands, what came of it, its alerts, curves and samples, and where it comes from."""

from __future__ import annotations

import streamlit as st

from deft_core.errors import DeftError
from deft_core.runs.curves import Curves
from deft_core.runs.monitor import Listed
from deft_core.workspace import Workspace
from pages.shared import run_about, run_curves, run_head, run_list, run_outcome, run_resources, run_samples, state, widgets


def draw(workspace: Workspace, run_id: str) -> None:
    group = next((one for one in run_resources.grouped(run_resources.runs(workspace)) if run_id in [run.run_id for run in one]), [])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All runs", icon=":material/arrow_back:", on_click=state.open_run, args=("",))
        for other in group:
            if other.run_id != run_id:
                label = f"{run_list.called(other).removeprefix('↳ ')}: {other.status}"
                st.button(widgets.plain(label), key=f"go-{other.run_id}", on_click=state.open_run, args=(other.run_id,), type="tertiary")
    one = next((run for run in group if run.run_id == run_id), None)
    if one is None:
        st.warning(f"There is no run {widgets.plain(run_id)} here: its folder was deleted, moved, or belongs to another workspace.")
        return
    if error := state.take_failure():
        widgets.problem(error)
    if one.run is None:
        if one.problem:
            widgets.problem(one.problem)
        run_head.delete(workspace, one)
        return
    curves = _curves(workspace, one)
    run_head.draw(workspace, one, curves)
    run_outcome.draw(workspace, one, group)
    if curves is None:
        return
    run_outcome.alerts(curves)
    run_curves.draw(run_id, curves, one.run.settings.total_steps(one.run.rows))
    samples, log = st.columns([3, 2], gap="medium")
    with samples:
        run_samples.draw(workspace.run(run_id), curves)
    with log:
        run_about.log(workspace.run(run_id))
    run_about.draw(workspace, one)


def _curves(workspace: Workspace, one: Listed) -> Curves | None:
    """None where the file of its numbers is damaged; then that is said, and all else is shown."""
    try:
        return run_resources.curves(workspace.run(one.run_id))
    except DeftError as error:
        widgets.problem(error)
        return None
