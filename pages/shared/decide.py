"""Deciding: on the row that is open, by buttons and keys; on all rows that the filters leave, by a second click; undo and redo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from deft_core import overrides
from deft_core.errors import DeftError
from deft_core.filters import to_text
from deft_core.overrides import Decisions, Event
from deft_core.reading import excerpt
from pages.shared import resources, state, widgets
from pages.shared.brushing import Look

KEYS = {"keep": "a", "drop": "d", "flip": "f"}
WHOLE = {"keep": "keep these", "drop": "drop these", "follow": "leave these to the rule", "flip": "flip these", "tag": "tag these"}
NEVER = "Held out: never in a subset."
ICONS = {"keep": ":material/check:", "drop": ":material/close:", "flip": ":material/swap_horiz:"}


def row(look: Look, row_id: str) -> None:
    """The open row: what was decided on it, and the buttons that decide."""
    decisions, training = look.decided.decisions, split(look, row_id) == "train"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for kind, on in _state(decisions, row_id).items():
            never = not (training or on or kind == "flip")
            st.button(
                kind,
                key=f"decide-{kind}",
                icon=ICONS[kind],
                type="primary" if on else "secondary",
                help=NEVER if never else _help(kind, on),
                shortcut=KEYS[kind],
                disabled=never,
                on_click=decide,
                args=(look, "follow" if on and kind != "flip" else kind, [row_id]),
            )
    _steps(look, "row")
    _words(look, row_id)


def split(look: Look, row_id: str) -> str:
    """Of a row that is there."""
    return str(look.table["split"].iloc[int(np.flatnonzero(look.table["id"] == row_id)[0])])


def _state(decisions: Decisions, row_id: str) -> dict[str, bool]:
    return {"keep": row_id in decisions.kept, "drop": row_id in decisions.dropped, "flip": row_id in decisions.flipped}


def _help(kind: str, on: bool) -> str:
    if kind == "flip":
        return "Put chosen and rejected back" if on else "Chosen and rejected change places"
    return f"Decided: {kind}. Again: leave it to the rule" if on else f"{kind.capitalize()} this row, whatever the rule says"


def _words(look: Look, row_id: str) -> None:
    """Note and tags. Their keys change with what is saved, so that an undo shows in them."""
    decisions = look.decided.decisions
    note, tags = decisions.notes.get(row_id, ""), decisions.tags.get(row_id, ())
    left, right = st.columns(2)
    note_key, tags_key = f"note-{row_id}-{hash(note)}", f"tags-{row_id}-{hash(tags)}"

    def noted() -> None:
        if (text := str(st.session_state[note_key]).strip()) != note:
            decide(look, "note", [row_id], text)

    def tagged() -> None:
        now = tuple(str(tag) for tag in st.session_state[tags_key])
        for tag in [*(one for one in now if one not in tags), *(f"-{one}" for one in tags if one not in now)]:
            decide(look, "tag", [row_id], tag)

    left.text_input("Note", note, key=note_key, on_change=noted, placeholder="anything worth remembering")
    known = sorted({tag for row in decisions.tags.values() for tag in row})
    right.multiselect("Tags", known, tags, key=tags_key, on_change=tagged, accept_new_options=True, placeholder="type a new one, or choose")


# all rows that the filters leave


def whole(look: Look) -> None:
    """Which decision, then how many rows it is about, then a click."""
    rows = int(look.left.sum())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        which = "this row" if rows == 1 else f"{'these' if look.rules else 'all'} {widgets.count(rows, 'row')}"
        st.html(f"<b>Decide on {which}</b>", width="content")
        for kind, label in WHOLE.items():
            st.button(
                label.replace("these", "it") if rows == 1 else label,
                key=f"whole-{kind}",
                type="tertiary",
                disabled=not rows,
                on_click=state.ask,
                args=(kind, _about(look)),
            )
    kind, about = state.asked()
    if kind and about == _about(look) and rows:
        _confirm(look, kind, rows)
    if not state.value(state.ROW):
        steps(look)


def _about(look: Look) -> str:
    """What a question was asked about: it is taken back when the filters change."""
    return "\n".join([look.view.dataset, *(to_text(rule) for rule in look.rules)])


def _confirm(look: Look, kind: str, rows: int) -> None:
    with st.form("whole-filter", border=True):
        st.html(f"<b>{_question(kind, rows)}</b> {_before(look)} It can be undone.")
        if kind == "tag":
            st.text_input("Tag", key="tag-of-these", placeholder="a word; with a minus before it, it is taken off")
        with st.container(horizontal=True):
            yes = {"follow": f"leave {widgets.count(rows, 'row')} to the rule"}.get(kind, f"{kind} {widgets.count(rows, 'row')}")
            st.form_submit_button(yes, type="primary", on_click=_decide_whole, args=(look, kind))
            st.form_submit_button("cancel", on_click=state.ask, args=("", ""))


def _question(kind: str, rows: int) -> str:
    return {
        "keep": f"Keep {widgets.count(rows, 'row')}, whatever a rule says?",
        "drop": f"Drop {widgets.count(rows, 'row')}, whatever a rule says?",
        "follow": f"Take keep and drop back from {widgets.count(rows, 'row')}?",
        "flip": f"Swap chosen and rejected in {widgets.count(rows, 'row')}? Those flipped before are put back.",
        "tag": f"Tag {widgets.count(rows, 'row')}?",
    }[kind]


def _before(look: Look) -> str:
    """What was decided on these rows until now."""
    marks = {"kept": ("decision", "keep"), "dropped": ("decision", "drop"), "flipped": ("flipped", "yes"), "noted": ("noted", "yes")}
    counts = {name: int((np.asarray(look.table[column] == word) & look.left).sum()) for name, (column, word) in marks.items()}
    words = [f"{number:,} {name}" for name, number in counts.items() if number]
    return f"Decided before: {', '.join(words)}." if words else "None of them was decided on before."


def _decide_whole(look: Look, kind: str) -> None:
    text = state.typed("tag-of-these") if kind == "tag" else None
    decide(look, kind, look.table["id"].to_numpy()[look.left].tolist(), text)


# undo, redo, and what is said afterwards


def steps(look: Look, *, row_open: bool = False) -> None:
    """Undo and redo, and what has been saved. Beside a row that is open they have no keys: its own have them."""
    _steps(look, "list", first=not row_open)


def _steps(look: Look, place: str, *, first: bool = True) -> None:
    """Each button names the decision it is about, and does that one or nothing."""
    decisions = look.decided.decisions
    if error := state.take_failure():
        state.set_said("")
        widgets.problem(error)
    if place == "list" and not look.decided.events:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for kind, target, key in (("undo", decisions.undoable, "u"), ("redo", decisions.redoable, "shift+u")):
            _step_button(look, kind, target, f"{place}-{kind}", key if first else None)
        if state.said() and first:
            st.caption(f":material/check: {widgets.plain(excerpt(state.said(), 80))}", width="content")


def _step_button(look: Look, kind: str, target: Event | None, key: str, shortcut: str | None) -> None:
    label = f"{kind}: {widgets.plain(excerpt(overrides.words(target), 50))}" if target else kind
    st.button(
        label,
        key=key,
        icon=f":material/{kind}:",
        type="tertiary",
        disabled=target is None,
        shortcut=shortcut,
        on_click=_step,
        args=(look, kind, target),
    )


def _step(look: Look, kind: str, target: Event) -> None:
    """A decision on one row is shown where another row is open."""
    act = overrides.undo if kind == "undo" else overrides.redo
    _saved(lambda: act(resources.workspace(), look.view.dataset, target.event), f"{kind} {overrides.words(target)}")
    if len(target.ids) == 1 and state.value(state.ROW):
        state.put(state.ROW, target.ids[0])


def decide(look: Look, kind: str, ids: list[str], text: str | None = None) -> None:
    known = resources.known(resources.version(look.view), look.table)
    _saved(lambda: overrides.append(resources.workspace(), look.view.dataset, kind, ids, text, known=known))


def _saved(write: Callable[[], Event | None], what: str = "") -> None:
    """Says "saved" once the event is on disk, and never before."""
    try:
        event = write()
    except DeftError as error:
        state.set_failure(error)
    except OSError as error:
        remedy = "Nothing was saved. See to the disk and its rights, then decide again."
        state.set_failure(DeftError("to write the decision to disk", error.strerror or str(error), remedy))
    else:
        state.ask("", "")
        state.set_said(f"saved: {what or overrides.words(event)}" if event else "another session was quicker: nothing was left to do")
