"""The rule of a selection: read from the address, changed by its widgets, which write it there again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from deft_core import charts
from deft_core.errors import InputError
from deft_core.rule import CUT_DIGITS, KEEPS, LENGTH, Rule, usual
from pages.shared import resources, state, widgets
from pages.shared.brushing import Look

WHAT_TO_KEEP = (
    "[Our study](study) on 5 % of the rows (SmolLM2-135M, DPO): held-out accuracy_implicit was 0.563 with the highest rewards, 0.571 with "
    "as many random rows and 0.450 with the lowest. So the highest are no better than chance there and the lowest, which have long "
    "answers, do harm: random is where this starts. One run over all rows (random, 100 %) did better. A larger model or other data may "
    "differ: run random rows beside whatever you keep."
)
BY = "Rows are ranked by it; those without a value take no part. Random rows come from all that have one."
AMOUNTS = ("fraction", "count", "value", "low", "high")
STEPS = 300  # of a slider over a column, at least


def asked(columns: Sequence[str]) -> Rule:
    """The rule in the address; what it leaves open is the usual."""
    settings = {name: _value(name, text) for name, text in state.together(state.RULE).items()}
    scored = "reward_chosen" in columns
    return usual(({} if scored or "keep" not in settings else {"by": LENGTH}) | settings, scored)


def _value(name: str, text: str) -> str | int | float:
    if name not in _NUMBERS:
        return text
    try:
        number = {"count": int, "seed": int}.get(name, float)(text)
    except ValueError:
        raise InputError(f"a number as {name}", repr(text), "Mend it in the address, or start with the usual rule.") from None
    state.check_browser_number(name, number)
    return number


_NUMBERS = ("fraction", "count", "value", "low", "high", "seed")


def change(rule: Rule, **new: Any) -> None:
    """The rule with other settings, into the address; a new amount takes the place of the old one."""
    amounts = dict.fromkeys(AMOUNTS) if set(new) & set(AMOUNTS) else {}
    put(Rule(**({name: getattr(rule, name) for name in state.RULE} | amounts | new)))


def short(value: float) -> float:
    """A cut as it is shown: what stands in a field is what the rule has."""
    return float(f"{value:.{CUT_DIGITS}g}")


def scale(look: Look, by: str) -> tuple[float, float, float]:
    """From, to and step of a slider over a column: round numbers, so that what it shows is what the rule has."""
    edges = resources.axis(look.version, (by,), look.table).edges
    width = float(edges[-1] - edges[0]) / STEPS
    power = 10.0 ** math.floor(math.log10(width))
    step = max(times * power for times in (1, 2, 5) if times * power <= width)
    low, high = math.floor(edges[0] / step) * step, math.ceil(edges[-1] / step) * step
    return float(f"{low:.10g}"), float(f"{high:.10g}"), float(f"{step:.10g}")


def _turn(rule: Rule, look: Look, keep: str, by: str) -> None:
    """Another way to keep, or another column. An amount that does not go with it gives way: to the whole range, or to the usual share."""
    amount: dict[str, Any] = {name: getattr(rule, name) for name in ("fraction", "count")}
    if keep == "range":
        low, high, _ = scale(look, by) if by in look.named("number") else (0.0, 1.0, 0.0)
        amount = {"low": low, "high": high}
    elif rule.value is not None and by == rule.by and keep in ("highest", "lowest"):
        amount = {"value": rule.value}
    settings = {name: getattr(rule, name) for name in state.RULE} | dict.fromkeys(AMOUNTS)
    put(Rule(**(settings | amount | {"keep": keep, "by": by})))


def put(rule: Rule) -> None:
    settings = rule.as_dict()
    state.put_all({name: (settings[name],) if name in settings else () for name in (*state.RULE, state.PAGE)})


def use(rule: Rule) -> None:
    """The rule of a saved version; its condition is a person's own, from this workspace."""
    state.allow(rule.where)
    put(rule)


def draw(rule: Rule, look: Look) -> None:
    """What is kept, by which column, under which condition."""
    with st.container(key=f"{widgets.SHORT}-rule"):
        keep, by, where = st.columns([2, 3, 5])
    with keep:
        widgets.pick("Keep", "keep", KEEPS, rule.keep, on_change=lambda keep: _turn(rule, look, keep, rule.by), help=WHAT_TO_KEEP)
    with by:
        offered = list(dict.fromkeys([*([] if rule.by in look.named("number") else [rule.by]), *look.named("number")]))
        title = charts.title
        widgets.pick("by", "by", offered, rule.by, on_change=lambda by: _turn(rule, look, rule.keep, by), format_func=title, help=BY)
    with where:
        _where(rule)


def _where(rule: Rule) -> None:
    key = state.mirror("where", rule.where)

    def changed(typed: str) -> None:
        sql = typed.strip()
        state.allow(sql)
        change(rule, where=sql)

    example = "all training rows; or SQL, e.g. tokens_chosen > 20"
    st.text_input("of the rows where", rule.where, key=key, on_change=state.changed(key, changed), placeholder=example)


def waiting(rule: Rule) -> bool:
    """Whether a condition that came with a link waits for a click; then the click is offered here."""
    if not rule.where or state.allowed(rule.where):
        return False
    widgets.text_box(rule.where, heading="This link brings a condition of its own, in SQL. It runs when you say so.", height_rem=6)
    with st.container(horizontal=True):
        st.button("Run it", type="primary", on_click=state.allow, args=(rule.where,))
        st.button("Leave it out", on_click=change, args=(rule,), kwargs={"where": ""})
    return True
