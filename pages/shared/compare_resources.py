"""The cache of comparisons: the bootstrap of several runs takes a second, and is the same until one is evaluated again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from deft_core import comparing, file_names
from deft_core.comparing import Comparison
from deft_core.errors import DeftError


def compared(folders: Sequence[Path]) -> Comparison:
    """Of at least two runs that are evaluated."""
    found = _compared(tuple((str(folder), (folder / file_names.EVALUATION).stat().st_mtime_ns) for folder in folders))
    if isinstance(found, DeftError):
        raise type(found)(*found.args)  # a new one: a raised error keeps what it has passed through
    return found


@st.cache_resource(max_entries=20, show_spinner="Comparing prompt by prompt …")
def _compared(stamps: tuple[tuple[str, int], ...]) -> Comparison | DeftError:
    try:
        return comparing.compare([Path(folder) for folder, _ in stamps])
    except DeftError as error:
        return error
