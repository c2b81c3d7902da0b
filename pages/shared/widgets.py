"""Small parts that several pages show. Dataset text reaches the page through `text_box` or a table's canvas, never through Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from deft_core import reading
from deft_core.errors import DeftError
from pages.shared import state

_STYLE = """<style>
.block-container {padding: 3.4rem 2.4rem 3rem 2.4rem}
@media (max-width: 640px) {
  .block-container {padding-left: 1rem; padding-right: 1rem}
  [data-testid="stMain"] {overflow-anchor: none}  /* else the table stays where it is, and the row above it out of sight */
}
[data-testid="stMain"] {container: main / inline-size}
@container main (max-width: 760px) {  /* of the page beside the sidebar, which Streamlit does not look at: columns stand below each other */
  [data-testid="stMain"] [data-testid="stColumn"] {min-width: calc(100% - 1.5rem)}
  [data-testid="stColumn"]:has(.st-key-row-open), div:has(> .st-key-row-open) {order: -1}
  [class*="st-key-figures"] {display: grid !important; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); column-gap: 1rem}
  [class*="st-key-short"] [data-testid="stColumn"]:not(:has([data-testid="stColumn"])) {min-width: 9rem; flex: 1 1 9rem}
}
[class*="st-key-pager"] [data-testid="stColumn"] {min-width: 0}
[class*="st-key-figures"] {row-gap: .8rem !important}
h1 {font-size: 1.7rem !important; padding: 0 0 .4rem 0 !important}
.st-key-train-halves {display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem 2.5rem}
[data-testid="stMetricValue"] {font-size: 1.5rem}
.st-key-hidden-keys {display: none}
[data-testid="stSidebarNavLink"]::before {font: 1.15rem/1 "Material Symbols Rounded"; font-feature-settings: "liga"; margin-right: .2rem}
[data-testid="stMarkdownContainer"] table {display: block; overflow-x: auto; width: fit-content; max-width: 100%}
[data-testid="stMarkdownContainer"] :is(th, td) {padding: .2rem .6rem; white-space: nowrap; font-size: .85rem}
.st-key-run-curves {display: grid !important; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: .8rem}
.st-key-try-answers {display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); gap: .8rem}
[data-testid="stSidebar"] [data-testid="stPageLink"] :is(p, div, span, a) {white-space: normal; overflow: visible; text-overflow: clip}
</style>"""
OPEN = "row-open"  # the container of the row that is read: on a narrow screen it stands above its list
SHORT = "short"  # how the key of a container of short fields begins: on a narrow screen several of them stand in a line
HALVES = "train-halves"  # a container of two: side by side where there is room
HIDDEN = "hidden-keys"  # a container of buttons that are there for their keys alone


def style() -> None:
    st.html(_STYLE)


def plain(text: str) -> str:
    """Text as the label of a button, a link or a message: Markdown, directives, emoji and formulas in it stay what they are."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", reading.excerpt(text, 300))


def prose(words: str) -> str:
    """What an error expects or advises; commands in it lose the marks that Markdown would have made of them."""
    return plain(words.replace("`", ""))


def problem(error: DeftError) -> None:
    """The three parts of an error."""
    parts = {"Expected": prose(error.expected), "Found": plain(error.found), "What to do": prose(error.remedy)}
    st.error("\n\n".join(f"**{name}** {part}" for name, part in parts.items()))


def damaged(datasets: Mapping[str, DeftError]) -> None:
    """The datasets that cannot be read."""
    for name, error in datasets.items():
        parts = f"Expected {prose(error.expected)}; found {plain(error.found)}. {prose(error.remedy)}"
        st.warning(f"**{plain(name)}** cannot be read. {parts}")


def html(text: str) -> str:
    """Text inside HTML of ours."""
    return reading.escaped(text)


def text_box(text: str, *, heading: str = "", height_rem: float = 28) -> None:
    """A text of the dataset, as it is, in a box that wraps and scrolls."""
    shown, more = text[: reading.SHOWN_CHARACTERS], len(text) - reading.SHOWN_CHARACTERS
    rest = f"<em> … {more:,} more characters</em>" if more > 0 else ""
    title = f'<span style="font-size:.85rem;opacity:.75">{reading.escaped(heading)}</span>' if heading else ""
    st.html(title + reading.boxed(reading.escaped(shown) + rest, height_rem))


def pick(
    label: str, name: str, options: Sequence[str], current: str, *, on_change: Callable[[str], None] | None = None, **more: object
) -> None:
    """A drop-down whose choice stands in the address under `name`."""
    key = state.mirror(name, current)
    changed = state.changed(key, on_change or (lambda chosen: state.put(name, chosen)))
    st.selectbox(label, options, options.index(current), key=key, on_change=changed, **more)  # type: ignore[call-overload]


def entry(label: str, name: str, placeholder: str) -> None:
    """A line of text that stands in the address under `name`."""
    current = state.value(name)
    key = state.mirror(name, current)
    changed = state.changed(key, lambda text: state.put(name, text.strip()))
    st.text_input(label, current, key=key, on_change=changed, placeholder=placeholder)


def figures_table(rows: pd.DataFrame) -> None:
    """A small table whose numbers have thousands separators."""
    numbers = {str(name): st.column_config.NumberColumn(format="localized") for name in rows.select_dtypes("number")}
    st.dataframe(rows, hide_index=True, column_config=numbers)


def figures(name: str) -> DeltaGenerator:
    """The container of a row of figures, in columns where they do not fit into one line. `name`: of the row, one on its page."""
    return st.container(horizontal=True, gap="large", key=f"figures-{name}")


def figure(label: str, value: str, below: str, help: str | None = None) -> None:
    """One of a row of figures, with what it is of below it."""
    st.metric(label, value, delta=below, delta_color="off", delta_arrow="off", width="content", help=help)


def table(values: Mapping[str, str]) -> None:
    """Names and values, as they are, one below the other."""
    cell = "padding:.12rem .8rem .12rem 0;vertical-align:top;border:none"
    rows = "".join(
        f'<tr style="border:none"><td style="{cell};opacity:.7;white-space:nowrap">{html(name)}</td>'
        f'<td style="{cell};overflow-wrap:anywhere">{html(value)}</td></tr>'
        for name, value in values.items()
    )
    st.html(f'<table style="font-size:.85rem;border:none">{rows}</table>')


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def pager(name: str, pages: int, what: str) -> None:
    """Earlier and later pages; the page's number stands in the address under `name`."""
    current = min(state.number(name), pages - 1)
    with st.container(key=f"pager-{name}"):
        earlier, words, later = st.columns([1, 2, 1], vertical_alignment="center")
    earlier.button("← earlier", key=f"{name}-earlier", disabled=current == 0, on_click=state.put, args=(name, current - 1), width="stretch")
    words.html(f'<div style="text-align:center">{what}, page {current + 1:,} of {pages:,}</div>')
    last = current >= pages - 1
    later.button("later →", key=f"{name}-later", disabled=last, on_click=state.put, args=(name, current + 1), width="stretch")
