"""The head of a run: how far it is, and what a person can do with it."""

from __future__ import annotations

import time

import streamlit as st

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.runs import labels, launch, monitor, queue
from deft_core.runs.curves import Curves
from deft_core.runs.monitor import Listed
from deft_core.status import duration
from deft_core.workspace import Workspace, read_json
from pages.shared import run_resources, state, train_form, widgets
from pages.shared.frame import page

BADGES = {"queued": "gray", "running": "blue", "finished": "green", "stopped": "gray", "failed": "red", "lost": "orange"}
FIELDS = {  # settings as errors name them: what the form of the Train page calls them
    "accumulation_tokens": "Tokens a forward",
    "gradient_checkpointing": "Compute activations again",
    "--lora-rank": "What learns",
}
SILENT_SECONDS = 60.0  # without a word from its process


def draw(workspace: Workspace, one: Listed, curves: Curves | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(widgets.plain(one.name), anchor=False, width="content")
        st.badge(one.status, color=BADGES[one.status])  # type: ignore[arg-type]
        for tag in one.labels.tags:
            st.badge(widgets.plain(tag), color="violet")
    if one.labels.note:
        st.text(one.labels.note)
    if one.problem:  # of its labels
        widgets.problem(one.problem)
    _figures(one)
    _words(workspace, one, curves)
    _actions(workspace, one)


def _figures(one: Listed) -> None:
    done = one.progress
    shown = {"step": f"{done.step:,} / {done.of:,}" if done.of else "not begun"}
    if one.status == "running":
        shown["pairs a second"] = f"{done.pairs_per_second:.2f}" if done.pairs_per_second else "–"
        shown["time left"] = duration(done.seconds_left) if done.seconds_left else "–"
    shown["time so far"] = duration(done.seconds)
    assert one.run is not None
    shown |= {"rows": f"{one.run.rows:,}", "held out": f"{one.run.heldout_rows:,}"}
    with st.container(horizontal=True, gap="large"):
        for name, value in shown.items():
            st.metric(name, value, width="content")


def _words(workspace: Workspace, one: Listed, curves: Curves | None) -> None:
    """What it is doing, or why it is not."""
    folder, done = workspace.run(one.run_id), one.progress
    if one.status == "queued":
        order = queue.waiting(queue.entries_of(workspace.runs))
        if one.run_id in order:
            st.caption(
                f":material/hourglass: number {order.index(one.run_id) + 1} of {len(order)} that wait for a device; nothing is loaded yet."
            )
    elif one.status == "running":
        counted = f", {done.done:,} of {done.total:,}" if done.done is not None and done.total and done.phase != "training" else ""
        st.caption(f":material/sync: {widgets.plain(done.phase)}{counted}{_silence(workspace, one)}")
        if monitor.is_elsewhere(folder):
            st.caption(":material/cloud_sync: It runs on another machine: what stands here is what has been copied from there.")
    elif words := monitor.last_words(folder):
        message, remedy = words
        advice = "" if remedy.startswith("`deft run resume") else f"{widgets.prose(remedy)}\n\n"
        show = st.error if one.status == "failed" else st.warning
        show(f"**{one.status.capitalize()}:** {widgets.plain(message)}\n\n{advice}{_here(remedy, curves)}")
    elif one.status == "stopped":
        st.caption(f":material/stop: {_here('', curves)}")


def _here(remedy: str, curves: Curves | None) -> str:
    """What the buttons below do about it, and where the page has the settings that the remedy names."""
    last = None if curves is None else curves.checkpoint
    begins = "starts it from the beginning" if last is None else f"goes on from step {last:,}"
    named = [f"{name} is “{field}”" for name, field in FIELDS.items() if name in remedy]
    clone = f" Clone with changes opens its settings for a new run; {widgets.plain(', '.join(named))} there." if named else ""
    return f"Resume {begins}.{clone}"


def _silence(workspace: Workspace, one: Listed) -> str:
    """Since when its process has said nothing, and whether something holds it."""
    folder = workspace.run(one.run_id)
    if monitor.suspended(folder):
        pid = read_json(folder / file_names.STATUS).get("pid")
        return f" · :orange[its process {pid} is suspended: `kill -CONT {pid}` lets it go on]"
    try:
        silent = time.time() - (folder / file_names.STATUS).stat().st_mtime
    except FileNotFoundError:
        return ""
    return f" · last word {duration(silent)} ago" if silent > SILENT_SECONDS else ""


# what can be done


def _actions(workspace: Workspace, one: Listed) -> None:
    live = one.status in monitor.LIVE
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if live and not monitor.is_elsewhere(workspace.run(one.run_id)):
            _stop(workspace, one)
        elif not live and one.status != "finished":
            st.button("Resume", type="primary", icon=":material/play_arrow:", on_click=_resume, args=(workspace, one.run_id))
        _clone(one)
        _label(workspace, one)
        delete(workspace, one)


def _stop(workspace: Workspace, one: Listed) -> None:
    if one.status == "queued":
        st.button("Cancel", icon=":material/close:", on_click=run_resources.stop, args=(workspace, one.run_id))
        return
    asked = workspace.run(one.run_id) / file_names.STOP
    if not asked.is_file():
        saves = "It saves a checkpoint after the step under way; Resume goes on from there."
        st.button("Stop", type="primary", icon=":material/stop:", help=saves, on_click=run_resources.stop, args=(workspace, one.run_id))
        return
    run_resources.stop(workspace, one.run_id)  # goes on with what another server may have begun that is gone
    st.button("Stopping …", disabled=True, help=f"After {duration(launch.GRACE_SECONDS)} its process is killed.")
    lost = "What came after the last checkpoint is lost."
    st.button("Kill it now", help=lost, on_click=run_resources.stop, args=(workspace, one.run_id, 0.0))


def _resume(workspace: Workspace, run_id: str) -> None:
    try:
        launch.resume(workspace, run_id)
    except DeftError as error:
        state.set_failure(error)


def _clone(one: Listed) -> None:
    """The form of the Train page with this run's selection and settings."""
    if one.run and st.button("Clone with changes", icon=":material/content_copy:"):
        st.switch_page(page("train.py"), query_params=train_form.link(one.run))


def _label(workspace: Workspace, one: Listed) -> None:
    with st.popover("Name, tags, note", icon=":material/edit:"), st.form(f"labels-{one.run_id}", border=False):
        name = st.text_input("Name", value=one.name, key=f"name-{one.run_id}")
        tags = st.text_input("Tags, separated by commas", value=", ".join(one.labels.tags), key=f"tags-{one.run_id}")
        note = st.text_area("Note", value=one.labels.note, key=f"note-{one.run_id}")
        if st.form_submit_button("Save"):
            assert one.run is not None
            try:
                labels.change(
                    workspace.run(one.run_id), name="" if name.strip() == one.run.name else name, tags=labels.tags_of(tags), note=note
                )
            except DeftError as error:
                state.set_failure(error)
            st.rerun()


def delete(workspace: Workspace, one: Listed) -> None:
    """With a second click."""
    if one.status in monitor.LIVE:
        st.button("Delete", icon=":material/delete:", disabled=True, help="It has to end first.")
        return
    with st.popover("Delete", icon=":material/delete:"):
        st.text("Its checkpoints, its model and its curves go with it, for good.")
        st.button(f"Delete {widgets.plain(one.name)}", type="primary", on_click=_delete, args=(workspace, one.run_id))


def _delete(workspace: Workspace, run_id: str) -> None:
    try:
        launch.delete(workspace, run_id)
    except DeftError as error:
        state.set_failure(error)
        return
    except OSError as error:
        state.set_failure(DeftError("to delete the run from disk", error.strerror or str(error), "See to the disk and its rights."))
        return
    state.open_run("")
