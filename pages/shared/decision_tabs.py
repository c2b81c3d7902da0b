"""Curate's tabs about decisions: all of them, newest first; and the rows where a decision and the rule disagree."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import overrides
from deft_core.ordered import Ordered
from deft_core.overrides import DECISIONS, Event
from deft_core.reading import excerpt
from deft_core.selection import Ints
from pages.shared import decide, inspector, marks, resources, state, widgets
from pages.shared.picked import Picked
from pages.shared.rows import PAGE_ROWS
from pages.shared.turn_resources import last_turns

SETTLED = "settled"  # the tag of a row whose decision stands although the rule says otherwise


def decisions(picked: Picked) -> None:
    """The log: what each decision did, and whether it stands. A click opens the first row it is about."""
    events = resources.events(picked.frame.workspace, picked.look.view.dataset)
    if not events:
        st.info("Nothing is decided yet. Open a row under Kept or Dropped, or on Explore, and press a (keep), d (drop) or f (flip).")
        return
    decide.steps(picked.look, row_open=bool(state.value(state.ROW)))
    marks.gone(picked.look)
    with _beside(picked, np.empty(0, np.int64)):
        _log(picked, events)


def _log(picked: Picked, events: Sequence[Event]) -> None:
    pages = -(-len(events) // PAGE_ROWS)
    at = min(state.number(state.PAGE), pages - 1) * PAGE_ROWS
    shown = events[::-1][at : at + PAGE_ROWS]
    by_id = {event.event: event for event in events}
    done, overruled = {event.event for event in picked.decisions.done}, resources.overruled(picked.decided.through, picked.decisions)
    firsts = [_about(event, by_id).ids[0] for event in shown]
    turns = last_turns(picked.look.view, firsts)

    key = state.drawing_key("decisions", firsts)

    def opened() -> None:
        for place in state.take_drawing("decisions", key).get("rows", [])[:1]:
            state.put(state.ROW, firsts[place])

    table = pd.DataFrame(
        {
            "when (UTC)": [event.created[:19].replace("T", " ") for event in shown],
            "decision": [excerpt(_words(event, by_id), 80) for event in shown],
            "now": [_now(event, done, overruled) for event in shown],
            "its first row": turns,
        }
    )
    st.dataframe(table, key=key, on_select=opened, selection_mode="single-row", hide_index=True, height=36 * (len(table) + 1) + 3)
    if pages > 1:
        widgets.pager(state.PAGE, pages, f"decisions {at + 1:,} to {at + len(shown):,} of {len(events):,}")


def _about(event: Event, by_id: dict[str, Event]) -> Event:
    """The decision that a step is about; a decision is about itself."""
    return event if event.kind in DECISIONS else by_id.get(event.target or "", event)


def _now(event: Event, done: Collection[str], overruled: Collection[str]) -> str:
    if event.kind not in DECISIONS:
        return ""
    return "undone" if event.event not in done else "overruled" if event.event in overruled else "stands"


def _words(event: Event, by_id: dict[str, Event]) -> str:
    words = overrides.words(_about(event, by_id))
    return words if event.kind in DECISIONS else f"{event.kind}: {words}"


# where rule and decision disagree


def conflicts(picked: Picked) -> None:
    """What the rule says of a row and what a person decided, those not yet settled first."""
    rows = picked.subset.conflicts
    if not len(rows):
        st.info(
            "No decision disagrees with this rule: every row kept by hand is one the rule keeps too, and none it keeps is dropped by hand."
        )
        return
    ids = picked.look.table["id"].to_numpy()[rows]
    settled = np.array([SETTLED in picked.decisions.tags.get(row, ()) for row in ids])
    ordered = rows[np.argsort(settled, kind="stable")]
    st.html(_figures(picked, int(settled.sum())))
    decide.steps(picked.look, row_open=bool(state.value(state.ROW)))
    _follow_all(picked, ids[~settled].tolist())
    with _beside(picked, ordered):
        _cards(picked, ordered)


def _figures(picked: Picked, settled: int) -> str:
    added, removed = len(picked.subset.added), len(picked.subset.removed)
    parts = [f"<b>{widgets.count(added + removed, 'conflict')}</b>", f"{added:,} kept by hand that the rule drops"]
    return " · ".join([*parts, f"{removed:,} dropped by hand that the rule keeps", f"{settled:,} settled"])


def _follow_all(picked: Picked, ids: list[str]) -> None:
    about = "\n".join(ids)
    if len(ids) < 2:
        return
    if state.asked() != ("follow-all", about):
        st.button(f"follow the rule in all {len(ids):,} that are open", on_click=state.ask, args=("follow-all", about))
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.html(f"<b>Take back {widgets.count(len(ids), 'decision')}?</b> It can be undone.")
        st.button(
            f"follow the rule in {widgets.count(len(ids), 'row')}",
            type="primary",
            on_click=decide.decide,
            args=(picked.look, "follow", ids),
        )
        st.button("cancel", on_click=state.ask, args=("", ""))


def _cards(picked: Picked, rows: Ints) -> None:
    pages = -(-len(rows) // PAGE_ROWS)
    at = min(state.number(state.PAGE), pages - 1) * PAGE_ROWS
    shown = rows[at : at + PAGE_ROWS]
    ids = picked.look.table["id"].to_numpy()[shown].tolist()
    turns = last_turns(picked.look.view, ids)
    for row, row_id, turn in zip(shown, ids, turns, strict=True):
        _card(picked, int(row), row_id, turn)
    if pages > 1:
        widgets.pager(state.PAGE, pages, f"conflicts {at + 1:,} to {at + len(shown):,} of {len(rows):,}")


def _card(picked: Picked, row: int, row_id: str, turn: str) -> None:
    settled = SETTLED in picked.decisions.tags.get(row_id, ())
    with st.container(border=True, gap="small"):
        st.html(
            f"<b>{widgets.html(turn)}</b><br>{_rule_says(picked, row)}<br>{_decision_says(picked, row_id)}{' · settled' if settled else ''}"
        )
        with st.container(horizontal=True, gap="small"):
            follow, keep = (picked.look, "follow", [row_id]), (picked.look, "tag", [row_id], SETTLED)
            st.button("follow the rule", key=f"follow-{row_id}", on_click=decide.decide, args=follow)
            st.button("keep the decision", key=f"settle-{row_id}", disabled=settled, on_click=decide.decide, args=keep)
            st.button("read", key=f"read-{row_id}", type="tertiary", on_click=state.put, args=(state.ROW, row_id))


def _rule_says(picked: Picked, row: int) -> str:
    outside = "drops it" if picked.pool[row] else "does not look at it"
    verdict = "keeps it" if picked.kept[row] else outside
    value = picked.values()[row]
    return f"The rule {verdict}: {widgets.html(picked.rule.by)} {'has no value' if np.isnan(value) else f'{value:,.4g}'}"


def _decision_says(picked: Picked, row_id: str) -> str:
    kind = "keep" if row_id in picked.decisions.kept else "drop"
    event = next(event for event in reversed(picked.decisions.done) if event.kind == kind and row_id in event.ids)
    what = "this row" if len(event.ids) == 1 else f"{len(event.ids):,} rows at once"
    return f"Decided: {kind} ({what}, {event.created[:16].replace('T', ' ')} UTC)"


def _beside(picked: Picked, order: Ints) -> st.delta_generator.DeltaGenerator:
    """Where the list goes: the whole width, or beside the row that is open."""
    row_id = state.value(state.ROW)
    if not row_id:
        return st.container()
    left, right = st.columns([5, 7], gap="medium")
    with right, st.container(border=True, key=widgets.OPEN):
        inspector.inspect(picked.look, row_id, Ordered(order))
    return left
