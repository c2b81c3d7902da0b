"""Saving the subset as a version of a selection, and from there to training on it."""

from __future__ import annotations

import streamlit as st

from deft_core import selecting, selections
from deft_core.errors import DeftError
from pages.shared import frame as frames
from pages.shared import resources, state, widgets
from pages.shared.picked import Picked

NAME, NOTE = "save-name", "save-note"


def draw(picked: Picked) -> None:
    rows = int(picked.subset.mask.sum())
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "Save as a version of", value=state.value(state.SELECTION), key=NAME, placeholder="a name, e.g. best-5", width=240
            )
            st.text_input("Note", key=NOTE, placeholder="what it is for", width=320)
            st.button(f"Save {widgets.count(rows, 'row')}", type="primary", disabled=not rows, on_click=_save, args=(picked,))
            _train(picked)
        came_of_it = state.take_saved()
        if isinstance(came_of_it, DeftError):
            widgets.problem(came_of_it)
        elif came_of_it:
            st.success(widgets.plain(came_of_it))


def _train(picked: Picked) -> None:
    """To the Train page with the newest version of the selection chosen: what is trained on is what was saved."""
    name = state.value(state.SELECTION)
    there = selections.versions(picked.frame.workspace, name) if name else []
    reference = f"{name}@{there[-1]}" if there else ""
    help = (
        f"The rows of {reference} as they were saved" if there else "Save the rows first: a run is made from a version, which never changes"
    )
    label = f"Train on {widgets.plain(reference)}" if there else "Train on this"
    if st.button(label, key="train-on-this", disabled=not there, help=help, icon=":material/model_training:"):
        query = {state.DATASET: picked.look.view.dataset, state.SELECTION: name, state.TRAIN_VERSION: str(there[-1])}
        st.switch_page(frames.page("train.py"), query_params=query)


def _save(picked: Picked) -> None:
    name, look = state.typed(NAME), picked.look
    try:
        record = selecting.record(picked.decisions, picked.decided.events, picked.decided.through)
        draft = selecting.drafted(look.view.dataset, look.view.score_id, look.table, picked.rule, picked.subset, picked.decisions, record)
        saved = selections.save(resources.workspace(), name, draft, state.typed(NOTE))
    except DeftError as error:
        state.set_saved(error)
        return
    except OSError as error:
        state.set_saved(
            DeftError("to write the selection to disk", error.strerror or str(error), "Nothing was saved. See to the disk and its rights.")
        )
        return
    state.put(state.SELECTION, saved.name)
    state.set_typed(NOTE, "")
    state.set_saved(f"Saved {saved.reference}: {saved.kept:,} rows, fingerprint {saved.fingerprint}")
