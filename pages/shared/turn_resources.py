"""How the prompts of rows end: asked of the file at first, and taken from memory once a thread has read them all.

A million of them are read in a few seconds and hold some 100 MB; a few of them cost a query of the file 30 to 90 milliseconds, which is
too long where rows change with every move of a slider.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import streamlit as st

from deft_core import queries
from deft_core.queries import View
from deft_core.reading import excerpt

_log = logging.getLogger("deft.pages")
CHARACTERS = 120  # shown
READ_CHARACTERS = 200  # white space is folded before a text is cut


@dataclass(frozen=True)
class Turns:
    """The last turns of all rows, by id."""

    ids: npt.NDArray[np.bytes_]
    texts: pa.LargeStringArray

    def of(self, ids: Sequence[str]) -> list[str]:
        wanted = np.array([row.encode() for row in ids], dtype=bytes)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        found = self.texts.take(pa.array(places)).to_pylist()
        return [text if there else "" for text, there in zip(found, self.ids[places] == wanted, strict=True)]


@st.cache_resource(show_spinner=False)
def _reader() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "last turns")


@st.cache_resource(max_entries=2, show_spinner=False)
def _all(pairs_version: tuple[str, int, int], _view: View) -> Future[Turns]:
    def read() -> Turns:
        try:
            table = queries.last_turns(_view, READ_CHARACTERS)
            return Turns(np.array(table["id"].to_pylist(), dtype=bytes), table["text"].combine_chunks())
        except Exception:  # heard of here alone: the pages ask the file, as before they were read
            _log.exception("The last turns of %s cannot be held in memory", _view.dataset)
            raise

    return _reader().submit(read)


def last_turns(view: View, ids: Sequence[str]) -> list[str]:
    """How the prompt of each row ends, as one short line; nothing for a row that is not there."""
    everything = _all(queries.pairs_version(view), view)
    if len(ids) and everything.done() and not everything.exception():
        return [excerpt(text, CHARACTERS) for text in everything.result().of(ids)]
    prompts = queries.texts(view, ids, ["prompt"]).set_index("id")["prompt"]
    return [excerpt(prompts[row][-1]["content"][:READ_CHARACTERS], CHARACTERS) if row in prompts else "" for row in ids]
