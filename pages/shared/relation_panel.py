"""How columns relate: a matrix of rank correlations or of overlaps, and which columns mostly measure length."""

from __future__ import annotations

import numpy as np
import streamlit as st

from deft_core import charts
from deft_core.relations import FRACTION, Relations, length_ties
from pages.shared import resources, state
from pages.shared.brushing import Look

FIRST = [  # of the columns, where they are there
    *("reward_chosen", "reward_rejected", "reward_margin", "mean_logp_chosen", "mean_logp_margin", "score_chosen", "score_margin"),
    *("tokens_chosen", "tokens_rejected", "turns", "characters_chosen", "characters_rejected"),
]
SHOWN = 10  # columns in the matrix unless picked
LENGTHS = ("tokens_chosen", "characters_chosen")
CONFIG = {"displayModeBar": False}
VIEWS = {
    "correlation": "rank correlation",
    "lowest": f"lowest {FRACTION:.0%} in common",
    "highest": f"highest {FRACTION:.0%} in common",
}


def draw_relations(look: Look) -> None:
    """Everything here is about all rows: the filters narrow nothing."""
    wanted = bool(state.value(state.RELATIONS))
    key = state.mirror("relations", wanted)
    changed = state.changed(key, lambda on: state.put(state.RELATIONS, "open" if on else ""))
    st.toggle("Column relations", wanted, key=key, on_change=changed)
    if not wanted:
        return
    found = resources.relations(look.version, tuple(look.named("number")), look.table)
    rows = f"{len(look.table):,}"
    st.caption(f"Over all {rows} rows, whatever the filters say. By ranks; a pair of columns is compared where both have a value.")
    left, right = st.columns([6, 5], gap="medium")
    with left:
        _matrix(found)
    with right:
        _lengths(found)


def _matrix(found: Relations) -> None:
    telling = _telling(found)
    asked = [name for name in state.values(state.RELATED) if name in telling] or telling[:SHOWN]
    picked = state.mirror("related", asked)
    changed = state.changed(picked, lambda names: state.put(state.RELATED, *names))
    st.multiselect("Columns", telling, asked, key=picked, on_change=changed, wrap=True)
    view = state.value(state.RELATION) if state.value(state.RELATION) in VIEWS else "correlation"
    seen = state.mirror("relation", view)
    shown = st.segmented_control(
        "Show",
        list(VIEWS),
        default=view,
        key=seen,
        required=True,
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        on_change=state.changed(seen, lambda view: state.put(state.RELATION, view)),
    )
    kind = shown or "correlation"
    at = [found.names.index(name) for name in asked]
    figure = charts.matrix(getattr(found, kind)[np.ix_(at, at)], asked, share=kind != "correlation")
    st.plotly_chart(figure, key="relation-matrix", config=CONFIG, alt=f"Matrix of columns: {VIEWS[kind]}")
    if kind != "correlation":
        st.caption(f"Of the rows at this end of one column, the share that is at the same end of the other. Chance: {FRACTION:.0%}.")


def _telling(found: Relations) -> list[str]:
    """Columns that have more than one value, the usual ones first."""
    telling = [name for name, own in zip(found.names, np.diag(found.correlation), strict=True) if not np.isnan(own)]
    return sorted(telling, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def _lengths(found: Relations) -> None:
    """Which columns go with the length of the chosen answer: a reward that does would select by length."""
    telling = _telling(found)
    length = next((name for name in LENGTHS if name in telling), None)
    if length is None:
        st.info("The chosen answers are all of one length.")
        return
    ties = length_ties(found, length)
    ties = ties[ties["column"].isin(telling)]
    ties["95 %"] = [f"{low:+.2f} … {high:+.2f}" for low, high in zip(ties["low"], ties["high"], strict=True)]
    st.markdown(f"**Length bias**: rank correlation with {length}")
    shown = ties[["column", "correlation", "reading", "95 %"]].rename(columns={"correlation": "with length"})
    st.dataframe(shown, hide_index=True, height=460, column_config={"with length": st.column_config.NumberColumn(format="%+.2f")})
