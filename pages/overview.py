"""Overview: what the workspace holds, and the one next step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from deft_core import demo, rule, selections
from deft_core.errors import DeftError
from deft_core.runs import monitor
from deft_core.workspace import Workspace
from pages.shared import activity, job_resources, run_resources, state, widgets
from pages.shared.activity import ScoreState
from pages.shared.frame import Frame, open_page, page

NEWEST_ROWS = 8


def body(frame: Frame) -> None:
    infos, damaged = activity.dataset_infos(frame.workspace)
    widgets.damaged(damaged)
    if not infos:
        _welcome(frame.workspace)
        return
    states = [state for info in infos for state in activity.score_states(frame.workspace, info["name"])]
    saved, runs = selections.listing(frame.workspace), run_resources.runs(frame.workspace)
    _next_step(frame.workspace, infos, states, saved, runs)
    datasets, scores = st.columns(2, gap="medium")
    with datasets:
        _datasets(infos)
    with scores:
        _score_sets(states)
    selected, trained = st.columns(2, gap="medium")
    with selected:
        _selections(saved, runs)
    with trained:
        _runs(runs)


def _welcome(workspace: Workspace) -> None:
    ours, own = st.columns(2, gap="medium")
    with ours.container(border=True, height="stretch"):
        st.subheader("Start with the demo")
        st.text(
            "Our own small preference set, scored by a small model on this machine: a few minutes, and every page has something to show."
        )
        st.button("Load the demo", type="primary", on_click=_load_demo, args=(workspace,))
    with own.container(border=True, height="stretch"):
        st.subheader("Bring your data")
        st.text("A file, a folder, several files or a Hub dataset; its layout is found out, and you see how it is read before it is.")
        if st.button("Choose a source"):
            st.switch_page(page("datasets.py"))
    _failure()


def _load_demo(workspace: Workspace) -> None:
    try:
        name = demo.import_demo(workspace).dataset
    except DeftError as error:
        state.set_failure(error)
        return
    _score(workspace, name)


def _failure() -> None:
    if error := state.take_failure():
        widgets.problem(error)


def _next_step(
    workspace: Workspace, infos: list[dict[str, Any]], states: list[ScoreState], saved: list[selections.Listed], runs: list[monitor.Listed]
) -> None:
    """One button for the newest dataset: score it, look at its rewards, train on what was selected, or see its newest run."""
    newest = infos[0]["name"]
    own = [one for one in states if one.dataset == newest and (one.running or one.done)]
    mine = next((one for one in runs if one.run and one.run.dataset == newest), None)
    version = next((one.about for one in saved if one.about and one.about.dataset == newest), None)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if not own and not job_resources.scorer_lives(workspace, newest):
            st.text(f"{newest} has no scores yet. Scoring runs on its own; you may close this page.")
            st.button(f"Score {widgets.plain(newest)}", type="primary", on_click=_score, args=(workspace, newest))
        elif mine:
            st.text(f"{mine.name} {_doing(mine)}.")
            if st.button("See the run", type="primary"):
                st.switch_page(page("runs.py"), query_params={state.DATASET: newest, state.RUN: mine.run_id})
        elif version:
            st.text(f"{version.reference} keeps {widgets.count(version.kept, 'row')} of {newest}; nothing is trained on it yet.")
            if st.button(f"Train on {widgets.plain(version.reference)}", type="primary"):
                query = {state.DATASET: newest, state.SELECTION: version.name, state.TRAIN_VERSION: str(version.version)}
                st.switch_page(page("train.py"), query_params=query)
        else:
            happened = "is being scored: watch the rewards come in" if not own or own[0].running else f"has {_scored(own[0])} rows scored"
            st.text(f"{newest} {happened}.")
            if st.button("See its rewards", type="primary"):
                st.switch_page(page("explore.py"), query_params={state.DATASET: newest})
    _failure()


def _doing(one: monitor.Listed) -> str:
    """What a run does, in words."""
    step = f" at step {one.progress.step:,} of {one.progress.of:,}" if one.progress.of and one.status != "finished" else ""
    words = {"queued": "waits for its turn", "running": "is running", "finished": "has finished", "lost": "is lost"}
    return words.get(one.status, one.status) + step


def _score(workspace: Workspace, name: str) -> None:
    job_resources.start_scoring(workspace, name)
    state.choose_dataset(name)


def _datasets(infos: list[dict[str, Any]]) -> None:
    st.subheader("Datasets")
    keys = {"name": "dataset", "rows_kept": "rows", "train": "train", "heldout": "held out", "judge": "judge", "rows_refused": "refused"}
    rows = [{title: info.get(key) for key, title in keys.items()} for info in infos[:NEWEST_ROWS]]
    widgets.figures_table(pd.DataFrame(rows))
    if st.button("Bring data, or read what was refused"):
        st.switch_page(page("datasets.py"))


def _scored(one: ScoreState) -> str:
    """How many of its rows are scored."""
    return f"{one.done:,} of {one.total:,}"


def _score_sets(states: list[ScoreState]) -> None:
    st.subheader("Score sets")
    if not states:
        st.text("None yet. A score set holds the reward of every answer under one model.")
        return
    rows = [
        {
            "dataset": one.dataset,
            "score set": one.score_id or "-",
            "state": one.phase if one.running else one.state,
            "rows scored": _scored(one),
            "model": one.model,
        }
        for one in states[:NEWEST_ROWS]
    ]
    widgets.figures_table(pd.DataFrame(rows))
    failed = [one for one in states if one.state in ("failed", "lost", "damaged")]
    for one in failed[:1]:
        message = (
            one.message or "its process is gone; what it had scored is kept. Start it again on the Data page, and it goes on from there."
        )
        st.warning(f"{widgets.plain(one.dataset)} {one.state}: {widgets.plain(message)}")


def _selections(saved: list[selections.Listed], runs: list[monitor.Listed]) -> None:
    st.subheader("Selections")
    about = [one.about for one in saved if one.about]
    if not about:
        st.text("None yet. A selection is the rows that a rule and your decisions keep, saved as a version.")
    else:
        trained = Counter(f"{one.run.selection}@{one.run.version}" for one in runs if one.run)
        rows = [
            {
                "version": one.reference,
                "dataset": one.dataset,
                "rows": one.kept,
                "rule": rule.words(one.rule),
                "runs": trained[one.reference],
            }
            for one in about[:NEWEST_ROWS]
        ]
        widgets.figures_table(pd.DataFrame(rows))
    for one in [one for one in saved if one.problem][:1]:
        st.warning(widgets.plain(f"{one.name}@{one.version}: {one.problem}"))
    if st.button("Choose what to keep"):
        st.switch_page(page("curate.py"))


def _runs(runs: list[monitor.Listed]) -> None:
    st.subheader("Runs")
    if not runs:
        st.text("None yet. A run trains the model on a selection; a random control of the same size can run beside it.")
        if st.button("Train on a selection"):
            st.switch_page(page("train.py"))
        return
    rows = [
        {
            "run": one.name,
            "state": one.status,
            "step": f"{one.progress.step:,} / {one.progress.of:,}" if one.progress.of else "-",
            "trained on": f"{one.run.selection}@{one.run.version}" if one.run else "-",
            "rows": one.run.rows if one.run else None,
        }
        for one in runs[:NEWEST_ROWS]
    ]
    widgets.figures_table(pd.DataFrame(rows))
    if st.button("See all runs"):
        st.switch_page(page("runs.py"), query_params={state.RUN: ""})


open_page("overview.py", body)
