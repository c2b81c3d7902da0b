"""Borderline: the rows next to each cut, nearest first, on both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from deft_core import selection
from deft_core.charts import COLOURS
from deft_core.selection import Ints
from pages.shared import certainty, inspector, rows, state, widgets
from pages.shared.picked import Picked

SIDE_ROWS = 10


def draw(picked: Picked) -> None:
    if picked.rule.keep in ("random", "stratified"):
        st.info("This rule has no cut: chance or the strata decide, not one place in the ranking.")
        return
    ranked = picked.order[picked.pool[picked.order]]
    borders = selection.borders(ranked, picked.kept)
    if not borders:
        st.info("There is no cut: the rule keeps all rows that take part, or none.")
        return
    shown = []
    for number, place in enumerate(borders):
        below, above = ranked[max(0, place - SIDE_ROWS) : place][::-1], ranked[place : place + SIDE_ROWS]
        kept, dropped = (above, below) if picked.kept[ranked[place]] else (below, above)
        left, right = st.columns(2, gap="medium")
        with left:
            _side(picked, kept, "kept", f"borderline-kept-{number}")
        with right:
            _side(picked, dropped, "dropped", f"borderline-dropped-{number}")
        shown += [kept, dropped]
    row_id = state.value(state.ROW)
    if row_id:
        with st.container(border=True):
            inspector.inspect(picked.look, row_id, np.concatenate(shown))


def _side(picked: Picked, positions: Ints, which: str, name: str) -> None:
    square = f'<span style="color:{COLOURS[which]}">■</span>'
    st.html(f"{square} just {which} by the rule: {widgets.count(len(positions), 'row')}, nearest to the cut first")
    look = picked.look
    if picked.probability is not None:
        look = replace(look, table=look.table.assign(**{certainty.PROBABILITY: picked.probability}))
    rows.short(look, positions, name, (picked.rule.by, certainty.PROBABILITY, "tokens_chosen"))
