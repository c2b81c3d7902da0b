"""The frame of every page: the list of pages, what the sidebar shows, and how a page's body is drawn and kept up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from deft_core import selections
from deft_core.errors import DeftError, NotFoundError
from deft_core.status import duration
from deft_core.workspace import Workspace
from pages.shared import activity, job_resources, resources, state, widgets

PAGES = {  # file: name, icon, the question it answers; in the order of the work
    "overview.py": ("Overview", ":material/home:", "What is here, and what is next?"),
    "datasets.py": ("Data", ":material/database:", "What was read, and what was refused?"),
    "discrepancy.py": ("Discrepancy", ":material/balance:", "Which tokens separate chosen from rejected, and how sure is that?"),
    "explore.py": ("Explore", ":material/bar_chart:", "How are the rewards distributed?"),
    "curate.py": ("Curate", ":material/content_cut:", "What do I keep, and what does that change?"),
    "train.py": ("Train", ":material/model_training:", "What will this run do, and does it fit?"),
    "runs.py": ("Runs", ":material/monitoring:", "Is it learning what I want?"),
    "try_model.py": ("Try", ":material/chat:", "What does the model say now?"),
    "study.py": ("Study", ":material/science:", "Does the filter help?"),
}
UNLISTED = "study.py"  # help texts lead there
TICK_SECONDS, LARGE_TICK_SECONDS = 2.0, 10.0  # a million rows take a second or two to read again
RUN_TICK_SECONDS = 1.0  # of the page of runs, while one lives
LARGE_ROWS = 200_000
NONE = ""  # of a picker: nothing chosen
LOGO = Path(__file__).with_name("logo.svg")  # the product's name
ICON = str(LOGO.with_name("icon.svg"))  # of the browser's tab
EMPTY_PAGE = LOGO.with_name("empty_page.js").read_text(encoding="utf-8")  # loads a page again that is left empty
FOLDER = Path(__file__).parents[1]  # absolute: a page that runs alone has another main script

_SHOWN, _shown = "client.showSidebarNavigation", threading.Lock()  # of all sessions of the server
_log = logging.getLogger("deft.pages")


@dataclass(frozen=True)
class Frame:
    workspace: Workspace
    dataset: str | None  # the one chosen, None in an empty workspace
    score_id: str | None  # the score set chosen, None where the dataset has none
    problem: DeftError | None = None  # why nobody knows which score sets the dataset has
    selection: str | None = None  # the one chosen, None where the dataset has none


def navigation() -> st.Page:
    """Streamlit's own navigation over PAGES; the page asked for comes back.

    It is switched off but here: the old mode in which a session begins would list the names of the files.
    """
    state.set_routed()
    with _shown:
        st.set_option(_SHOWN, True)
        try:
            return st.navigation([page(file) for file in PAGES])
        finally:
            st.set_option(_SHOWN, False)


def page(file: str) -> st.Page:
    """Without its icon, which would be the tab's for a moment, and for that browsers ask a server of Google's; see `_icons`."""
    visibility: Literal["visible", "hidden"] = "hidden" if file == UNLISTED else "visible"
    return st.Page(FOLDER / file, title=PAGES[file][0], default=file == "overview.py", visibility=visibility)


def _icons() -> None:
    """Before the names in the sidebar, in the font that Streamlit brings along."""
    item = '[data-testid="stSidebarNavItems"] > :nth-child({}) [data-testid="stSidebarNavLink"]::before {{content: "{}"}}'
    names = [icon.removeprefix(":material/").removesuffix(":") for _, icon, _ in PAGES.values()]
    st.html("<style>" + "\n".join(item.format(place, name) for place, name in enumerate(names, 1)) + "</style>")


def open_page(file: str, body: Callable[[Frame], None]) -> None:
    """Draws one page: its title, the sidebar, its body, which is drawn again by itself while something runs."""
    if not state.routed():
        # beside a folder called pages, Streamlit starts in its old mode and runs the page asked for without app.py:
        # after one st.navigation call it knows better, and the rerun goes through the router
        navigation()
        st.rerun()
    state.follow_address()
    name, _, question = PAGES[file]
    st.set_page_config(page_title=f"{name} · DEFT Studio", page_icon=ICON, layout="wide")
    widgets.style()
    _icons()
    st.html(f"<script>{EMPTY_PAGE}</script>", unsafe_allow_javascript=True)
    st.logo(LOGO, size="large")
    st.title(question)
    workspace = resources.workspace()
    with st.sidebar:
        pickers, line = st.container(), st.container()
        _training_line(workspace, alone=file != "runs.py")
    before = _tick(workspace, file)

    def draw() -> None:
        for place in (pickers, line):
            place.empty()  # a fragment may fill a container outside of it only where it wrote something in the full run
        _guarded(lambda: _running_line(line, workspace))
        _guarded(lambda: body(_pickers(pickers, workspace)))
        if _tick(workspace, file) != before:
            st.rerun()  # the first has begun or the last has ended: draw with another timer, or with none

    st.fragment(draw, run_every=before)()


def lacks_data(frame: Frame) -> bool:
    """Whether there is no dataset to draw; then the way to one is shown. Raises why nobody knows the dataset's score sets."""
    if frame.dataset is None:
        st.info("There is no dataset yet.")
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Bring data", type="primary"):
                st.switch_page(page("datasets.py"))
            st.page_link(page("overview.py"), label="or start with the demo", query_params={})
        return True
    if frame.problem:
        raise frame.problem
    return False


