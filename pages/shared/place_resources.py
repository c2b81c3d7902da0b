"""The caches that are about how sure rewards and places in the kept set are, beside those of d_resources.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import uncertainty
from deft_core.pooled import Head, Pooled, places, turned
from deft_core.queries import View
from deft_core.rule import Rule
from deft_core.selection import Floats, Mask
from deft_core.uncertainty import Draws
from pages.shared import d_resources
from pages.shared.d_resources import Sure
from pages.shared.resources import Decided, Version

PLACES = ("dropped", "uncertain", "kept")


@dataclass(frozen=True, eq=False)
class Drawn:
    conversations: Draws  # drawn again
    folds: Draws | None  # None: one of them has no tokens on a side


def sure(view: View) -> Sure:
    """Of a score set with scores."""
    return d_resources.sure(d_resources.begun(view), view.parts[0].parent)


def drawn(view: View) -> Drawn:
    return _drawn(d_resources.begun(view), d_resources.states(d_resources.scored(view), view)[1], sure(view))


@st.cache_resource(max_entries=2, show_spinner=False)
def _drawn(begun: Version, _head: Head, _sure: Sure) -> Drawn:
    return Drawn(uncertainty.draws(_head, _sure.drawn), uncertainty.fold_draws(_head, _sure.counts))


def pooled(view: View, decided: Decided) -> Pooled:
    """With the flipped rows turned round."""
    whole = d_resources.states(d_resources.scored(view), view)[0]
    return turned(whole, decided.decisions.flipped) if decided.flips else whole


@st.cache_resource(max_entries=4, show_spinner="Asking the draws of d which rows are kept …")
def kept_probability(version: Version, rule: Rule, _view: View, _decided: Decided, _pool: Mask, count: int, _table: pd.DataFrame) -> Floats:
    """In which share of the draws the rule keeps each row of the table, `count` of them; NaN for rows that take no part."""
    states, again = pooled(_view, _decided), drawn(_view)
    where = places(states, _table["id"].tolist())
    members: Mask = np.zeros(states.rows.num_rows, dtype=bool)
    members[where[_pool]] = True
    found = uncertainty.kept_probability(states, again.conversations, rule, members, count)
    return np.where(_pool, found[where], np.nan)


@st.cache_resource(max_entries=4, show_spinner=False)
def told(version: Version, rule: Rule, _probability: Callable[[], Floats]) -> tuple[pd.Categorical[str], Floats]:
    """(place, kept probability) of each row of the table; none for rows that take no part."""
    found = _probability()
    codes = np.where(np.isnan(found), -1, np.where(uncertainty.uncertain(found), 1, np.where(found > 0.5, 2, 0)))
    return pd.Categorical.from_codes(codes.astype(np.int8), pd.Index(PLACES)), found
