"""What a run made of single rows, beside their rewards: which run, over how many rows, and the two questions that it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from deft_core import file_names, margin_charts
from deft_core.errors import DeftError
from deft_core.filters import Between, Filter, OneOf, mask
from deft_core.queries import open_view
from deft_core.runs import margins
from deft_core.runs.spec import read_run
from deft_core.selection import Ints, Mask
from pages.shared import brushing, resources, run_resources, state, widgets
from pages.shared.brushing import Floats, Look, Outline
from pages.shared.frame import Frame

NONE = ""
SIDES = {"kept": "true", "dropped": "false"}
NOT_LEARNED: tuple[Filter, ...] = (OneOf("kept", ("true",)), OneOf("learned", ("false",)))
ALREADY_RIGHT: tuple[Filter, ...] = (OneOf("kept", ("false",)), Between("logp_margin_before", 0.0, np.inf))
QUESTIONS = {
    "kept but never learned": (
        NOT_LEARNED,
        "The run trained on these rows, and their margin did not grow: hard, contradictory, or mislabelled.",
    ),
    "dropped but already right": (ALREADY_RIGHT, "The base model preferred the chosen answer of these rows without any training."),
}


def asked(frame: Frame) -> str | None:
    """The run in the address, where its rows can be shown; else why not stands in its place."""
    run_id = state.value(state.RUN_ROWS)
    if not run_id:
        return None
    assert frame.dataset
    try:
        open_view(frame.workspace, frame.dataset, None, run_id)
    except DeftError as error:
        st.warning(f"Expected {widgets.prose(error.expected)}; found {widgets.plain(error.found)}. {widgets.prose(error.remedy)}")
        return None
    return run_id


def picker(frame: Frame) -> None:
    """Where a run of the dataset has margins by row, or the address names one."""
    named = {
        one.run_id: one.name
        for one in run_resources.runs(frame.workspace)
        if one.run and one.run.dataset == frame.dataset and (frame.workspace.run(one.run_id) / file_names.ROW_MARGINS).is_file()
    }
    chosen = state.value(state.RUN_ROWS)
    if named or chosen:
        offered = list(dict.fromkeys([NONE, *([chosen] if chosen else []), *named]))
        widgets.pick(
            "What a run made of the rows",
            state.RUN_ROWS,
            offered,
            chosen,
            on_change=_choose,
            format_func=lambda one: f"{named.get(one, one)} ({one})" if one else "no run",
            width=420,
            help="Margins before and after training join the columns: of the rows the run trained on, and of as many that it did not.",
        )


def _choose(run_id: str) -> None:
    """Filters on what the run before has said go with it."""
    gone = set(margins.COLUMNS)
    left = [rule for rule in state.filters() if not gone & _columns(rule)]
    if len(left) < len(state.filters()):
        state.set_filters(left)
    state.put(state.RUN_ROWS, run_id)


def _columns(rule: Filter) -> set[str]:
    sides = [getattr(rule, side, None) for side in ("x", "y")]
    named = [getattr(rule, "column", None), *(getattr(side, "column", side) for side in sides)]
    return {name for name in named if isinstance(name, str)}


def draw(look: Look) -> None:
    """Over how many rows, the questions, and the margins as pictures."""
    if look.view.margins is None:
        return
    sides = {name: np.asarray(look.table["kept"] == word) for name, word in SIDES.items()}
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            for words, (rules, why) in QUESTIONS.items():
                rows = int(mask(look.table, rules, {}).sum())
                label = f"{words} ({rows:,})"
                st.button(label, icon=":material/filter_alt:", on_click=_ask, args=(rules,), help=why, disabled=not rows)
        st.html(f'<span style="font-size:.9rem">{_over(look, sides, look.view.margins.parent)}</span>')
        left, right = st.columns(2, gap="medium")
        with left:
            brushing.scatter(look, "logp_margin_before", "logp_margin_after", "kept", draw=lambda *points: _figure(look, *points))
        with right:
            title, names = margin_charts.TITLES["implicit_margin"], dict.fromkeys(sides, "implicit_margin")
            brushing.histogram(look, names, "implicit_margin", title, brushing.HEIGHT, sides)


def _over(look: Look, sides: Mapping[str, Mask], folder: Path) -> str:
    """The margin grew in 21 of 24 kept rows and in 12 of 24 dropped ones, drawn by chance from 216."""
    run, train = read_run(folder), int(resources.train(look.version, look.table).sum())
    learned, told = np.asarray(look.table["learned"] == "true"), []
    for (side, rows), whole in zip(sides.items(), (run.rows, train - run.rows), strict=True):
        some, grew = int(rows.sum()), int((rows & learned).sum())
        drawn = f", drawn by chance from {whole:,}" if some < whole else ""
        told.append(f"in <b>{grew:,}</b> of {some:,} {side} rows{drawn}")
    return f"The margin grew {' and '.join(told)}."


def _ask(rules: Sequence[Filter]) -> None:
    """The rows of a question; other filters of the run's columns make way."""
    gone = set(margins.COLUMNS)
    state.set_filters([*(rule for rule in state.filters() if not gone & _columns(rule)), *rules])


def _figure(look: Look, rows: Ints, x: Floats, y: Floats, outline: Outline) -> go.Figure:
    return margin_charts.margins(x, y, np.asarray(look.table["kept"].iloc[rows] == SIDES["kept"]), outline)
