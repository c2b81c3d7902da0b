"""Contrast: what tells kept from dropped rows apart, in words, lengths and refusals, with samples of both side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from deft_core import selection
from deft_core.charts import COLOURS
from deft_core.reading import excerpt
from deft_core.selection import Mask
from pages.shared import resources, state, widgets
from pages.shared.picked import Picked

SAMPLE_ROWS = 2_000  # of each side whose texts are read
SHOWN_ROWS = 4
TEXTS = {"chosen": "chosen answers", "rejected": "rejected answers", "prompt": "prompts"}
SIDES = ("kept", "dropped")


def draw(picked: Picked) -> None:
    kept, dropped = picked.subset.mask, picked.dropped
    if not kept.any() or not dropped.any():
        st.info("There is nothing to compare: one side has no rows.")
        return
    column = state.value(state.TEXTS) if state.value(state.TEXTS) in TEXTS else "chosen"
    samples = _sample(picked, kept), _sample(picked, dropped)
    if len(samples[0]) < kept.sum() or len(samples[1]) < dropped.sum():
        parts = f"{len(samples[0]):,} of {kept.sum():,} kept and {len(samples[1]):,} of {dropped.sum():,} dropped rows"
        st.caption(f"From a random sample, the same at every visit: {parts}.")
    found = resources.contrasted(picked.look.version, *samples, column, picked.look.view, picked.look.decided)
    words, rates = st.columns([3, 2], gap="medium")
    with words:
        _pick_texts(column)
        _words(found.words)
    with rates:
        _rates(found.rates)
    _examples(found.texts)


def _sample(picked: Picked, side: Mask) -> tuple[str, ...]:
    return tuple(sorted(picked.look.table["id"][selection.control(side, picked.ids, SAMPLE_ROWS)]))


def _pick_texts(column: str) -> None:
    key = state.mirror("texts", column)
    changed = state.changed(key, lambda chosen: state.put(state.TEXTS, chosen or column))
    st.segmented_control("Words of", list(TEXTS), default=column, key=key, format_func=TEXTS.__getitem__, on_change=changed)


def _words(found: pd.DataFrame) -> None:
    """The distinguishing words of both sides beside each other."""
    if found.empty:
        st.text("No word is clearly more frequent on one side.")
        return
    help = (
        "Log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008), in standard errors (z); "
        "words beyond 1.96. Counted per 1,000 words of each side."
    )
    parts = found[found["z"] > 0], found[found["z"] < 0][::-1]
    formats = {"z": st.column_config.NumberColumn(format="%.1f")} | dict.fromkeys(SIDES, st.column_config.NumberColumn(format="%.2f"))
    for place, side, part in zip(st.columns(2), SIDES, parts, strict=True):
        with place:
            st.caption(f"more in {side} rows", help=help)
            if part.empty:
                st.text("none beyond 1.96 standard errors")
                continue
            shown = part.rename(columns={"first": "kept", "second": "dropped"}).assign(z=part["z"].abs())
            st.dataframe(shown, hide_index=True, column_config=formats, height=35 * (len(shown) + 1) + 3)


def _rates(found: pd.DataFrame) -> None:
    help = (
        "A refusal is an answer in English whose beginning (80 characters) has one of a short list of phrases, "
        "such as I'm sorry, I can't help, I won't do, as an AI, that's illegal. Other languages and wordings are not found."
    )
    st.caption("lengths and refusals", help=help)
    st.dataframe(found)


def _examples(texts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    start = state.number(state.EXAMPLES) * SHOWN_ROWS
    for side, place, rows in zip(SIDES, st.columns(2, gap="medium"), texts, strict=True):
        with place:
            st.html(f'<b style="border-bottom:3px solid {COLOURS[side]}">{side}</b>')
            for number in range(start, start + min(SHOWN_ROWS, len(rows))):
                _example(rows.iloc[number % len(rows)])
    st.button("other rows", icon=":material/casino:", on_click=state.put, args=(state.EXAMPLES, state.number(state.EXAMPLES) + 1))


def _example(row: pd.Series[str]) -> None:
    with st.container(border=True):
        widgets.text_box(excerpt(row["prompt"], 400), heading="prompt, its last turn", height_rem=6)
        for answer in ("chosen", "rejected"):
            widgets.text_box(row[answer], heading=answer, height_rem=7)
