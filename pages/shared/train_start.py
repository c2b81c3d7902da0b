"""What runs beside a run, its start, and the same as a command and as Python."""

from __future__ import annotations

import math

import streamlit as st

from deft_core.errors import DeftError
from deft_core.runs import equivalents, groups
from deft_core.runs import preflight as preflights
from deft_core.runs.facts import Facts
from deft_core.runs.preflight import Preflight
from deft_core.runs.prepare import for_all_rows
from deft_core.runs.spec import Settings
from deft_core.selections import Saved
from deft_core.status import duration
from pages.shared import frame as frames
from pages.shared import state, train_look, train_resources, widgets
from pages.shared.frame import Frame

BESIDE = {  # role: what it is called, why
    "random": (
        "a random control of the same size",
        "As many rows of the same pool by chance. A filter that does not beat it is worth nothing.",
    ),
    "full": (
        "the full set",
        "All rows that the rule drew from, for as many epochs: what the filter saves, and what it costs. In the one such run of "
        "[our study](study) they did better than random 5 %.",
    ),
    "unguided": ("the same without guidance", "The same rows by the method's own loss: what guidance adds."),
}
OTHER_DRAW = "The selection is random rows itself: another draw of them says how far chance alone takes two runs apart."
SAME_ROWS = "The selection has all rows that it could be drawn from: these would be the same rows."
NOTHING = "none"  # of the address: nothing beside it
BUTTON = "train-start"


def follow() -> None:
    """Leads to the runs that were just started, and shows why some were not."""
    if error := state.take_failure():
        widgets.problem(error)
    if group := state.take_started():
        st.switch_page(frames.page("runs.py"), query_params={state.RUN: group})


def beside(frame: Frame, saved: Saved, known: Facts, settings: Settings, own: Preflight) -> tuple[str, ...]:
    """The roles that run beside it, each a box to tick; `own` is what the run itself takes."""
    random_rows = saved.rule.keep == "random"
    asked = state.values(state.ALSO) or ([] if random_rows else ["random"])
    closed = dict.fromkeys(("random", "full"), SAME_ROWS) if known.whole else {}
    closed |= {"unguided": "Guidance is off already."} if settings.guidance == 0 else {}
    wanted = tuple(role for role in BESIDE if role in asked and role not in closed)
    with st.container(border=True):
        st.html('<div style="font-size:.88rem;opacity:.7">Also run, one behind the other, to be compared with it</div>')
        with st.container(horizontal=True, gap="medium"):
            for role, (words, why) in BESIDE.items():
                help = closed.get(role) or (OTHER_DRAW if random_rows and role == "random" else why)
                ticked = role in wanted
                key = state.mirror(f"train-also-{role}", ticked)
                changed = state.changed(key, lambda on, role=role: _tick(wanted, role, on))  # type: ignore[misc]
                st.checkbox(words, ticked, key=key, on_change=changed, disabled=role in closed, help=help, width="content")
        full = _full(frame, saved, known, settings) if "full" in wanted else None
        _together(own, wanted, full)
    return wanted


def _tick(wanted: tuple[str, ...], role: str, on: bool) -> None:
    roles = [one for one in BESIDE if (on if one == role else one in wanted)]
    state.put(state.ALSO, *(roles or [NOTHING]))


def _full(frame: Frame, saved: Saved, known: Facts, settings: Settings) -> Preflight | None:
    """What the full set takes; where it does not fit, that is said here."""
    try:
        everything = train_resources.known(frame.workspace, saved.reference, full=True)
    except DeftError as error:
        widgets.problem(error)
        return None
    longer = for_all_rows(settings, known.rows, everything.rows)
    found = train_look.preflight(frame, everything, longer, train_resources.machine())
    seconds = f", ≈ {duration(found.seconds.total)}" if found.seconds.total is not None else ""
    st.caption(f"The full set: {found.rows:,} rows, {found.steps:,} steps{seconds}.")
    train_look.problems(preflights.blocking(found))
    return found


def _together(own: Preflight, wanted: tuple[str, ...], full: Preflight | None) -> None:
    """Time of all runs, and the disk they leave taken."""
    alike = [own] * (1 + ("random" in wanted) + ("unguided" in wanted))
    runs = [*alike, *([full] if full else [])]
    times = [one.seconds.total for one in runs]
    total = math.fsum(time for time in times if time is not None) if None not in times else None
    left = math.fsum(one.disk.left_bytes for one in runs if one.disk)
    words = f"{widgets.count(len(runs), 'run')} in all" + (f", ≈ {duration(total)}" if total is not None else "")
    st.caption(words + (f"; {left / 1e9:,.1f} GB of disk stay taken until they are deleted." if left else "."))


def button(frame: Frame, saved: Saved, settings: Settings, against: tuple[str, ...], fits: bool) -> None:
    """Name and start. A second click finds another button, so that it starts nothing."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        widgets.entry("Name", state.TRAIN_NAME, f"{saved.reference} {settings.method}")
        label = "Start" if not against else f"Start {1 + len(against)} runs"
        help = None if fits else "It will not fit as it is: see above what to change."
        started = st.button(
            label, key=state.renewed_key(BUTTON), type="primary", disabled=not fits, help=help, icon=":material/play_arrow:"
        )
    if started:
        state.renew(BUTTON)
        _start(frame, saved, settings, against)
        st.rerun()


def _start(frame: Frame, saved: Saved, settings: Settings, against: tuple[str, ...]) -> None:
    name = state.value(state.TRAIN_NAME) or None
    control, full, unguided = (role in against for role in ("random", "full", "unguided"))
    try:
        with st.spinner("Preparing the runs …"):
            group = groups.start_group(frame.workspace, saved.reference, settings, name=name, control=control, full=full, unguided=unguided)
        state.set_started(group.group)
        state.put(state.TRAIN_NAME)  # that was this run's
    except DeftError as error:
        state.set_failure(error)
    except OSError as error:
        state.set_failure(
            DeftError("to write the run folders and start them", error.strerror or str(error), "See to the disk and its rights.")
        )


def copies(frame: Frame, saved: Saved, settings: Settings, against: tuple[str, ...]) -> None:
    """The same as a command and as Python; nothing in it is text of a dataset."""
    name = state.value(state.TRAIN_NAME) or None
    root = frame.workspace.root.resolve()
    with st.expander("The same from the shell or from Python", icon=":material/terminal:"):
        st.code(equivalents.command(root, saved.reference, settings, against, name), language="bash")
        st.code(equivalents.python_lines(root, saved.reference, settings, against, name), language="python")
