"""The caches that are about d, beside those of resources.py: how sure it is, which rows a token decides, what another d makes of rewards.

What is written once when scoring begins is kept by `begun`; what grows with the rows scored, by the version of the view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from deft_core import charts, discrepancy, folds, queries, reliability, selections, what_if
from deft_core.group_counts import GroupCounts, read_counts
from deft_core.pooled import Head, Pooled, open_head, open_pooled
from deft_core.queries import View
from deft_core.reliability import Bootstrap, Verdict
from deft_core.workspace import Workspace
from pages.shared import resources
from pages.shared.resources import Version


@dataclass(frozen=True)
class Sure:
    counts: GroupCounts
    drawn: Bootstrap
    curve: pd.DataFrame
    constant: float  # c of the noise model, infinite where the halves do not agree
    verdict: Verdict


@dataclass(frozen=True)
class Tried:
    answer: what_if.Answer
    axis: charts.Axis  # over the rewards before and after


def begun(view: View) -> Version:
    """Changes when the score set is another one; not with the rows scored, nor with what is saved beside them."""
    return resources.version(replace(view, parts=(), what_ifs=()))


def scored(view: View) -> Version:
    """Changes with the rows scored; not with the what-ifs saved."""
    return resources.version(replace(view, what_ifs=()))


@st.cache_resource(max_entries=4, show_spinner=False)
def token_table(begun: Version, _folder: Path) -> pd.DataFrame:
    return discrepancy.read_table(_folder)


@st.cache_resource(max_entries=4, show_spinner="Drawing conversations again …")
def sure(begun: Version, _folder: Path) -> Sure:
    counts = read_counts(_folder)
    curve = reliability.split_half(counts)
    constant = reliability.noise_constant(*curve[["conversations", "cosine"]].iloc[-1]) if len(curve) else math.inf
    verdict = reliability.verdict(curve, counts.conversations, reliability.chance(counts))
    return Sure(counts, reliability.bootstrap(counts), curve, constant, verdict)


@st.cache_data(max_entries=20, show_spinner="Looking for rows with this token …")
def token_rows(scored: Version, token_id: int, limit: int, _view: View) -> tuple[pd.DataFrame, int]:
    return queries.rows_with_token(_view, token_id, limit)


@st.cache_resource(max_entries=2, show_spinner="Reading the pooled states …")
def states(scored: Version, _view: View) -> tuple[Pooled, Head]:
    return open_pooled(_view), open_head(_view)


@st.cache_data(max_entries=4, show_spinner="Rewarding the rows by halves …")
def compared_folds(scored: Version, _view: View, _counts: GroupCounts) -> folds.Folds:
    return folds.compare(*states(scored, _view), _counts)


def tried(scored: Version, change: what_if.Change, view: View, workspace: Workspace, before: pd.DataFrame) -> Tried:
    """`before` is the light table. What `change.kept` names is looked up each time: it may be another version now."""
    if change.kept is None:
        return _tried(scored, change, None, view, workspace, before)
    kept = selections.read(workspace, *selections.parse(change.kept))
    return _tried(scored, replace(change, kept=kept.reference), kept.fingerprint, view, workspace, before)


@st.cache_resource(max_entries=3, show_spinner="Rewarding the rows again …")
def _tried(
    scored: Version, change: what_if.Change, kept_rows: str | None, _view: View, _workspace: Workspace, _before: pd.DataFrame
) -> Tried:
    kept, flipped = what_if.kept_by(_workspace, _view.dataset, change.kept) if change.kept else (None, [])
    answer = what_if.answer(_view, *states(scored, _view), change, kept, flipped)
    rewards = [resources.numbers(_before, "reward_chosen"), answer.rewards["reward_chosen"]]
    return Tried(answer, charts.axis_of(np.concatenate(rewards)))
