"""The rows of one noise signal: of a group each row beside the first one, else chosen beside rejected, with the words that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import queries, reading
from deft_core.charts import COLOURS
from deft_core.flips import flipped_texts
from deft_core.noise import actions, personal_data, swapped
from deft_core.noise.signals import Signal
from deft_core.selection import Mask
from pages.shared import decide, noise_resources, resources, state, widgets
from pages.shared.picked import Picked

PAGE_UNITS = 5
DUPLICATES = ("exact_duplicate", "near_duplicate")
BOX_REM = 9
NEUTRAL = "#8A8A8A"
SIDES = ("chosen", "rejected")

Marks = list[tuple[int, int]]


def meant(picked: Picked, signal: Signal) -> Mask:
    """The rows that the signal's action would change."""
    found = noise_resources.values(picked.look.version, signal, picked.look.view, picked.look.table)
    by_hand = [np.asarray(picked.look.table["decision"] == word) for word in ("keep", "drop")]
    return actions.meant(signal.action, found, _first(picked, signal), picked.train, *by_hand)


def _first(picked: Picked, signal: Signal) -> Mask:
    """Rows that others are read beside: the first of a group of duplicates; of a leak, those that are not training rows."""
    if signal.name not in DUPLICATES:
        return ~picked.train
    look = picked.look
    return noise_resources.firsts(resources.version(look.view), signal.column, look.view, picked.ids, len(look.table))


