"""Borderline: the rows next to each cut, nearest first, on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from deft_core import selection
from deft_core.charts import COLOURS
from deft_core.ordered import Ordered
from deft_core.selection import Ints, Mask
from pages.shared import certainty, inspector, rows, state, widgets
from pages.shared.picked import Picked

SIDE_ROWS = 10


def draw(picked: Picked) -> None:
    if not picked.rule.has_cut:
        st.info("This rule has no cut: chance or the strata decide, not one place in the ranking.")
        return
    ranked = picked.ranked
    borders = selection.borders(picked.rule, picked.values(), ranked, int(picked.kept.sum()))
    if not borders:
        st.info("There is no cut: the rule keeps all rows that take part, or none.")
        return
    sides = [side for place in borders for side in _sides(ranked, picked.kept, place)]
    turns = rows.last_turns(picked.look, np.concatenate(sides))  # one question for all
    for number, side in enumerate(sides):
        if number % 2 == 0:
            columns = st.columns(2, gap="medium")
        with columns[number % 2]:
            _side(picked, side, ("kept", "dropped")[number % 2], f"borderline-{number}", turns[: len(side)])
        turns = turns[len(side) :]
    row_id = state.value(state.ROW)
    if row_id:
        with st.container(border=True, key=widgets.OPEN):
            inspector.inspect(picked.look, row_id, Ordered(np.concatenate(sides)))


def _sides(ranked: Ints, kept: Mask, place: int) -> tuple[Ints, Ints]:
    """The rows just kept and just dropped at a border, nearest first."""
    below, above = ranked[max(0, place - SIDE_ROWS) : place][::-1], ranked[place : place + SIDE_ROWS]
    return (above, below) if kept[ranked[place]] else (below, above)


def _side(picked: Picked, positions: Ints, which: str, name: str, turns: Sequence[str]) -> None:
    square = f'<span style="color:{COLOURS[which]}">■</span>'
    st.html(f"{square} just {which} by the rule: {widgets.count(len(positions), 'row')}, nearest to the cut first")
    look = picked.look
    if picked.probability is not None:
        look = replace(look, table=look.table.assign(**{certainty.PROBABILITY: picked.probability}))
    rows.short(look, positions, name, (picked.rule.by, certainty.PROBABILITY, "tokens_chosen"), turns)