def _tick(workspace: Workspace, file: str) -> float | None:
    """Seconds until the page is drawn again; None where nothing runs. A run that trains changes the page of runs alone."""
    try:
        if file == "runs.py" and activity.live_runs(workspace):
            return RUN_TICK_SECONDS
        rows = [one.total for one in activity.running(workspace)] + [one.total for one in activity.noise_running(workspace)]
        jobs = [*job_resources.imports_now(workspace), *job_resources.exports_now(workspace)]
        if not rows and not jobs and not job_resources.scorer_lives(workspace):
            return None
    except DeftError:  # a damaged file: the body meets it too, and says so
        return None
    return LARGE_TICK_SECONDS if max(rows, default=0) > LARGE_ROWS else TICK_SECONDS


def _guarded(draw: Callable[[], None]) -> None:
    try:
        draw()
    except DeftError as error:
        widgets.problem(error)
        _ways_out()
    except Exception:
        _log.exception("a page could not be drawn")
        st.error("This page met something it does not know. The details are in the output of the server that shows it.")
        _ways_out()


def _ways_out() -> None:
    with st.container(horizontal=True):
        st.page_link(page("overview.py"), label="What is here", query_params={})
        st.page_link(page("datasets.py"), label="Bring data", query_params={})


def _pickers(place: st.delta_generator.DeltaGenerator, workspace: Workspace) -> Frame:
    names = workspace.dataset_names()
    if not names:
        return Frame(workspace, None, None)
    with place:
        if not state.value(state.DATASET):
            infos, _ = activity.dataset_infos(workspace)
            state.put(state.DATASET, infos[0]["name"] if infos else names[0])
        dataset = state.value(state.DATASET)
        known = dataset in names
        widgets.pick("Dataset", state.DATASET, names if known else [dataset, *names], dataset, on_change=state.choose_dataset)
        if not known:
            _unknown(workspace, dataset)
        try:
            ids = workspace.score_ids(dataset)
        except DeftError as error:
            return Frame(workspace, dataset, None, error)
        if ids and not state.value(state.SCORES):
            state.put(state.SCORES, ids[0])
        chosen = state.value(state.SCORES)
        if ids or chosen:
            offered = ids if chosen in ids else [chosen, *(ids or [NONE])]  # one that is gone can be left
            widgets.pick("Score set", state.SCORES, offered, chosen, format_func=lambda one: one or "none")
        selection = _pick_selection(workspace, dataset)
    return Frame(workspace, dataset, chosen or None, selection=selection)