def draw(picked: Picked, signal: Signal) -> None:
    pairs = _pairs(picked, signal)
    pages = max(-(-len(pairs) // PAGE_UNITS), 1)
    at = min(state.number(state.PAGE), pages - 1) * PAGE_UNITS
    page = pairs[at : at + PAGE_UNITS]
    table = picked.look.table
    ids = table["id"].to_numpy()[page]  # [units, 1 or 2]
    found = flipped_texts(queries.texts(picked.look.view, list(dict.fromkeys(ids.ravel()))), picked.decisions.flipped).set_index("id")
    for places, names in zip(page, ids, strict=True):
        with st.container(border=True, gap="small"):
            rows = [(table.iloc[place], found.loc[name]) for place, name in zip(places, names, strict=True)]
            _beside(picked, signal, rows) if len(rows) == 2 else _single(picked, signal, *rows[0])
    if pages > 1:
        widgets.pager(state.PAGE, pages, f"{at + 1:,} to {at + len(page):,} of {len(pairs):,}")


def _pairs(picked: Picked, signal: Signal) -> Any:
    """[units, 2]: the first row of a group and another one of it; [units, 1]: single rows, the strongest first."""
    found = noise_resources.values(picked.look.version, signal, picked.look.view, picked.look.table)
    if signal.action in ("all but one", "training"):
        others, firsts = actions.beside(found, _first(picked, signal))
        return np.stack([firsts, others], axis=1)
    rows = np.flatnonzero(np.isfinite(found))
    return rows[np.argsort(-np.abs(found[rows]), kind="stable")][:, None]


def _beside(picked: Picked, signal: Signal, rows: Sequence[tuple[pd.Series[Any], pd.Series[Any]]]) -> None:
    """Two rows, and the words in which they differ; what is the same in both stands there once, or is only named."""
    names = ("", "") if signal.name == "leak" else ("the first row", "another row")
    for side, name, (row, _) in zip(st.columns(2), names, rows, strict=True):
        with side:
            _head(picked, row, "drop", name, beside=rows[1][0]["id"])  # the first row may stand beside several
    same = []
    for part in ("prompt",) if signal.name == "leak" else ("prompt", "chosen", "rejected"):
        pair = [_text(texts, part) for _, texts in rows]
        if pair[0] != pair[1]:
            for side, name, text, marked in zip(st.columns(2), names, pair, reading.differing_words(*pair), strict=True):
                heading = f"{part}, {name}" if name else part  # on a narrow screen they stand below each other
                side.html(_box(heading, COLOURS.get(part, NEUTRAL), text, marked))
        elif part == "prompt":
            widgets.text_box(pair[0], heading="prompt of both", height_rem=BOX_REM)
        else:
            same.append(part)
    if same:
        st.caption(f"The same in both: {' and '.join(same)}.")


def _single(picked: Picked, signal: Signal, row: pd.Series[Any], texts: pd.Series[Any]) -> None:
    st.html(f"<b>{widgets.html(_value(signal, row))}</b>")
    _head(picked, row, "flip" if signal.action == "flip" else "drop")
    prompt = _text(texts, "prompt") if signal.name == "personal_data" else texts["prompt"][-1]["content"]
    st.html(_box("prompt" if signal.name == "personal_data" else "end of the prompt", NEUTRAL, prompt, _marks(signal, [prompt])[0]))
    pair = [_text(texts, side) for side in SIDES]
    for place, side, text, marked in zip(st.columns(2), SIDES, pair, _marks(signal, pair), strict=True):
        place.html(_box(side, COLOURS[side], text, marked))
    if (more := len(texts["responses"]) - 2) > 0:
        st.caption(f"{widgets.count(more, 'answer')} between the best and the worst: not shown here.")


def _marks(signal: Signal, texts: Sequence[str]) -> list[Marks]:
    """What is underlined in each text: the words in which nearly identical sides differ, and personal data."""
    if signal.name == "same_sides" and len(texts) == 2:
        return list(reading.differing_words(*texts))
    return [personal_data.places(text) if signal.name == "personal_data" else [] for text in texts]


def _head(picked: Picked, row: pd.Series[Any], kind: str, name: str = "", beside: str = "") -> None:
    """Which row it is, where it comes from, whether it is kept, and the buttons that decide on it."""
    kept = bool(picked.subset.mask[picked.ids.positions([row["id"]])[0]])
    decided = {"keep": "kept by hand", "drop": "dropped by hand"}.get(row["decision"], "kept" if kept else "not kept")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = [name, str(row["split"]), str(row["source"]), decided, "flipped" if row["flipped"] == "yes" else ""]
        shown = widgets.html(" · ".join(word for word in words if word))
        st.html(f'<span style="font-size:.85rem">{shown}</span>', width="content")
        for one in (kind, "keep"):
            undo = row["decision"] == one
            label = "leave to the rule" if undo else one
            args = (picked.look, "follow" if undo else one, [row["id"]])
            st.button(label, key=f"noise-{one}-{row['id']}-{beside}", type="tertiary", on_click=decide.decide, args=args)


def _text(texts: pd.Series[Any], part: str) -> str:
    if part == "prompt":
        return "\n\n".join(f"{message['role']}: {message['content']}" for message in texts["prompt"])
    return str(texts["responses"][0 if part == "chosen" else -1])


def _box(heading: str, colour: str, text: str, marked: Marks) -> str:
    title = f'<b style="font-size:.85rem;border-bottom:3px solid {colour}">{heading}</b>'
    return title + reading.boxed(reading.answer_html(text, (), marked, 0.0), BOX_REM)


def _value(signal: Signal, row: pd.Series[Any]) -> str:
    match signal.name:
        case "same_sides":
            return f"{row[signal.column]:.0%} the same"
        case "length":
            longer = "longer" if row[signal.column] > 0 else "shorter"
            sizes = ", ".join(f"{part} {row[f'characters_{part}']:,}" for part in ("prompt", "chosen", "rejected"))
            return f"{abs(row[signal.column]):.1f} robust standard deviations {longer} than usual: {sizes} characters"
        case "wrong_language" | "personal_data":
            return str(row[signal.column])
    rule = next(rule for rule in swapped.RULES if rule.signal == signal)
    return ", ".join(f"{name.replace('_', ' ')} {row[name]:+.4f}" for name in rule.margins)
