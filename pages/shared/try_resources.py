"""The models that Try asks: which there are, and the shelf on which all sessions share those in memory. Loads none by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from deft_core import compare_charts, file_names, queries
from deft_core.queries import View
from deft_core.runs import device
from deft_core.runs.monitor import Listed
from deft_core.workspace import Workspace, read_json
from pages.shared import run_resources

if TYPE_CHECKING:
    from deft_core.lm.shelf import Shelf, Wanted

NONE = "none"  # in the address: the base alone
OFFERED = 40  # held-out rows


@dataclass(frozen=True)
class Model:
    """One that can be asked."""

    name: str
    colour: str
    wanted: Wanted


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    from deft_core.lm.shelf import Shelf

    return Shelf(lambda: device.device().free_bytes)


def trained(workspace: Workspace) -> list[Listed]:
    """Runs whose model is there, newest first."""
    return [
        one for one in run_resources.runs(workspace) if one.run and (workspace.run(one.run_id) / file_names.MODEL / "config.json").is_file()
    ]


def of_run(workspace: Workspace, one: Listed) -> Model:
    from deft_core.lm import trial

    assert one.run
    wanted = trial.tuned_by_run(one.run, workspace.run(one.run_id), one.name)
    return Model(one.name, compare_charts.ROLES[one.run.role], wanted)


def base(workspace: Workspace, dataset: str, score_id: str | None, chosen: list[Listed], there: list[Listed]) -> Model | None:
    """The model that the runs chosen began with, else the one that scored the dataset, else that of any run; None where there is none."""
    from deft_core.lm import trial

    colour = compare_charts.ROLES["base"]
    about: dict[str, Any] = read_json(workspace.score_set(dataset, score_id) / file_names.SCORE) if score_id else {}
    if chosen or (there and "model" not in about):
        one = (chosen or there)[0]
        assert one.run
        name = f"base: {one.run.model}"
        return Model(name, colour, trial.base_of_run(one.run, workspace.run(one.run_id), name))
    if "model" in about:
        name = f"base: {about['model']}"
        return Model(name, colour, trial.of_name(str(about["model"]), name, about.get("parameters")))
    return None


@st.cache_resource(max_entries=4, show_spinner=False)
def heldout(pairs_version: tuple[Any, ...], _view: View) -> dict[str, list[dict[str, str]]]:
    """Prompts of rows that no run has trained on, by id; some of them where there are many."""
    table = queries.light_table(_view)
    ids = table["id"][table["split"] == "heldout"].tolist()[:OFFERED]
    return _prompts(_view, ids)


def _prompts(view: View, ids: list[str]) -> dict[str, list[dict[str, str]]]:
    found = queries.texts(view, ids, ["prompt"])
    return {row: [dict(message) for message in prompt] for row, prompt in zip(found["id"], found["prompt"], strict=True)}


@st.cache_resource(max_entries=20, show_spinner=False)
def prompt(pairs_version: tuple[Any, ...], row: str, _view: View) -> list[dict[str, str]]:
    """Of any row of the dataset, empty where it is not there."""
    return _prompts(_view, [row]).get(row, [])
