"""Runs beside one another: what came of them in words, every figure with its difference to the first, and their curves over one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from deft_core import compare_charts, comparing
from deft_core.comparing import BASE, Comparison
from deft_core.errors import DeftError
from deft_core.runs import monitor, verdict
from deft_core.runs.monitor import Listed
from deft_core.runs.spec import Run
from deft_core.workspace import Workspace
from pages.shared import compare_resources, compare_table, curve_chart, run_resources, state, widgets
from pages.shared.compare_table import Named

ABOUT = {"run": "a run", "random": "random rows, as many", "full": "all rows", "unguided": "without guidance", BASE: "before training"}
ICONS = {
    "better": ":material/thumb_up:",
    "worse": ":material/thumb_down:",
    "no difference": ":material/balance:",
    "unknown": ":material/help:",
}
ACROSS_HELP = (
    "Runs of other lengths compare by the tokens they have read or the seconds that training took, alone or behind those of scoring."
)
SPANS = (1, 5, 10, 25, 50, 100, 250, 1000)


@dataclass(frozen=True)
class Column:
    listed: Listed
    run: Run
    colour: str
    dash: str


def draw(workspace: Workspace, run_ids: Sequence[str]) -> None:
    columns = _columns(workspace, run_ids)
    if not columns:
        return
    _legend(columns)
    ready = [one for one in columns if run_resources.evaluated(workspace.run(one.run.run_id))]
    found = _found(workspace, ready)
    _missing([one for one in columns if one not in ready], enough=len(ready) > 1)
    if found:
        _verdicts(found, ready)
        st.html(compare_table.html(found, _named(ready)))
        for note in found.notes:
            st.caption(widgets.plain(_with_names(note, columns)))
    _curves(workspace, columns)


def _columns(workspace: Workspace, run_ids: Sequence[str]) -> list[Column]:
    """In the order in which they are put side by side; those that are gone are said."""
    listed = {one.run_id: one for one in run_resources.runs(workspace)}
    there = [listed[run_id] for run_id in dict.fromkeys(run_ids) if run_id in listed]
    gone = [run_id for run_id in dict.fromkeys(run_ids) if run_id not in listed]
    if gone:
        st.warning(f"There is no run {widgets.plain(', '.join(gone))} here: its folder was deleted or moved.")
    for one in there:
        if one.problem:
            widgets.problem(one.problem)
    runs = [one.run for one in there if one.run]
    ordered = comparing.in_order(runs) if runs else []
    styled = zip(ordered, compare_charts.styles(ordered), strict=True)
    return [Column(listed[run.run_id], run, *style) for run, style in styled]


def _legend(columns: Sequence[Column]) -> None:
    """The colours; a click on a name opens its run."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        for one in columns:
            with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall", width="content"):
                mark = "━" if one.dash == "solid" else "┅"
                st.html(f'<span style="color:{one.colour};font-weight:900">{mark}</span>', width="content")
                label, run_id = widgets.plain(f"{one.listed.name}, {one.listed.status}"), one.run.run_id
                st.button(label, key=f"open-{run_id}", type="tertiary", on_click=state.open_run, args=(run_id,), width="content")


def _found(workspace: Workspace, ready: Sequence[Column]) -> Comparison | None:
    if len(ready) < 2:
        return None
    try:
        return compare_resources.compared([workspace.run(one.run.run_id) for one in ready])
    except DeftError as error:
        widgets.problem(error)
        return None


def _missing(waiting: Sequence[Column], enough: bool) -> None:
    for one in waiting:
        name, status = widgets.plain(one.listed.name), one.listed.status
        will = (
            "it comes into the table once it is"
            if status in monitor.LIVE
            else f"`deft evaluate {one.run.run_id}` does it where its model is there"
            if status == "finished"
            else "a click on its name opens it, and Resume goes on with it"
        )
        st.caption(f":material/hourglass: **{name}** ({status}) is not evaluated: {will}.")
    if not enough:
        st.info("The table needs two evaluated runs. The curves below are there already.")


def _verdicts(found: Comparison, ready: Sequence[Column]) -> None:
    """Of the first one beside each other."""
    first, names = ready[0].run, {one.run.run_id: one.listed.name for one in ready}
    roles = {one.run.run_id: one.run.role for one in ready[1:] if one.run.group == first.group and one.run.role != "run"}
    with st.container(border=True):
        st.markdown(f"**{widgets.plain(names[first.run_id])}**")
        for one in verdict.beside_others(found, roles):
            words = one.words if one.role else one.words.replace(one.other, names.get(one.other, one.other), 1)
            head, _, rest = words.partition(": ")
            st.markdown(f"{ICONS[one.state]} **{widgets.plain(head)}**{': ' + widgets.plain(rest) if rest else ''}")


def _named(ready: Sequence[Column]) -> dict[str, Named]:
    named = {one.run.run_id: Named(one.listed.name, ABOUT[one.run.role], one.colour, one.run.role in ("run", "unguided")) for one in ready}
    return named | {BASE: Named("base", ABOUT[BASE], compare_charts.ROLES["base"])}


def _with_names(note: str, columns: Sequence[Column]) -> str:
    for one in columns:
        note = note.replace(one.run.run_id, one.listed.name)
    return note


# curves


def _curves(workspace: Workspace, columns: Sequence[Column]) -> None:
    overs = []
    for one in columns:
        try:
            curves = run_resources.curves(workspace.run(one.run.run_id))
        except DeftError as error:
            widgets.problem(error)
            continue
        overs.append(compare_charts.Over(one.listed.name, one.run, curves, one.colour, one.dash))
    if not any(len(over.curves.training.steps) or len(over.curves.evaluations.steps) for over in overs):
        st.info("None of these runs has done a step yet: curves begin with the first one.")
        return
    by, span = _controls(max(over.curves.step for over in overs))
    together = " ".join(over.run.run_id for over in overs)
    with st.container(key="run-curves"):
        for panel in compare_charts.PANELS:
            drawn = compare_charts.figure(panel, overs, by, span)
            if drawn is not None:
                with st.container(border=True, gap="small"):
                    st.markdown(f"**{panel.title}**", help=panel.look_for)
                    curve_chart.draw(drawn, f"over-{panel.title}", f"{by} {together}", panel.title)


def _controls(steps: int) -> tuple[str, int]:
    """(what the curves stand over, steps that the loss is smoothed by)."""
    by = state.value(state.ACROSS) if state.value(state.ACROSS) in compare_charts.ACROSS else "step"
    spans = [span for span in SPANS if span == 1 or span <= max(5, steps // 4)]
    usual = max(span for span in spans if span == 1 or span <= steps / 16)
    controls = st.container(horizontal=True, gap="large", vertical_alignment="bottom")
    with controls:
        key = state.mirror(state.ACROSS, by)
        changed = state.changed(key, lambda chosen: state.put(state.ACROSS, chosen or by))
        more = {"format_func": compare_charts.ACROSS.__getitem__, "help": ACROSS_HELP}
        st.segmented_control("Over", list(compare_charts.ACROSS), default=by, key=key, on_change=changed, **more)  # type: ignore[call-overload]
    asked = int(state.value(state.SPAN, "0")) if state.value(state.SPAN, "0").isdecimal() else 0
    span = asked if asked in spans else usual
    with controls:
        key = state.mirror("over-span", span, tuple(spans))
        st.select_slider(
            "Smoothing of the loss",
            spans,
            span,
            key=key,
            format_func=lambda one: "none" if one == 1 else f"about {one:,} steps",
            on_change=state.changed(key, lambda one: state.put(state.SPAN, one)),
            width=260,
        )
    return by, span
