"""Train: what a run on a saved selection will do, whether it fits, and its start."""

from __future__ import annotations

import streamlit as st

from deft_core import selections
from deft_core.errors import DeftError, InputError, NotFoundError
from deft_core.rule import words
from deft_core.runs import defaults
from deft_core.runs.facts import Facts
from deft_core.selections import Saved
from pages.shared import job_resources, state, train_form, train_look, train_resources, train_start, widgets
from pages.shared.frame import Frame, lacks_data, open_page, page


def body(frame: Frame) -> None:
    if lacks_data(frame):
        return
    train_start.follow()
    if not frame.workspace.score_ids(str(frame.dataset)):
        _unscored(frame)
        return
    listed = selections.listing(frame.workspace, frame.dataset)
    saved = [one.about for one in listed if one.about]
    for one in listed:
        if one.problem:
            st.warning(widgets.plain(f"{one.name}@{one.version}: {one.problem}"))
    if not saved:
        st.info("Nothing is selected yet. A run is made from a saved selection: rows that stay what they are.")
        if st.button("Choose what to keep", type="primary"):
            st.switch_page(page("curate.py"))
        return
    if not frame.selection:
        state.put(state.SELECTION, saved[0].name)
        st.rerun()  # the picker on the left shows it too
    chosen = _version(frame, saved)
    try:
        known = train_resources.known(frame.workspace, chosen.reference)
    except DeftError as error:
        _refused(error)
        return
    _chosen(frame, chosen, known)


def _unscored(frame: Frame) -> None:
    st.info("This dataset has no scores yet. They say which model is trained, and have d, which guidance goes by.")
    if frame.dataset and job_resources.being_scored(frame.workspace, frame.dataset):
        st.text("It is being scored now.")
    else:
        st.button("Score it", type="primary", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset))


def _refused(error: DeftError) -> None:
    """What the files lack that the run needs, and where that is mended."""
    widgets.problem(error)
    with st.container(horizontal=True):
        if st.button("See the selection on Curate", type="primary"):
            st.switch_page(page("curate.py"))
        if st.button("See the data and its scores"):
            st.switch_page(page("datasets.py"))


def _version(frame: Frame, saved: list[Saved]) -> Saved:
    """The version in the address, else the newest of the selection there."""
    by_reference = {one.reference: one for one in saved}
    name, number = str(frame.selection), state.value(state.TRAIN_VERSION)
    newest = next((one.reference for one in saved if one.name == name), name)
    wanted = f"{name}@{number}" if number else newest
    offered = list(by_reference) if wanted in by_reference else [wanted, *by_reference]

    def changed(reference: str) -> None:
        chosen, _, version = reference.partition("@")
        state.put(state.SELECTION, chosen)
        state.put(state.TRAIN_VERSION, version)

    key = state.mirror("train-reference", wanted)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Train on", offered, offered.index(wanted), key=key, on_change=state.changed(key, changed), width=280)
        if wanted in by_reference:
            one = by_reference[wanted]
            st.caption(widgets.plain(f"{words(one.rule)}; {widgets.count(one.kept, 'row')}" + (f"; {one.note}" if one.note else "")))
    if wanted not in by_reference:
        there = ", ".join(by_reference)
        raise NotFoundError("a selection that is there", f"no {wanted} (there: {there})", "Choose another one above.")
    return by_reference[wanted]


def _chosen(frame: Frame, saved: Saved, known: Facts) -> None:
    device = train_resources.machine()
    usual = defaults.usual(known, device)
    figures = st.container()
    with st.container(key=widgets.HALVES):
        form, look = st.container(), st.container()
    try:
        settings = train_form.asked(known, usual)
    except InputError as error:
        train_form.problem(error)
        return
    with form:
        train_form.draw(known, settings)
    found = train_look.preflight(frame, known, settings, device)
    with figures:
        train_look.figures(found)
        train_look.problems(found)
    with look:
        train_look.lengths(known, settings)
        train_look.memory(found)
        train_look.left_out(known)
    against = train_start.beside(frame, saved, known, settings, found)
    train_start.button(frame, saved, settings, against, found.fits)
    train_start.copies(frame, saved, settings, against)


open_page("train.py", body)
