"""The search box, the split picker and the chips: every filter can be seen and removed here, also one that cannot work."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from deft_core.errors import DeftError
from deft_core.filters import FIELDS, Filter, OneOf, Search, Where, from_text, to_text, words
from deft_core.preferences import SPLITS
from deft_core.queries import check_pattern
from deft_core.reading import excerpt
from pages.shared import state, widgets

SEARCH, FIELD, NEGATED = "search", "search-field", "search-negated"
HAVE, HAVE_NOT = "have", "do not have"
ALL_SPLITS = "all splits"
FIELD_WORDS = {"all": "all texts", "prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
CHIP_CHARACTERS = 80


def pickers() -> None:
    field, negated, search, split = st.columns([3, 3, 5, 3], vertical_alignment="bottom")
    with field:
        st.selectbox("Search in", FIELDS, key=FIELD, format_func=FIELD_WORDS.__getitem__)
    with negated:
        st.selectbox("for rows that", (HAVE, HAVE_NOT), key=NEGATED)
    with search:
        st.text_input("this text", key=SEARCH, placeholder="text, or /pattern/; then Enter", on_change=_search)
    with split:
        current = next(
            (rule.values[0] for rule in state.filters() if isinstance(rule, OneOf) and _is_split(rule) and rule.values), ALL_SPLITS
        )
        widgets.pick("Split", "split-picker", list(dict.fromkeys([ALL_SPLITS, *SPLITS, current])), current, on_change=_choose_split)
    try:
        _typed()
    except DeftError as error:
        st.error(f"Expected {widgets.prose(error.expected)}; found {widgets.plain(error.found)}. {widgets.prose(error.remedy)}")


def chips() -> None:
    texts = [to_text(rule) for rule in state.filters()]
    if not texts:
        return
    labels = {text: _chip(text) for text in texts}
    key = state.mirror(f"chips-{len(waiting())}", texts)  # Streamlit knows options by their labels: another widget where these change
    changed = state.changed(key, lambda left: state.set_filters([from_text(text) for text in left]))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.multiselect("Filters", texts, texts, key=key, on_change=changed, format_func=labels.__getitem__, wrap=True)
        st.button("clear", icon=":material/filter_alt_off:", on_click=state.set_filters, args=([],), width="content")
        with st.popover("link", icon=":material/link:", width="content"):
            st.caption("The address of this view: the same filters, charts and row for whoever opens it.")
            st.code(address(), language=None, wrap_lines=True)
    for rule in waiting():
        _offer(rule)


def waiting() -> list[Where]:
    """The conditions that came with a link: none narrows anything before a person has run it."""
    return [rule for rule in state.filters() if isinstance(rule, Where) and not state.allowed(rule.sql)]


def address() -> str:
    """Of the view on screen."""
    named = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    return f"{st.context.url or ''}?{urlencode(named)}"


def _offer(rule: Where) -> None:
    with st.container(border=True):
        heading = "Not applied: this condition in SQL came with the link, and nobody has run it here yet."
        widgets.text_box(rule.sql, heading=heading, height_rem=6)
        with st.container(horizontal=True):
            st.button("Run this query", key=f"run-{rule.sql}", type="primary", on_click=state.allow, args=(rule.sql,))
            st.button("Leave it out", key=f"leave-{rule.sql}", on_click=state.replace_filter, args=(lambda one: one == rule, None))


def _chip(text: str) -> str:
    rule = from_text(text)
    return excerpt(words(rule), CHIP_CHARACTERS) + (" (not run yet)" if rule in waiting() else "")


def _search() -> None:
    """A search becomes a filter, and the next one starts anew; a pattern that cannot work stays in its box, to be mended."""
    try:
        rule = _typed()
    except DeftError:
        return
    state.set_typed(SEARCH, "")
    state.set_typed(NEGATED, HAVE)
    if rule:
        state.set_filters([*state.filters(), rule])


def _typed() -> Search | None:
    text, field, negated = state.typed(SEARCH), state.typed(FIELD) or "all", state.typed(NEGATED) == HAVE_NOT
    if not (len(text) > 2 and text.startswith("/") and text.endswith("/")):
        return Search(text, False, field, negated) if text else None
    check_pattern(text[1:-1])
    return Search(text[1:-1], True, field, negated)


def _is_split(rule: Filter) -> bool:
    return isinstance(rule, OneOf) and rule.column == "split"


def _choose_split(split: str) -> None:
    state.replace_filter(_is_split, None if split == ALL_SPLITS else OneOf("split", (split,)))
