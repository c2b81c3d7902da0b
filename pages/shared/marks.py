"""The rows as the pages show them: flipped ones turned round, and what was decided about each as columns to filter and sort by."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from deft_core.filters import Filter
from deft_core.queries import Column, open_view
from pages.shared import resources, widgets
from pages.shared.brushing import Look
from pages.shared.frame import Frame
from pages.shared.resources import MARKS, Decided


def look_at(frame: Frame, rules: Sequence[Filter], run_id: str | None = None) -> Look:
    """The dataset chosen, through these filters; with a run, what that made of the rows as columns."""
    assert frame.dataset
    view = open_view(frame.workspace, frame.dataset, frame.score_id, run_id)
    version = resources.version(view)
    table = resources.light_table(version, view)
    decided = resources.decided(frame.workspace, view, version, table)
    turned_version, turned = resources.turned(version, decided, view, table)
    marked = resources.marked(turned_version, decided.through, decided, resources.known(version, table), turned)
    columns = [*resources.columns(version, view), *(Column(name, "category") for name in MARKS)]
    return Look(view, turned_version, marked, columns, list(rules), decided)


def flips(decided: Decided, more: str = "") -> None:
    """How many flips the score set's d knows nothing of."""
    number = len(decided.decisions.flipped)
    if number:
        what = widgets.count(number, "flip is", "flips are")
        st.caption(f"{what} not in d: it was counted before, and stays that of its score set. {more}".strip())


def gone(look: Look) -> None:
    """Decisions about rows that the dataset has no longer."""
    unknown = look.decided.decisions.unknown
    if unknown:
        st.caption(f"Decisions are kept about {widgets.count(unknown, 'row')} that the dataset no longer has.")
