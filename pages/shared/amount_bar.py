"""How much a rule keeps: by share, by number of rows or by value, with a slider and as a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from deft_core.rule import CUT_DIGITS, STRATA, WITHIN, Rule
from pages.shared import rule_bar, state
from pages.shared.picked import Picked

UNITS = {"fraction": "share", "count": "rows", "value": "value"}
NUMBER = f"%.{CUT_DIGITS}g"


def draw(picked: Picked) -> None:
    if picked.rule.keep == "range":
        _range(picked)
    else:
        _amount(picked)
    _by_chance(picked)


def _amount(picked: Picked) -> None:
    rule, members = picked.rule, int(picked.pool.sum())
    units = [unit for unit in UNITS if unit != "value" or rule.keep in ("highest", "lowest")]
    current = next(unit for unit in units if getattr(rule, unit) is not None)
    choice, slider, number = st.columns([6, 6, 5], vertical_alignment="bottom")
    key = state.mirror("unit", current)

    changed = state.changed(key, lambda unit: rule_bar.change(rule, **_same(picked, unit or current)))
    with choice:
        st.segmented_control(
            "amount by", units, default=current, key=key, format_func=UNITS.__getitem__, on_change=changed, label_visibility="collapsed"
        )
    if current == "fraction":
        both: dict[str, Any] = {"low": 0.1, "high": 100.0, "step": 0.1, "value": 100 * float(rule.fraction or 0), "format": "%g %%"}
        _slider(slider, "fraction", lambda percent: rule_bar.change(rule, fraction=round(percent / 100, 8)), **both)
        _number(number, "fraction", lambda percent: rule_bar.change(rule, fraction=round(percent / 100, 8)), **(both | {"low": 0.0001}))
    elif current == "count":
        both = {"low": 1, "high": max(members, 2), "step": 1, "value": int(rule.count or 1), "format": "%d"}
        _slider(slider, "count", lambda rows: rule_bar.change(rule, count=rows), **both)
        _number(number, "count", lambda rows: rule_bar.change(rule, count=rows), **both)
    else:
        _value(picked, slider, number)


def _value(picked: Picked, slider: Any, number: Any) -> None:
    rule, (low, high, step) = picked.rule, rule_bar.scale(picked.look, picked.rule.by)
    both: dict[str, Any] = {"low": low, "high": high, "step": step, "format": NUMBER, "value": float(rule.value or 0.0)}
    _slider(slider, "value", lambda value: rule_bar.change(rule, value=rule_bar.short(value)), **both)
    _number(number, "value", lambda value: rule_bar.change(rule, value=rule_bar.short(value)), **(both | {"low": None, "high": None}))


def _range(picked: Picked) -> None:
    rule, (first, last, step) = picked.rule, rule_bar.scale(picked.look, picked.rule.by)
    ends = (first if rule.low is None else rule.low, last if rule.high is None else rule.high)
    low, slider, high = st.columns([5, 6, 5], vertical_alignment="bottom")

    def put(low: float, high: float) -> None:
        rule_bar.change(rule, low=rule_bar.short(min(low, high)), high=rule_bar.short(max(low, high)))

    open_number: dict[str, Any] = {"low": None, "high": None, "step": step, "format": NUMBER}
    _number(low, "low", lambda value: put(value, ends[1]), value=ends[0], **open_number)
    _number(high, "high", lambda value: put(ends[0], value), value=ends[1], **open_number)
    shown = (min(max(float(ends[0]), first), last), min(max(float(ends[1]), first), last))
    key = state.mirror("range-slider", shown, first, last)
    with slider:
        st.slider(
            "range",
            *(first, last, shown),
            step=step,
            format=NUMBER,
            key=key,
            on_change=state.changed(key, lambda ends: put(*ends)),
            label_visibility="collapsed",
        )


def _slider(place: Any, name: str, put: Callable[[Any], None], *, low: Any, high: Any, step: Any, value: Any, format: str) -> None:
    value = min(max(value, low), high)
    key = state.mirror(f"{name}-slider", value, low, high, step)
    changed = state.changed(key, put)
    place.slider(name, low, high, value, step, format=format, key=key, on_change=changed, label_visibility="collapsed")


def _number(place: Any, name: str, put: Callable[[Any], None], *, low: Any, high: Any, step: Any, value: Any, format: str) -> None:
    value = value if low is None else min(max(value, low), high)
    key = state.mirror(f"{name}-number", value)
    label = f"{UNITS.get(name, name)}{', %' if name == 'fraction' else ''}"
    format = "%g" if name == "fraction" else format
    changed = state.changed(key, put)
    place.number_input(label, low, high, value, step, format=format, key=key, on_change=changed, label_visibility="collapsed")


def _same(picked: Picked, unit: str) -> dict[str, Any]:
    """The amount in another unit that keeps the same rows, or as near as can be."""
    rows, members = int(picked.kept.sum()), int(picked.pool.sum())
    if unit == "count":
        return {"count": max(1, rows)}
    if unit == "fraction":
        return {"fraction": min(1.0, max(1e-6, round(rows / max(1, members), 6)))}
    return {"value": _threshold(picked)}


def _threshold(picked: Picked) -> float:
    """The shortest number that keeps the rows that are kept now; of rows tied at the cut all are kept."""
    values = picked.values()
    kept, dropped = values[picked.kept], values[picked.pool & ~picked.kept]
    if not len(kept):
        return 0.0
    sign = 1 if picked.rule.keep == "highest" else -1
    last, next_one = float((sign * kept).min()), float((sign * dropped).max()) if len(dropped) else -math.inf
    short = (float(f"{last:.{digits}g}") for digits in range(2, 17))
    return sign * next((number for number in short if next_one < number <= last), last)


def _turn(rule: Rule, name: str, chosen: str) -> None:
    rule_bar.change(rule, **{name: chosen})


def _by_chance(picked: Picked) -> None:
    """The settings of rules by strata and by chance."""
    rule = picked.rule
    if rule.has_cut:
        return
    strata, within, seed = st.columns(3)
    if rule.keep == "stratified":
        for place, label, name, options in ((strata, "shares of each", "strata", STRATA), (within, "and within it", "within", WITHIN)):
            current = getattr(rule, name)
            key = state.mirror(name, current)
            changed = state.changed(key, partial(_turn, rule, name))
            place.selectbox(label, options, options.index(current), key=key, on_change=changed)
    if rule.by_chance:
        key = state.mirror("seed", rule.seed)
        changed = state.changed(key, lambda number: rule_bar.change(rule, seed=int(number)))
        seed.number_input("seed", value=rule.seed, step=1, key=key, on_change=changed)
