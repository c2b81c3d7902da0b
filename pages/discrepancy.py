"""Discrepancy: which tokens separate chosen from rejected, how sure that is, and what another d would change."""

from __future__ import annotations

import streamlit as st

from deft_core.queries import open_view
from deft_core.reliability import Verdict
from pages.shared import d_resources, how_sure, job_resources, marks, resources, state, token_panel, what_if_panel, widgets
from pages.shared.frame import Frame, lacks_data, open_page
from pages.shared.token_panel import Counted

PANELS = {"tokens": token_panel.draw, "how sure": how_sure.draw, "what if": what_if_panel.draw}  # only the open one runs
VERDICTS = {"stable": "#009E73", "noisy": "#E69F00", "noise": "#D55E00"}


def body(frame: Frame) -> None:
    if lacks_data(frame):
        return
    assert frame.dataset
    view = open_view(frame.workspace, frame.dataset, frame.score_id)
    if view.discrepancy is None:
        _no_scores(frame)
        return
    begun = d_resources.begun(view)
    table = d_resources.token_table(begun, view.discrepancy.parent)
    counted = Counted(frame.workspace, view, table, d_resources.sure(begun, view.discrepancy.parent))
    _verdict(counted.sure.verdict)
    _figures(counted)
    _flips(counted)
    asked = state.value(state.PANEL)
    chosen = asked if asked in PANELS else next(iter(PANELS))
    key = state.mirror(state.PANEL, chosen)
    with st.container(key="panels"):
        st.segmented_control(
            "Panel",
            list(PANELS),
            default=chosen,
            key=key,
            label_visibility="collapsed",
            on_change=state.changed(key, lambda panel: state.put(state.PANEL, panel or chosen)),
        )
    PANELS[chosen](counted)


def _no_scores(frame: Frame) -> None:
    assert frame.dataset
    if job_resources.being_scored(frame.workspace, frame.dataset):
        st.info("Scoring has begun: the tokens of all training rows are counted first, then they appear here.")
        return
    st.info(
        "Tokens are counted when a dataset is scored, and this one has no scores yet. Scoring runs on its own; you may close this page."
    )
    st.button("Score it", type="primary", on_click=job_resources.start_scoring, args=(frame.workspace, frame.dataset))


def _verdict(verdict: Verdict) -> None:
    colour = VERDICTS[verdict.state]
    st.html(f'<div style="border-left:6px solid {colour};padding:.35rem .9rem;font-size:1.05rem">{widgets.html(verdict.words)}</div>')


def _figures(counted: Counted) -> None:
    verdict = counted.sure.verdict
    tokens = [counted.table[f"count_{side}"] for side in ("chosen", "rejected")]
    needed = f"about {float(f'{verdict.conversations_needed:.1e}'):,.0f}" if verdict.conversations_needed else "–"
    with widgets.figures("d"):
        widgets.figure("conversations counted", f"{verdict.conversations:,}", "of the training split")
        widgets.figure("reliability of d", f"{verdict.reliability:.2f}" if verdict.reliability is not None else "–", "1 would be no noise")
        widgets.figure("conversations for 0.9", needed, "by the agreement of halves")
        widgets.figure("tokens, chosen", f"{tokens[0].sum():,}", f"{(tokens[0] > 0).sum():,} different")
        widgets.figure("tokens, rejected", f"{tokens[1].sum():,}", f"{(tokens[1] > 0).sum():,} different")


def _flips(counted: Counted) -> None:
    if resources.events(counted.workspace, counted.view.dataset):
        version = resources.version(counted.view)
        decided = resources.decided(counted.workspace, counted.view, version, resources.light_table(version, counted.view))
        marks.flips(decided, "Under what if, the d of a selection's kept rows counts flipped rows turned.")


open_page("discrepancy.py", body)
