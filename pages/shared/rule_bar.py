"""The rule of a selection: read from the address, changed by its widgets, which write it there again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from deft_core import charts
from deft_core.errors import DeftError, InputError
from deft_core.rule import KEEPS, Rule
from pages.shared import state, widgets

KEEP_WORDS = {"range": "a range", "stratified": "stratified"}
WITHOUT_SCORES = "characters_chosen"


def asked(columns: Sequence[str]) -> Rule:
    """The rule in the address; what it leaves open is the usual."""
    settings: dict[str, Any] = {name: _value(name, state.value(name)) for name in state.RULE if state.value(name)}
    usual = "reward_chosen" if "reward_chosen" in columns else WITHOUT_SCORES
    return Rule(**({"by": usual} | settings))


def _value(name: str, text: str) -> str | int | float:
    try:
        return {"count": int, "seed": int}.get(name, float)(text) if name in _NUMBERS else text
    except ValueError:
        raise InputError(f"a number as {name}", repr(text), "Mend it in the address, or start with the usual rule.") from None


_NUMBERS = ("fraction", "count", "value", "low", "high", "seed")


def change(rule: Rule, **new: Any) -> None:
    """The rule with other settings, into the address; an amount that does not go with them gives way to the usual one."""
    amounts = dict.fromkeys(("fraction", "count", "value", "low", "high"))
    settings = {name: getattr(rule, name) for name in state.RULE} | (amounts if set(new) & set(amounts) else {}) | new
    try:
        put(Rule(**settings))
    except DeftError:
        put(Rule(**(settings | amounts | ({"low": new["low"]} if "low" in new else {}))))


def put(rule: Rule) -> None:
    settings = rule.as_dict()
    for name in state.RULE:
        state.put(name, settings.get(name, "") if name in settings else "")
    state.put(state.PAGE)


def use(rule: Rule) -> None:
    """The rule of a saved version; its condition is a person's own, from this workspace."""
    state.allow(rule.where)
    put(rule)


def draw(rule: Rule, numbers: Sequence[str]) -> None:
    """What is kept, by which column, under which condition."""
    keep, by, where = st.columns([2, 3, 5])
    with keep:
        widgets.pick("Keep", "keep", KEEPS, rule.keep, on_change=lambda keep: change(rule, keep=keep))
    with by:
        offered = list(numbers) if rule.by in numbers else [rule.by, *numbers]
        widgets.pick("by", "by", offered, rule.by, on_change=lambda by: change(rule, by=by), format_func=charts.title)
    with where:
        _where(rule)


def _where(rule: Rule) -> None:
    key = state.mirror("where", rule.where)

    def changed() -> None:
        sql = str(st.session_state[key]).strip()
        state.allow(sql)
        change(rule, where=sql)

    st.text_input("of the rows where", key=key, on_change=changed, placeholder="all training rows; or SQL, e.g. tokens_chosen > 20")


def waiting(rule: Rule) -> bool:
    """Whether a condition that came with a link waits for a click; then the click is offered here."""
    if not rule.where or state.allowed(rule.where):
        return False
    widgets.text_box(rule.where, heading="This link brings a condition of its own, in SQL. It runs when you say so.", height_rem=6)
    with st.container(horizontal=True):
        st.button("Run it", type="primary", on_click=state.allow, args=(rule.where,))
        st.button("Leave it out", on_click=change, args=(rule,), kwargs={"where": ""})
    return True
