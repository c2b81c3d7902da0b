"""What came of a run, in words, and the alerts it raised."""

from __future__ import annotations

import streamlit as st

from deft_core.errors import DeftError
from deft_core.runs import monitor
from deft_core.runs.curves import Curves
from deft_core.runs.monitor import Listed
from deft_core.runs.verdict import Verdict
from deft_core.workspace import Workspace
from pages.shared import run_list, run_resources, state, widgets

HELP = (
    "Decided by accuracy_implicit alone, so that nobody picks the figure that pleases: better or worse where the 95 % interval of the "
    "difference, paired by held-out prompt, is wholly on one side of 0. More held-out rows (evaluation rows) make it narrower. It never "
    "holds the chance of which rows were drawn, however many prompts there are: in [our study](study) 18 % of the pairs of random draws "
    "were this far apart on 691 prompts, 6 % on 64. Repeat the run and its control with other seeds before you believe a small difference."
)
ICONS = {
    "better": ":material/thumb_up:",
    "worse": ":material/thumb_down:",
    "no difference": ":material/balance:",
    "unknown": ":material/help:",
}
SAYS = {
    "reward_runaway": "Reward runs away",
    "kl_drift": "Far from the base",
    "length_drift": "Answers change their length",
    "chosen_logp_falling": "Chosen answers become less likely",
    "entropy_collapse": "Entropy collapses",
    "nothing_learned": "Nothing learned",
}


def draw(workspace: Workspace, one: Listed, group: list[Listed]) -> None:
    """Of a run that has finished and is evaluated."""
    folder = workspace.run(one.run_id)
    if one.run is None or one.status != "finished" or not run_resources.evaluated(folder):
        return
    others = [other for other in group if other.run and other.run_id != one.run_id]
    against = others if one.run.role == "run" else [other for other in others if other.run and other.run.role == "run"]
    ready = [other for other in against if run_resources.evaluated(workspace.run(other.run_id))]
    try:
        found = run_resources.verdicts(workspace, one.run_id, ready)
    except DeftError as error:
        widgets.problem(error)
        return
    with st.container(border=True):
        for number, verdict in enumerate(found):
            _said(verdict, HELP if number == 0 else None)
        for other in against:
            if other not in ready:
                st.caption(f"{widgets.plain(run_list.called(other).removeprefix('↳ '))}: {other.status}. {_missing(other)}")
        random_rows = one.run.rule.get("keep") == "random"
        if one.run.role == "run" and not random_rows and not any(other.run and other.run.role == "random" for other in others):
            st.caption("No random control was run: a filter that does not beat random rows is worth nothing.")
        if ready:
            ids = [one.run_id, *(other.run_id for other in ready)]
            names = " and ".join(run_list.called(other).removeprefix("↳ ") for other in ready)
            st.button(f"Compare with {widgets.plain(names)}", icon=":material/compare_arrows:", on_click=state.compare_runs, args=ids)


def _missing(other: Listed) -> str:
    return "What came of it stands here once it is evaluated." if other.status in monitor.LIVE else "It was never evaluated."


def _said(verdict: Verdict, why: str | None) -> None:
    head, _, rest = verdict.words.partition(": ")
    st.markdown(f"{ICONS[verdict.state]} **{widgets.plain(head)}**{': ' + widgets.plain(rest) if rest else ''}", help=why)


def alerts(curves: Curves) -> None:
    for alert in curves.alerts:
        st.warning(f"**Step {alert.step:,}: {SAYS.get(alert.kind, alert.kind)}.** {widgets.plain(alert.words)}", icon=":material/warning:")
