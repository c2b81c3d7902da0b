"""The list of runs: those that wait and their order, then all, in groups; a click opens one, ticked boxes compare them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from deft_core.errors import DeftError
from deft_core.runs import launch, monitor, queue
from deft_core.runs.monitor import Listed
from deft_core.status import duration
from deft_core.workspace import Workspace
from pages.shared import run_resources, state, widgets
from pages.shared.frame import page

PAGE_RUNS = 25
SIGNS = {
    "queued": "… queued",
    "running": "▶ running",
    "finished": "✓ finished",
    "stopped": "■ stopped",
    "failed": "✗ failed",
    "lost": "? lost",
}
SUSPENDED = "⏸ suspended"  # it lives, and does nothing
ROLE_NAMES = {"random": "random control", "full": "full set", "unguided": "without guidance"}


def draw(workspace: Workspace) -> None:
    listed = run_resources.runs(workspace)
    if not listed:
        st.info("There is no run yet. One is started from a saved selection.")
        if st.button("Train a model", type="primary"):
            st.switch_page(page("train.py"))
        return
    if error := state.take_failure():
        widgets.problem(error)
    _waiting(workspace, listed)
    found = _found(listed, state.value(state.FIND_RUN))
    search, compare = st.columns([3, 2], vertical_alignment="bottom")
    with search:
        widgets.entry("Find", state.FIND_RUN, "words of a name, a tag, a selection, a state")
    with compare:
        _compare(listed)
    if not found:
        st.info("No run has all of these words. Search for others.")
        return
    _table(workspace, found, len(listed))
    for one in listed:
        if one.problem:
            st.warning(widgets.plain(f"{one.run_id}: {one.problem}"))


def _found(listed: list[Listed], words: str) -> list[Listed]:
    """Groups of which a run has all the words, with those of its runs that do."""
    asked = words.lower().split()
    return [one for group in run_resources.grouped(listed) for one in group if all(word in _haystack(one) for word in asked)]


def _haystack(one: Listed) -> str:
    about = (
        (one.run.dataset, f"{one.run.selection}@{one.run.version}", one.run.settings.method, ROLE_NAMES.get(one.run.role, ""))
        if one.run
        else ()
    )
    return " ".join((one.run_id, one.name, one.status, *one.labels.tags, *about)).lower()


# those that wait


def _waiting(workspace: Workspace, listed: list[Listed]) -> None:
    order = queue.waiting(queue.entries_of(workspace.runs))
    names = {one.run_id: one.name for one in listed if one.status == "queued"}
    order = [run_id for run_id in order if run_id in names]
    if not order:
        return
    with st.container(border=True):
        st.markdown(
            "**Waiting for their turn**",
            help="One run at a time has a device. A control whose guidance weight another run measures stays behind it.",
        )
        for place, run_id in enumerate(order):
            _place(workspace, run_id, names[run_id], place, len(order))


def _place(workspace: Workspace, run_id: str, name: str, place: int, of: int) -> None:
    """A line of the queue, with what moves it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(f"{place + 1}. {name}", width="stretch")
        for label, icon, to in (("run next", "first_page", 0), ("up", "arrow_upward", place - 1), ("down", "arrow_downward", place + 1)):
            blocked = place == of - 1 if label == "down" else place == 0
            moved = _acted(partial(queue.move, workspace.runs, run_id, to))
            st.button(label, icon=f":material/{icon}:", key=f"{label}-{run_id}", disabled=blocked, on_click=moved)
        cancelled = _acted(partial(launch.ask_to_stop, workspace, run_id))
        st.button("cancel", icon=":material/close:", key=f"cancel-{run_id}", on_click=cancelled)


def _acted(act: Callable[[], object]) -> Callable[[], None]:
    """A callback whose refusal is shown by the run that follows."""

    def acted() -> None:
        try:
            act()
        except DeftError as error:
            state.set_failure(error)

    return acted


# comparing


def _compare(listed: list[Listed]) -> None:
    there = {one.run_id for one in listed}
    picked = [run_id for run_id in state.picked_runs() if run_id in there]
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
        if picked:
            st.button("untick", on_click=_untick)
        label = f"Compare {widgets.count(len(picked), 'run')}" if picked else "Compare"
        why = None if len(picked) > 1 else "Tick the boxes of at least two runs."
        st.button(label, type="primary", disabled=len(picked) < 2, help=why, on_click=state.compare_runs, args=picked)


def _untick() -> None:
    state.pick_runs([])
    state.renew("drawn-runs")


# the table


def _table(workspace: Workspace, found: list[Listed], total: int) -> None:
    pages = -(-len(found) // PAGE_RUNS)
    at = min(state.number(state.RUNS_PAGE), pages - 1) * PAGE_RUNS
    shown = found[at : at + PAGE_RUNS]
    counted = f"<b>{len(found):,}</b> of {total:,} runs" if len(found) < total else f"<b>{total:,}</b> {'run' if total == 1 else 'runs'}"
    st.html(f"{counted} · click a cell to open its run, tick boxes to compare")
    ids = [one.run_id for one in shown]
    key = state.drawing_key("runs", ids)
    ticked = [place for place, run_id in enumerate(ids) if run_id in state.picked_runs()]
    st.dataframe(
        pd.DataFrame([_row(workspace, one) for one in shown]),
        key=key,
        on_select=lambda: _selected(key, ids),
        selection_mode=["multi-row", "single-cell"],
        selection_default={"selection": {"rows": ticked, "columns": [], "cells": []}},
        hide_index=True,
        placeholder="",
        column_config={
            "run": st.column_config.TextColumn(width="medium"),
            "started (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "rows": st.column_config.NumberColumn(format="localized"),
            "left": st.column_config.TextColumn(width=95),
            "pairs/s": st.column_config.NumberColumn(format="%.2f"),
            "done": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
        },
        height=35 * (len(shown) + 1) + 3,
    )
    if pages > 1:
        widgets.pager(state.RUNS_PAGE, pages, f"runs {at + 1:,} to {at + len(shown):,}")


def _selected(key: str, ids: list[str]) -> None:
    """A cell opens its run; boxes are kept with those of other pages of the list."""
    chosen = state.looked_at(key)
    for row, _ in chosen.get("cells", [])[:1]:
        state.renew("drawn-runs")
        state.open_run(ids[row])
        return
    others = [run_id for run_id in state.picked_runs() if run_id not in ids]
    state.pick_runs([*others, *(ids[row] for row in chosen.get("rows", []) if row < len(ids))])


def _row(workspace: Workspace, one: Listed) -> dict[str, Any]:
    done, about = one.progress, one.run
    held = one.status == "running" and monitor.suspended(workspace.run(one.run_id))
    row: dict[str, Any] = {"run": called(one), "state": SUSPENDED if held else SIGNS[one.status]}
    row |= {"done": round(done.step / done.of, 2) if done.of else None, "step": f"{done.step:,} / {done.of:,}" if done.of else ""}
    row |= {"pairs/s": done.pairs_per_second, "left": duration(done.seconds_left) if done.seconds_left else ""}
    if about is None:
        return row
    row |= {"method": about.settings.method, "selection": f"{about.selection}@{about.version}", "rows": about.rows}
    return row | {"started (UTC)": pd.to_datetime(about.created).tz_localize(None), "tags": ", ".join(one.labels.tags)}


def called(one: Listed) -> str:
    """A run in its group: those that another is held against stand below it, by what they are."""
    if one.run is None or one.run.role == "run":
        return one.name
    return f"↳ {one.labels.name or ROLE_NAMES[one.run.role]}"
