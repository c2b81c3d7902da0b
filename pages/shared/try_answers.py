"""Try's answers: asked for, growing side by side, stopped; and what models take in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from deft_core import reading
from deft_core.reading import differing_words
from deft_core.status import duration
from pages.shared import state, train_resources, try_resources, widgets
from pages.shared.try_resources import Model

if TYPE_CHECKING:
    from deft_core.lm.trial import Answer, Question, Trial

LOOK_SECONDS = 0.4
SIDE_BY_SIDE = "try-answers"  # a container that is a grid: on a narrow screen some stand below each other
WAITING = "waiting for its turn"


def buttons(models: list[Model], question: Question, trial: Trial | None) -> None:
    running = bool(trial and trial.running)
    with st.container(horizontal=True, vertical_alignment="center"):
        empty = not question.messages[-1]["content"].strip()
        st.button(
            "Ask",
            type="primary",
            icon=":material/send:",
            disabled=running or empty,
            on_click=_ask,
            args=(models, question),
            shortcut="Ctrl+Enter",
        )
        st.button("Stop", icon=":material/stop:", disabled=not running, on_click=_stop, shortcut="Esc")
        if empty:
            st.caption("Write a question, or take one of a held-out row.")
        elif (
            trial and not running and (trial.question, [one.key for one in trial.wanted]) != (question, [one.wanted.key for one in models])
        ):
            st.caption("The answers below are to what was asked before.")


def _ask(models: list[Model], question: Question) -> None:
    from deft_core.lm.trial import Trial

    trial = Trial(try_resources.shelf(), question, [one.wanted for one in models])
    state.set_trial(trial, [one.colour for one in models])
    trial.start()


def _stop() -> None:
    if trial := state.trial():
        trial.stop()


def memory(models: list[Model], trial: Trial | None) -> None:
    """What the models take, what is free, what is held; said before anything is loaded."""
    shelf, free = try_resources.shelf(), train_resources.machine().free_bytes
    held = shelf.held()
    sizes = [one.wanted.bytes for one in models if one.wanted.bytes is not None]
    parts = []
    if sizes:
        parts.append(f"each model takes about {max(sizes) / 1e9:,.1f} GB of memory, at most {shelf.most} stay")
    if free is not None:
        parts.append(f"{free / 1e9:,.1f} GB free")
    names = [f"{widgets.plain(one.name)} (unused for {duration(one.unused_seconds)})" for one in held]
    running = bool(trial and trial.running)
    if names or not running:  # while they are loaded, the answers say so
        parts.append(f"in memory: {', '.join(names)}" if names else "none is loaded yet")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/memory: {'; '.join(parts)}")
        if held:
            wait = "Unused ones go by themselves after ten minutes."
            st.button("Unload", icon=":material/eject:", type="tertiary", on_click=_unload, disabled=running, help=wait)
    room = (free or 0) + sum(one.bytes or 0 for one in held)
    if free is not None and sizes and shelf.needs(max(sizes)) > room:
        st.warning(f"This needs about {shelf.needs(max(sizes)) / 1e9:,.1f} GB; with nothing loaded there are {room / 1e9:,.1f} GB.")


def _unload() -> None:
    try_resources.shelf().unload()


def places(models: list[Model]) -> None:
    """Where the answers will stand."""
    with st.container(key=SIDE_BY_SIDE):
        for model in models:
            with st.container(gap="small"):
                st.html(heading(model.name, model.colour))
                widgets.text_box(" ", height_rem=6)


def draw(trial: Trial) -> None:
    """Again and again while answers grow."""
    colours = state.trial_colours()

    def look() -> None:
        going = trial.running  # asked first: what is drawn is not older than that
        with st.container(key=SIDE_BY_SIDE):
            for answer, colour in zip(trial.answers, colours, strict=True):
                with st.container(gap="small"):
                    _answer(answer, colour, trial.answers[0])
        if was_running and not going:
            st.rerun()

    was_running = trial.running
    st.fragment(look, run_every=LOOK_SECONDS if was_running else None)()


def _answer(answer: Answer, colour: str, base: Answer) -> None:
    same = answer is not base and {answer.state, base.state} == {"done"} and answer.text.strip() == base.text.strip()
    st.html(heading(answer.name, colour, _state(answer) + (", the same as the base's" if same else "")))
    if answer.error:
        widgets.problem(answer.error)
        return
    text = answer.text.strip()
    marks = differing_words(base.text.strip(), text)[1] if answer is not base and {answer.state, base.state} == {"done"} else []
    st.html(reading.boxed(reading.answer_html(text or " ", [], marks, 0.0)))


def heading(name: str, colour: str, words: str = "") -> str:
    more = f' <span style="font-size:.85rem;opacity:.75">{widgets.html(words)}</span>' if words else ""
    return f'<b style="border-bottom:3px solid {colour};overflow-wrap:anywhere">{widgets.html(name)}</b>{more}'


def _state(answer: Answer) -> str:
    if answer.state in ("waiting", "loading"):
        return f"{answer.doing} …" if answer.doing else WAITING
    if answer.state == "failed":
        return "failed"
    rate = f", {answer.pieces / answer.seconds:,.0f} tokens/s" if answer.seconds else ""
    ended = {"answering": " …", "stopped": ", stopped"}.get(answer.state, "")
    return f"{widgets.count(answer.pieces, 'token')}{rate}{ended}"
