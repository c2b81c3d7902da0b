"""Try: one question, answered by the base model and by what runs have made of it, side by side."""

from __future__ import annotations

import streamlit as st

from deft_core.runs.monitor import Listed
from pages.shared import job_resources, state, try_answers, try_question, try_resources, widgets
from pages.shared.frame import Frame, lacks_data, open_page, page

BESIDE = 3  # runs beside the base


def body(frame: Frame) -> None:
    if lacks_data(frame):
        return
    there = try_resources.trained(frame.workspace)
    chosen = _chosen(there)
    base = try_resources.base(frame.workspace, frame.dataset or "", frame.score_id, chosen, there)
    if base is None:
        st.info("There is no model to ask yet: scores name one, and runs train it.")
        if frame.dataset and job_resources.being_scored(frame.workspace, frame.dataset):
            st.text("This dataset is being scored now.")
        else:
            st.button("Score it", type="primary", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset))
        return
    _runs(there, chosen)
    models = [base, *(try_resources.of_run(frame.workspace, one) for one in chosen)]
    _other_bases(chosen)
    question = try_question.draw(frame)
    trial = state.trial()
    try_answers.buttons(models, question, trial)
    try_answers.memory(models, trial)
    if trial:
        try_answers.draw(trial)
    else:
        try_answers.places(models)


def _chosen(there: list[Listed]) -> list[Listed]:
    """The runs in the address, else the newest one."""
    asked = state.values(state.TRY)
    if not asked:
        return there[:1]
    by_id = {one.run_id: one for one in there}
    return [by_id[run_id] for run_id in asked if run_id in by_id][:BESIDE]


def _runs(there: list[Listed], chosen: list[Listed]) -> None:
    gone = [run_id for run_id in state.values(state.TRY) if run_id not in [*(one.run_id for one in there), try_resources.NONE]]
    if gone:
        st.warning(f"No trained model is left of {widgets.plain(', '.join(gone))}: the run was deleted, or has not finished.")
    if not there:
        st.info("No run has finished yet, so only the base model can be asked.")
        st.page_link(page("train.py"), label="Train one", icon=":material/model_training:")
        return
    names = {one.run_id: f"{one.name} ({one.run_id})" for one in there}
    picked = [one.run_id for one in chosen]
    key = state.mirror("try-runs", picked)
    changed = state.changed(key, lambda ids: state.put(state.TRY, *(ids or [try_resources.NONE])))
    st.multiselect(
        "Beside the base model",
        list(names),
        picked,
        key=key,
        on_change=changed,
        format_func=names.__getitem__,
        max_selections=BESIDE,
        placeholder="finished runs",
    )


def _other_bases(chosen: list[Listed]) -> None:
    bases = {one.run.model: one.name for one in chosen if one.run}
    for model, name in list(bases.items())[1:]:
        st.caption(f"{widgets.plain(name)} began with another model, {widgets.plain(model)}; the base shown is that of the first run.")


open_page("try_model.py", body)
