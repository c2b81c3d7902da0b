"""The pair inspector: one row's conversation and two of its answers side by side, with what the score is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import queries, reading
from deft_core.charts import COLOURS
from deft_core.flips import flipped_texts, swapped
from deft_core.ordered import Ordered
from deft_core.queries import ScoredToken
from pages.shared import certainty, decide, rows, state, widgets
from pages.shared.brushing import Look
from pages.shared.certainty import Sure

LAST_MESSAGES = 2
TOP_TOKENS = 8
SPLIT_WORDS = {"train": "a training row", "heldout": "a held-out row", "judge": "a judge row"}


@dataclass(frozen=True)
class Answer:
    text: str
    rank: int
    scores: dict[str, float]  # reward, logp, tokens; empty where the row has no scores yet
    tokens: Sequence[ScoredToken]
    sure: Sure | None  # of the reward, where it can be told

    def words(self, place: int) -> str:
        reward = f", reward {self.scores['reward']:.4f}" if self.scores else ""
        return f"answer {place + 1}, rank {self.rank}{reward}"


def list_and_row(look: Look, ordered: Ordered) -> None:
    """A table of rows, and beside it the one that is open."""
    row_id = state.value(state.ROW)
    if not row_id:
        rows.table(look, ordered, "")
        return
    left, right = st.columns([5, 7], gap="medium")
    with left:
        rows.table(look, ordered, row_id)
    with right, st.container(border=True, key=widgets.OPEN):
        inspect(look, row_id, ordered)


def inspect(look: Look, row_id: str, ordered: Ordered) -> None:
    flipped = look.decided.decisions.flipped
    found = flipped_texts(queries.texts(look.view, [row_id]), flipped)
    if found.empty:
        _no_such_row(look, row_id)
        return
    row = found.iloc[0]
    _moves(look, row_id, ordered)
    decide.row(look, row_id)
    _conversation(list(row["prompt"]))
    answers = _answers(look, row)
    left, right = _two(answers, row_id) if len(answers) > 2 else (0, 1)
    _side_by_side(answers, (left, right))
    _deciding([answers[left], answers[right]])


def _no_such_row(look: Look, row_id: str) -> None:
    st.warning(f"{widgets.plain(look.view.dataset)} has no row {widgets.plain(row_id)}. Choose another row in the table.")
    st.button("close", key="row-close", on_click=state.put, args=(state.ROW,), shortcut="Esc")


def _moves(look: Look, row_id: str, ordered: Ordered) -> None:
    """Earlier, later and close; the place is that in the table as it is filtered and sorted."""
    found = np.flatnonzero(look.table["id"] == row_id)
    here = ordered.place(int(found[0])) if len(found) else -1
    places = dict(zip(("previous", "next"), _beside(here, state.place(row_id, here)), strict=True))
    with st.container(horizontal=True, vertical_alignment="center"):
        place = f"row {here + 1:,} of {len(ordered):,}" if here >= 0 else "this row is not among those listed"
        st.html(f"{place} · {SPLIT_WORDS[decide.split(look, row_id)]}")
        for name, arrow, letter in (("previous", "Left", "k"), ("next", "Right", "j")):
            _move(name, f"row-{name}", look, ordered, places[name], arrow, f"also {letter}")
        st.button("close", key="row-close", on_click=state.put, args=(state.ROW,), shortcut="Esc")
    with st.container(key=widgets.HIDDEN):  # a button has one key
        for name, letter in (("previous", "k"), ("next", "j")):
            _move(f"{name} row", f"row-{letter}", look, ordered, places[name], letter)


def _beside(here: int, before: int) -> tuple[int, int]:
    """The places before and after a row that a decision has moved from `before` to `here` (-1: out of the table)."""
    if here == before:
        return here - 1, here + 1
    return (before - 1, before) if here < 0 or here > before else (before, before + 1)


def _move(label: str, key: str, look: Look, ordered: Ordered, place: int, shortcut: str, help: str | None = None) -> None:
    outside = not 0 <= place < len(ordered)
    st.button(label, key=key, disabled=outside, on_click=_go, args=(look, ordered, place), shortcut=shortcut, help=help)


def _go(look: Look, ordered: Ordered, place: int) -> None:
    state.set_said("")
    row = look.table["id"].iloc[int(ordered.some(place, 1)[0])]
    state.put_all({state.ROW: (row,), state.PAGE: (place // rows.PAGE_ROWS,)})


def _conversation(messages: list[dict[str, str]]) -> None:
    earlier = messages[:-LAST_MESSAGES]
    if earlier:
        with st.expander(widgets.count(len(earlier), "earlier message")):
            _messages(earlier)
    _messages(messages[-LAST_MESSAGES:])


def _messages(messages: list[dict[str, str]]) -> None:
    for message in messages:
        widgets.text_box(message["content"], heading=message["role"], height_rem=14)


def _answers(look: Look, row: pd.Series[Any]) -> list[Answer]:
    scores = [{str(name): value for name, value in one.items()} for one in queries.response_scores(look.view, row["id"]).to_dict("records")]
    tokens = queries.token_detail(look.view, row["id"])
    sure = certainty.answers(look, row["id"], [one["reward"] for one in scores]) if scores else []
    if row["id"] in look.decided.decisions.flipped:
        scores, sure = (swapped(scores), swapped(sure)) if scores else (scores, sure)
        tokens = swapped(tokens) if tokens else tokens
    return [
        Answer(text, int(rank), scores[place] if scores else {}, tokens[place] if tokens else (), sure[place] if sure else None)
        for place, (text, rank) in enumerate(zip(row["responses"], row["ranks"], strict=True))
    ]


def _two(answers: list[Answer], row_id: str) -> tuple[int, int]:
    """Which two answers of a ranking are compared: at first the best and the worst."""
    places = range(len(answers))
    sides = st.columns(2)
    chosen = [
        side.selectbox(label, places, index=index, key=f"{label}-{row_id}", format_func=lambda place: answers[place].words(place))
        for side, label, index in zip(sides, ("left", "right"), (0, len(answers) - 1), strict=True)
    ]
    return chosen[0], chosen[1]


def _side_by_side(answers: list[Answer], places: tuple[int, int]) -> None:
    pair = [answers[place] for place in places]
    marks = reading.differing_words(pair[0].text, pair[1].text)
    pieces = [reading.pieces(answer.tokens) for answer in pair]
    scale = reading.tint_scale(pieces)
    for side, answer, place, own_pieces, own_marks in zip(st.columns(2), pair, places, pieces, marks, strict=True):
        name = "chosen" if place == 0 else "rejected" if answer.rank > 1 else "also chosen"
        with side:
            st.html(_heading(name, answer))
            st.html(reading.boxed(reading.answer_html(answer.text, own_pieces, own_marks, scale)))
    if scale:
        st.html(reading.legend_html(scale))
    else:
        st.caption("This row has no scores yet: its words are marked where they differ, nothing is tinted.")


def _heading(name: str, answer: Answer) -> str:
    colour = COLOURS["rejected" if name == "rejected" else "chosen"]
    figures = f"{len(answer.text):,} characters"
    if answer.scores:
        reward = f"reward {answer.scores['reward']:.4f}" + (f" {answer.sure.words()}" if answer.sure else "")
        figures = f"{reward} · {answer.scores['tokens']:,.0f} tokens · log-probability {answer.scores['logp']:,.1f}"
    return f'<b style="border-bottom:3px solid {colour}">{name}</b> <span style="font-size:.85rem">{figures}</span>'


def _deciding(pair: list[Answer]) -> None:
    """The tokens of the two answers that separate chosen from rejected most, over the whole training split."""
    distinct = {token.text: token for answer in pair for token in answer.tokens}
    top = sorted(distinct.values(), key=lambda token: -abs(token.d))[:TOP_TOKENS]
    if not top:
        return
    table = pd.DataFrame(
        {
            "token": [reading.visible(token.text[:60].decode(errors="replace")).replace(" ", "␣") for token in top],
            "d": [token.d for token in top],
            "in chosen answers": [token.count_chosen for token in top],
            "in rejected answers": [token.count_rejected for token in top],
        }
    )
    st.caption("Tokens of these answers that separate chosen from rejected most, over the training split")
    counts = {name: st.column_config.NumberColumn(format="localized") for name in ("in chosen answers", "in rejected answers")}
    st.dataframe(table, hide_index=True, column_config={"d": st.column_config.NumberColumn(format="%+.5f"), **counts})
