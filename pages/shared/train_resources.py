"""Caches of the Train page: what the files say of a selection, what earlier runs took, what this machine has."""

from __future__ import annotations

import streamlit as st

from deft_core import queries
from deft_core.runs import device, facts, prepare, speeds
from deft_core.runs.device import Device
from deft_core.runs.facts import Facts
from deft_core.runs.prepare import Source
from deft_core.runs.spec import Settings
from deft_core.runs.speeds import Speed
from deft_core.workspace import Workspace
from pages.shared import resources, run_resources
from pages.shared.resources import Version

SPEED_SECONDS, DEVICE_SECONDS = 30, 5  # for so long what was found stands


def known(workspace: Workspace, reference: str, *, full: bool = False) -> Facts:
    """Of a selection as the files are now; raises what a run of it would be refused for."""
    made_from = prepare.source(workspace, reference)
    view = queries.open_view(workspace, made_from.saved.dataset, made_from.score_id)
    version = (*resources.version(view), str(workspace.root), reference, made_from.saved.created)
    return _known(version, full, workspace, made_from)


@st.cache_resource(max_entries=4, show_spinner="Adding up the rows …")
def _known(version: Version, full: bool, _workspace: Workspace, _made_from: Source) -> Facts:
    return facts.facts(_workspace, _made_from, full=full)


def speed(workspace: Workspace, model: str, settings: Settings) -> Speed | None:
    """Of the newest run of this kind here."""
    return _speed(str(workspace.root), model, speeds.kind(settings), workspace, settings)


@st.cache_resource(max_entries=20, ttl=SPEED_SECONDS, show_spinner=False)
def _speed(root: str, model: str, kind: tuple[object, ...], _workspace: Workspace, _settings: Settings) -> Speed | None:
    return speeds.measured(_workspace, run_resources.runs(_workspace), model, _settings)


@st.cache_resource(ttl=DEVICE_SECONDS, show_spinner=False)
def machine() -> Device:
    return device.device()
