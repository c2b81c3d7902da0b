"""docs/study/README.md on a page: its words and tables, its pictures between them, links to files as their names."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath

import streamlit as st

from deft_core.errors import InputError

FOLDER = Path(__file__).parents[2] / "docs" / "study"
_PICTURE = re.compile(r"^!\[(.+)\]\((.+)\)$", re.MULTILINE)
_ELSEWHERE = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)")  # to a file, which the server does not have
_HEADING = re.compile(r"^##(?=#* )", re.MULTILINE)  # below the page's title, which is small
_NOT_SHOWN = re.compile(r"\A# .*\n|<!--.*?-->\n")  # the page has a title of its own


def draw() -> None:
    try:
        text = (FOLDER / "README.md").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"the study in {error.filename}", "no such file", "Start the dashboard from a whole copy of DEFT Studio."
        ) from None
    words, *rest = _PICTURE.split(_HEADING.sub("####", _NOT_SHOWN.sub("", text)))
    st.markdown(_without_links(words))
    for caption, file, after in zip(*[iter(rest)] * 3, strict=True):
        st.image(FOLDER / file, caption=caption)
        st.markdown(_without_links(after))


def _without_links(text: str) -> str:
    return _ELSEWHERE.sub(lambda match: f"{match[1]} (`{normpath(f'docs/study/{match[2]}')}`)" if match[2] else match[1], text)
