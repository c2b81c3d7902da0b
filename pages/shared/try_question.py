"""What Try asks: a question of one's own or of a held-out row, and how its answers are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from deft_core import queries
from deft_core.reading import excerpt
from pages.shared import state, try_resources, widgets
from pages.shared.frame import Frame

if TYPE_CHECKING:
    from deft_core.lm.trial import Question

OWN = ""
MOST_TOKENS = 512
WIDTH = 125  # of a number, in pixels
USUAL = {state.TEMPERATURE: 0.0, state.TRY_SEED: 0, state.NEW_TOKENS: 64}
Messages = list[dict[str, str]]


def draw(frame: Frame) -> Question:
    row, messages = _row(frame)
    system, earlier, last = _parts(messages)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        asked = _text("Question", state.QUESTION, row, last, height=140, placeholder="What should the models answer?")
        if earlier:
            with st.expander(f"{widgets.count(len(earlier), 'earlier message')} of this row, asked along"):
                for message in earlier:
                    widgets.text_box(message["content"], heading=message["role"], height_rem=10)
    with right:
        told = _text("System (may be empty)", state.SYSTEM, row, system, height=68, placeholder="e.g. You answer in one sentence.")
        temperature, seed, tokens = _settings()
    said = [{"role": "system", "content": told}] if told.strip() else []
    return _question([*said, *earlier, {"role": "user", "content": asked}], seed, temperature, tokens)


def _question(messages: Messages, seed: int, temperature: float, tokens: int) -> Question:
    from deft_core.lm.trial import Question

    return Question(tuple(messages), seed, temperature, tokens)


def _row(frame: Frame) -> tuple[str, Messages]:
    """The held-out row in the address, with its prompt."""
    assert frame.dataset
    view = queries.open_view(frame.workspace, frame.dataset, None)
    version, row = queries.pairs_version(view), state.value(state.TRY_ROW)
    offered = try_resources.heldout(version, view)
    own = offered.get(row) or (try_resources.prompt(version, row, view) if row else [])
    if row and not own:
        st.warning(f"{widgets.plain(frame.dataset)} has no row {widgets.plain(row)}.")
    words = {one: excerpt(messages[-1]["content"], 90) for one, messages in {**({row: own} if own else {}), **offered}.items()}
    options = list(dict.fromkeys([OWN, *([row] if row else []), *words]))
    widgets.pick(
        "Begin with",
        state.TRY_ROW,
        options,
        row,
        on_change=_choose,
        format_func=lambda one: words.get(one, one) or "a question of your own",
    )
    return row, own


def _choose(row: str) -> None:
    state.put(state.TRY_ROW, row)
    for name in (state.QUESTION, state.SYSTEM):
        state.remember(name, None)


def _parts(messages: Messages) -> tuple[str, Messages, str]:
    """(system text, the turns between, the last turn)."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    turns = [message for message in messages if message["role"] != "system"]
    return system, turns[:-1], turns[-1]["content"] if turns else ""


def _text(label: str, name: str, row: str, own: str, *, height: int, placeholder: str) -> str:
    """What was typed, else the row's own text."""
    typed = state.remembered(name)
    shown = own if typed is None else typed
    key = state.mirror(name, shown, row)
    changed = state.changed(key, lambda text: state.remember(name, text))
    return str(st.text_area(label, shown, key=key, on_change=changed, height=height, placeholder=placeholder) or "")


def _settings() -> tuple[float, int, int]:
    at, seed, tokens = (_number(name) for name in (state.TEMPERATURE, state.TRY_SEED, state.NEW_TOKENS))
    with st.container(horizontal=True, gap="small"):
        chance = "0 takes the likeliest word each time; 1 draws by the model's own chances."
        at = _input("Temperature", state.TEMPERATURE, min(at, 2.0), 0.0, 2.0, 0.1, chance)
        same = "The same seed gives the same answers; at temperature 0 it plays no part."
        seed = _input("Seed", state.TRY_SEED, int(seed), 0, 2**31 - 1, 1, same)
        most = "The most an answer may have."
        tokens = _input("New tokens", state.NEW_TOKENS, int(min(max(tokens, 1), MOST_TOKENS)), 1, MOST_TOKENS, 1, most)
    return float(at), int(seed), int(tokens)


def _number(name: str) -> float:
    try:
        value = float(state.value(name, str(USUAL[name])))
    except ValueError:
        return float(USUAL[name])
    return value if 0 <= value < 2**31 else float(USUAL[name])


N = TypeVar("N", int, float)


def _input(label: str, name: str, current: N, least: N, most: N, step: N, help: str) -> N:
    key = state.mirror(name, current)
    changed = state.changed(key, lambda value: state.put(name, f"{value:g}" if isinstance(value, float) else value))
    value: N = st.number_input(label, least, most, current, step, key=key, on_change=changed, help=help, width=WIDTH)
    return value