def _unknown(workspace: Workspace, dataset: str) -> None:
    """Raises which datasets there are; what to do is what a page can do."""
    try:
        workspace.existing_dataset(dataset)
    except NotFoundError as error:
        raise NotFoundError(error.expected, error.found, "Choose another one on the left, or bring it on the Data page.") from None


def _pick_selection(workspace: Workspace, dataset: str) -> str | None:
    names = list(dict.fromkeys(one.name for one in selections.listing(workspace, dataset)))
    chosen = state.value(state.SELECTION)
    if names or chosen:
        offered = list(dict.fromkeys([NONE, *([chosen] if chosen else []), *names]))
        widgets.pick("Selection", state.SELECTION, offered, chosen, format_func=lambda one: one or "none")
    return chosen or None


def _training_line(workspace: Workspace, alone: bool) -> None:
    """A line for each run that lives, in a fragment of its own: the rest of the page stays as it is while they train.

    Not `alone`, the page looks for itself whether the first has begun or the last has ended: two that redraw it at once get in each
    other's way.
    """

    def live() -> list[activity.LiveRun]:
        try:
            return activity.live_runs(workspace)
        except DeftError:  # the page of runs says what is damaged
            return []

    before = bool(live())

    def draw() -> None:
        found = live()
        for one in found:
            if one.state == "running":
                st.page_link(page("runs.py"), label=_training(one), icon=":material/sync:", query_params={state.RUN: one.run_id})
        if waiting := sum(one.state == "queued" for one in found):
            label, all_runs = f"{widgets.count(waiting, 'run')} waiting", {state.RUN: ""}
            st.page_link(page("runs.py"), label=label, icon=":material/hourglass:", query_params=all_runs)
        if alone and bool(found) != before:
            st.rerun()

    st.fragment(draw, run_every=TICK_SECONDS if before else None)()


def _training(one: activity.LiveRun) -> str:
    """training best@1 dpo step 42 / 80, 1 min left"""
    done = one.progress
    if done.phase != "training":
        return f"{widgets.plain(one.name)}: {widgets.plain(done.phase)}"
    left = f", {duration(done.seconds_left)} left" if done.seconds_left else ""
    return f"training {widgets.plain(one.name)} step {done.step:,} / {done.of:,}{left}"


def _running_line(place: st.delta_generator.DeltaGenerator, workspace: Workspace) -> None:
    for one in activity.running(workspace):
        share = f" {one.done / one.total:.0%}" if one.total and one.phase == "scoring" else f": {one.phase}"
        left = f", {duration(one.seconds_left)} left" if one.seconds_left and one.phase == "scoring" else ""
        query = {state.DATASET: one.dataset} | ({state.SCORES: one.score_id} if one.created and one.score_id else {})
        label = f"scoring {widgets.plain(one.dataset)}{share}{left}"
        place.page_link(page("explore.py"), label=label, icon=":material/sync:", query_params=query)
    for noise in activity.noise_running(workspace):
        share = f"{noise.done / noise.total:.0%}" if noise.done < noise.total else noise.phase
        left = f", {duration(noise.seconds_left)} left" if noise.seconds_left else ""
        query = {state.DATASET: noise.dataset, state.TAB: "Noise"}
        label = f"looking through {widgets.plain(noise.dataset)} {share}{left}"
        place.page_link(page("curate.py"), label=label, icon=":material/sync:", query_params=query)
    for imported in job_resources.imports_now(workspace):
        label = f"importing {widgets.plain(imported.dataset)}: {widgets.count(imported.rows, 'row')}"
        place.page_link(page("datasets.py"), label=label, icon=":material/sync:", query_params={})
    for job in job_resources.exports_now(workspace):
        label = f"exporting {widgets.plain(job.dataset)}: {job.phase}"
        place.page_link(page("curate.py"), label=label, icon=":material/sync:", query_params={state.DATASET: job.dataset})
