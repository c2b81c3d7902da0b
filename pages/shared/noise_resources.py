"""Noise: what is cached of the signals, and the computation that a page starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from deft_core.noise import report, stored
from deft_core.noise.signals import Signal
from deft_core.queries import View
from deft_core.selection import Floats, Ids, Mask
from deft_core.status import read_status
from deft_core.workspace import Workspace
from pages.shared import job_resources, resources
from pages.shared.resources import Version


@st.cache_resource(max_entries=2, show_spinner="Counting what is marked …")
def masks(version: Version, _view: View, _table: pd.DataFrame) -> dict[str, Mask]:
    """By signal, the rows it marks; without those that the table cannot tell."""
    return report.marked(_table, _as_scored(_view))


def _as_scored(view: View) -> pd.DataFrame:
    """The rows without flips."""
    return resources.light_table(resources.version(view), view)


@st.cache_resource(max_entries=3, show_spinner=False)
def values(version: Version, signal: Signal, _view: View, _table: pd.DataFrame) -> Floats:
    """A signal's numbers, NaN where a row is not meant."""
    found = report.values(_table, signal, _as_scored(_view))
    assert found is not None  # only signals with a mask are asked for
    return found


@st.cache_resource(max_entries=3, show_spinner=False)
def firsts(version: Version, column: str, _view: View, _ids: Ids, rows: int) -> Mask:
    """The first row of every group, in the order of the data."""
    mask: Mask = np.zeros(rows, dtype=bool)
    assert _view.noise  # a column of it is asked for
    mask[_ids.positions(stored.first_ids(_view.noise, column))] = True
    return mask


def start(workspace: Workspace, dataset: str) -> None:
    from deft_core.noise import workbench

    job_resources.remember(workspace, _job(dataset), workbench.start(workspace.root, dataset))


def status(workspace: Workspace, dataset: str) -> dict[str, Any] | None:
    """Of the newest computation; "running" from the click on that started it."""
    found = read_status(workspace.noise_work(dataset))
    if job_resources.scorer_lives(workspace, _job(dataset)) and (found is None or found["state"] != "running"):
        return {"state": "running", "phase": "starting", "done": 0, "total": 0}
    return found


def _job(dataset: str) -> str:
    return f"noise of {dataset}"  # no dataset is called that: names have no spaces
