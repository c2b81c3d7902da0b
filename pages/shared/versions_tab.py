"""Versions: the saved selections of the dataset; two of them compared, one restored, renamed or deleted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import selections
from deft_core.errors import DeftError
from deft_core.ordered import Ordered
from deft_core.rule import words
from deft_core.selection import Ints
from deft_core.selections import Comparison, Listed, Saved
from pages.shared import inspector, resources, rows, rule_bar, state, widgets
from pages.shared.picked import Picked

NOW = "the rows kept now"
SHOWN_ROWS = 25


def draw(picked: Picked) -> None:
    dataset = picked.look.view.dataset
    listed = selections.listing(picked.frame.workspace, dataset)
    if not listed:
        st.info("Nothing is saved yet. Save the subset under a name above: a version never changes.")
        return
    _table(listed)
    for one in listed:
        if one.problem:
            st.warning(widgets.plain(f"{one.name}@{one.version}: {one.problem}"))
    _one(listed)
    references = [one.about.reference for one in listed if one.about]
    if references:
        _two(picked, references)


def _table(listed: list[Listed]) -> None:
    about = [one.about for one in listed if one.about]
    shown = pd.DataFrame(
        {
            "version": [one.reference for one in about],
            "kept": [one.kept for one in about],
            "rule": [words(one.rule) for one in about],
            "by hand": [_by_hand(one) for one in about],
            "saved (UTC)": pd.to_datetime([one.created for one in about]),
            "note": [f"restores version {one.restores}" if one.restores else one.note for one in about],
            "fingerprint": [one.fingerprint[:12] for one in about],
        }
    )
    formats = {
        "saved (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        "kept": st.column_config.NumberColumn(format="localized"),
    }
    st.dataframe(shown, hide_index=True, column_config=formats, height=min(35 * (len(shown) + 1) + 3, 400))


def _by_hand(one: Saved) -> str:
    """What was decided about rows of the dataset when the version was saved."""
    return ", ".join(f"{one.decisions[name]:,} {name}" for name in ("kept", "dropped", "flipped") if one.decisions.get(name))


# one version


def _one(listed: list[Listed]) -> None:
    by_reference = {f"{one.name}@{one.version}": one for one in listed}
    which, buttons = st.columns([2, 5], vertical_alignment="bottom")
    newest = next(iter(by_reference))
    reference = which.selectbox("One version", list(by_reference), key=f"version-{newest}")  # after a new one that is shown
    one = by_reference[reference]
    last = one.version == max(other.version for other in listed if other.name == one.name)
    with buttons, st.container(horizontal=True, vertical_alignment="bottom"):
        if one.about:
            st.button("use its rule", icon=":material/content_cut:", on_click=rule_bar.use, args=(one.about.rule,))
        st.button(
            "make it the newest",
            icon=":material/history:",
            on_click=_restore,
            args=(one,),
            disabled=last or not one.about,
            help=f"It is the newest version of {one.name}." if last else "A new version of the same content; none is changed.",
        )
        with st.popover("rename", icon=":material/edit:"):
            st.text_input(f"New name of {one.name}", key="rename-to")
            st.button("Rename", on_click=_rename, args=(one.name,))
        with st.popover("delete", icon=":material/delete:"):
            number = sum(other.name == one.name for other in listed)
            st.text(f"What is deleted cannot be brought back; the number {one.version} is not given again.")
            st.button(f"Delete {reference}", type="primary", on_click=_delete, args=(one.name, one.version))
            st.button(f"Delete {one.name} with {widgets.count(number, 'version')}", on_click=_delete, args=(one.name, None))


def _restore(one: Listed) -> None:
    def restore() -> str:
        saved = selections.restore(resources.workspace(), one.name, one.version)
        return f"{saved.reference} has the rule and rows of {one.name}@{one.version}."

    _done(restore)


def _rename(name: str) -> None:
    def rename() -> str:
        new = state.typed("rename-to")
        selections.rename(resources.workspace(), name, new)
        if state.value(state.SELECTION) == name:
            state.put(state.SELECTION, new)
        return f"{name} is called {new} now."

    _done(rename)


def _delete(name: str, version: int | None) -> None:
    def delete() -> str:
        gone = selections.delete(resources.workspace(), name, version)
        if state.value(state.SELECTION) == name and not selections.versions(resources.workspace(), name):
            state.put(state.SELECTION)
        return f"Deleted: {', '.join(f'{name}@{number}' for number in gone)}."

    _done(delete)


def _done(act: Callable[[], str]) -> None:
    try:
        state.set_saved(act())
    except DeftError as error:
        state.set_saved(error)
    except OSError as error:
        state.set_saved(DeftError("to change the selection on disk", error.strerror or str(error), "See to the disk and its rights."))


# two versions


def _two(picked: Picked, references: list[str]) -> None:
    left, right = st.columns(2)
    a = left.selectbox("Compare", references, key=f"compare-a-{references[0]}", index=min(1, len(references) - 1))
    b = right.selectbox("with", [NOW, *references], key=f"compare-b-{references[0]}", index=1 if len(references) > 1 else 0)
    found = _compared(picked, a, b)
    counts = {"in both": found.both, f"only in {a}": found.only_a, f"only in {b}": found.only_b}
    if found.flipped_otherwise:
        counts["of both flipped in one of them"] = found.flipped_otherwise
    st.html(", ".join(f"<b>{len(ids):,}</b> {widgets.html(name)}" for name, ids in counts.items()))
    opened = []
    for place, name, ids in zip(st.columns(2, gap="medium"), ("only-a", "only-b"), (found.only_a, found.only_b), strict=True):
        positions = picked.ids.positions(ids)
        with place:
            _rows(picked, positions, len(ids), name, a if name == "only-a" else b)
        opened.append(positions)
    row_id = state.value(state.ROW)
    if row_id:
        with st.container(border=True, key=widgets.OPEN):
            inspector.inspect(picked.look, row_id, Ordered(np.concatenate(opened)))


def _compared(picked: Picked, a: str, b: str) -> Comparison:
    if b != NOW:
        return selections.compare(picked.frame.workspace, a, b)
    first = selections.kept_rows(picked.frame.workspace, *selections.parse(a)).set_index("id")["flipped"]
    ids = picked.look.table["id"][picked.subset.mask]
    return selections.compared(first, pd.Series(ids.isin(picked.decisions.flipped).to_numpy(), pd.Index(ids)))


def _rows(picked: Picked, positions: Ints, rows_in_all: int, name: str, reference: str) -> None:
    st.html(f"only in {widgets.html(reference)}: {widgets.count(rows_in_all, 'row')}")
    if len(positions):
        pages = -(-len(positions) // SHOWN_ROWS)
        at = min(state.number(name), pages - 1) * SHOWN_ROWS
        shown = positions[at : at + SHOWN_ROWS]
        columns = (picked.rule.by, "tokens_chosen")
        rows.short(picked.look, shown, f"versions-{name}", columns, rows.last_turns(picked.look, shown))
        if pages > 1:
            widgets.pager(name, pages, f"rows {at + 1:,} to {min(at + SHOWN_ROWS, len(positions)):,}")
