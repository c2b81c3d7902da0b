"""The search box, the split picker and the chips: every filter can be seen and removed here, also one that cannot work."""

from __future__ import annotations

import streamlit as st

from deft_core.errors import DeftError
from deft_core.filters import Filter, OneOf, Search, from_text, to_text, words
from deft_core.preferences import SPLITS
from deft_core.queries import check_pattern
from pages.shared import state, widgets

SEARCH = "search"
ALL_SPLITS = "all splits"


def pickers() -> None:
    search, split = st.columns([3, 2])
    with search:
        st.text_input("Search", key=SEARCH, placeholder="in all texts; /…/ is a pattern", on_change=_search)
        try:
            _typed()
        except DeftError as error:
            st.error(f"Expected {widgets.plain(error.expected)}; found {widgets.plain(error.found)}. {widgets.plain(error.remedy)}")
    with split:
        current = next((rule.values[0] for rule in state.filters() if _is_split(rule) and rule.values), ALL_SPLITS)
        widgets.pick("Split", "split-picker", list(dict.fromkeys([ALL_SPLITS, *SPLITS, current])), current, on_change=_choose_split)


def chips() -> None:
    texts = [to_text(rule) for rule in state.filters()]
    if not texts:
        return
    key = state.mirror("chips", texts)

    def changed() -> None:
        state.set_filters([from_text(text) for text in st.session_state[key]])

    st.multiselect("Filters", texts, key=key, on_change=changed, format_func=lambda text: words(from_text(text)))


def _search() -> None:
    """A search becomes a filter and the box is empty again; a pattern that cannot work stays in it, to be mended."""
    try:
        rule = _typed()
    except DeftError:
        return
    state.set_typed(SEARCH, "")
    if rule:
        state.set_filters([*state.filters(), rule])


def _typed() -> Search | None:
    text = state.typed(SEARCH)
    if not (len(text) > 2 and text.startswith("/") and text.endswith("/")):
        return Search(text) if text else None
    check_pattern(text[1:-1])
    return Search(text[1:-1], True)


def _is_split(rule: Filter) -> bool:
    return isinstance(rule, OneOf) and rule.column == "split"


def _choose_split(split: str) -> None:
    state.replace_filter(_is_split, None if split == ALL_SPLITS else OneOf("split", (split,)))
