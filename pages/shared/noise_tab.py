"""Noise: one line a signal, what it marks in the set and in the subset, its rows to read, and one action on all of them."""

from __future__ import annotations

import streamlit as st

from deft_core.noise import stored
from deft_core.noise.signals import SIGNALS, STORED, Signal
from deft_core.noise.stored import NoiseFile
from deft_core.selection import Mask
from deft_core.status import duration
from pages.shared import decide, noise_resources, noise_rows, state, widgets
from pages.shared.picked import Picked

ACTIONS = {"all but one": "drop all but one", "training": "drop the training rows", "all": "drop all", "flip": "flip all"}
GROUPED = ("exact_duplicate", "near_duplicate", "leak")


def draw(picked: Picked) -> None:
    file = stored.found(picked.frame.workspace, picked.look.view.dataset)
    _columns(picked, file)
    decide.steps(picked.look)
    masks = noise_resources.masks(picked.look.version, picked.look.view, picked.look.table)
    for signal in SIGNALS:
        if signal.name in masks and masks[signal.name].any():
            _line(picked, signal, masks[signal.name])
    _rest(masks, file)


# the columns: there, being computed, or still to be


def _columns(picked: Picked, file: NoiseFile) -> None:
    workspace, dataset = picked.frame.workspace, picked.look.view.dataset
    status = noise_resources.status(workspace, dataset)
    if status and status["state"] == "running":
        done, total = int(status["done"]), int(status["total"])
        rows = f": {done:,} of {total:,} rows" if total else ""
        left = f", {duration(status['seconds_left'])} left" if status.get("seconds_left") else ""
        st.progress(min(done / max(total, 1), 1.0), text=f"{status['phase']}{rows}{left}. It goes on without this page.")
        return
    if file.state == "current":
        notes = "".join(f" · {widgets.plain(note)}" for note in file.notes.values())
        st.caption(f"{widgets.count(len(picked.look.table), 'row')} looked through in {duration(file.seconds)}{notes}")
        return
    if status and status["state"] in ("failed", "lost", "stopped"):
        st.error(f"Looking through the texts ended early: {widgets.plain(status['message'] or 'its process is gone')}")
    st.info(_WHY[file.state])
    st.button("Look through the texts", key="noise-start", type="primary", on_click=noise_resources.start, args=(workspace, dataset))


_WHY = {
    "missing": "Nobody has looked through the texts yet: for duplicates, leaks, other languages, personal data, extreme lengths. "
    "It runs in the background, about a second for 1,000 rows.",
    "stale": "What was found belongs to other data or to an earlier version of the signals. Look through the texts again.",
    "damaged": "The file of what was found is damaged. Look through the texts again.",
}


# one line a signal


def _line(picked: Picked, signal: Signal, mask: Mask) -> None:
    opened = state.value(state.NOISE) == signal.name
    with st.container(border=True, gap="small"):
        words, buttons = st.columns([3, 2], gap="small", vertical_alignment="center")
        words.html(f"<b>{widgets.html(signal.title)}</b> · {_counts(picked, signal, mask)}<br>{widgets.html(signal.meaning)}")
        with buttons.container(horizontal=True, horizontal_alignment="right", gap="small"):
            label, value = ("hide rows", "") if opened else ("show rows", signal.name)
            st.button(label, key=f"noise-{signal.name}-rows", on_click=_open, args=(value,))
            for kind, words_of in ((("flip" if signal.action == "flip" else "drop"), ACTIONS[signal.action]), ("keep", "keep all")):
                st.button(
                    words_of, key=f"noise-{signal.name}-{kind}", type="tertiary", on_click=state.ask, args=(kind, _about(picked, signal))
                )
        kind, about = state.asked()
        if kind and about == _about(picked, signal):
            _confirm(picked, signal, kind, mask)
        if opened:
            noise_rows.draw(picked, signal)


def _counts(picked: Picked, signal: Signal, mask: Mask) -> str:
    rows = widgets.count(int(mask.sum()), "row")
    if signal.name in GROUPED:
        rows += f" in {widgets.count(int(picked.look.table[signal.column].max()), 'group')}"
    return f"{rows}, {int((mask & picked.subset.mask).sum()):,} of them kept"


def _open(name: str) -> None:
    state.put(state.NOISE, name)
    state.put(state.PAGE)


def _about(picked: Picked, signal: Signal) -> str:
    return f"noise {signal.name} of {picked.look.view.dataset}"


def _confirm(picked: Picked, signal: Signal, kind: str, mask: Mask) -> None:
    """How many rows it is about, then a click."""
    rows = mask if kind == "keep" else noise_rows.meant(picked, signal)
    number = int(rows.sum())
    with st.form(f"noise-{signal.name}-confirm", border=False):
        st.html(f"<b>{_question(signal, kind, number)}</b>{' It can be undone.' if number else ''}")
        with st.container(horizontal=True):
            yes = f"{kind} {widgets.count(number, 'row')}"
            st.form_submit_button(yes, type="primary", disabled=not number, on_click=_all, args=(picked, kind, rows))
            st.form_submit_button("cancel", on_click=state.ask, args=("", ""))


def _question(signal: Signal, kind: str, rows: int) -> str:
    if not rows:
        return "Nothing is left to do here."
    what = widgets.count(rows, "row")
    if kind == "flip":
        return f"Swap chosen and rejected in {what}? A score is a reason to read a row, not a proof."
    if kind == "keep":
        return f"Keep {what}, whatever a rule says?"
    stays = {"all but one": " Of each group the rows kept by hand stay, else the first.", "training": " Held-out and judge rows stay."}
    return f"Drop {what}, whatever a rule says?{stays.get(signal.action, '')}"


def _all(picked: Picked, kind: str, rows: Mask) -> None:
    decide.decide(picked.look, kind, picked.look.table["id"].to_numpy()[rows].tolist())


def _rest(masks: dict[str, Mask], file: NoiseFile) -> None:
    """The signals without a line: nothing found, or nothing to tell by."""
    nothing = [signal.title.lower() for signal in SIGNALS if signal.name in masks and not masks[signal.name].any()]
    if nothing:
        st.caption(f"Nothing found: {', '.join(nothing)}.")
    unscored = [signal.title.lower() for signal in SIGNALS if signal not in STORED and signal.name not in masks]
    if unscored:
        st.caption(f"Needs scores: {', '.join(unscored)}.")
