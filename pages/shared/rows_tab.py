"""Kept and Dropped: all rows, 25 a page, and one of them read."""

from __future__ import annotations

import streamlit as st

from deft_core.selection import Mask
from pages.shared import inspector, rows
from pages.shared.picked import Picked


def kept(picked: Picked) -> None:
    _listed(picked, picked.subset.mask, "Nothing is kept. Keep more, or widen the condition.")


def dropped(picked: Picked) -> None:
    _listed(picked, picked.dropped, "Nothing is dropped: every training row is kept.")


def _listed(picked: Picked, mask: Mask, nothing: str) -> None:
    if not mask.any():
        st.info(nothing)
        return
    inspector.list_and_row(picked.look, rows.ordered(picked.look, mask))
