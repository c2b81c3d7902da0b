"""How sure d is: agreement of random halves against data volume, and rewards under the d of each fold of conversations."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from deft_core import charts
from deft_core.errors import DeftError
from deft_core.folds import Folds
from deft_core.reliability import STABLE
from pages.shared import d_resources, widgets
from pages.shared.token_panel import Counted

HEIGHT = 380


def draw(counted: Counted) -> None:
    left, right = st.columns([6, 5], gap="medium")
    with left:
        st.markdown("**Two halves of the conversations, by volume**", help=_CURVE)
        _curve(counted)
    with right:
        st.markdown("**Rewards under each half's d**", help=_FOLDS)
        try:
            scored = d_resources.scored(counted.view)
            _folds(d_resources.compared_folds(scored, counted.view, counted.sure.counts))
        except DeftError as error:  # no row scored yet, a fold without tokens, logits that are not linear
            widgets.problem(error)


_CURVE = (
    "Conversations are divided at random, 40 times a volume, and the cosine between the two d is taken: the line is its mean, the band "
    "holds 95 %. Dotted: m / (m + c), with c from the largest halves; it foretells what more data would give."
)
_FOLDS = (
    "Conversations are in two fixed folds. Cross-fitted, a row is rewarded by the d of the fold it is not in, so that its own tokens do "
    "not speak for it. A large drop says that the reward repeats the labels rather than foretelling them; a little is due to half the data."
)


def _curve(counted: Counted) -> None:
    sure = counted.sure
    if sure.curve.empty:
        st.info("One conversation cannot be halved.")
        return
    figure = charts.agreement_curve(sure.curve, sure.counts.conversations, sure.constant, STABLE).update_layout(height=HEIGHT)
    st.plotly_chart(figure, key="halves", config={"displayModeBar": False}, alt="Agreement of two halves by conversations")
    last = sure.curve.iloc[-1]
    st.html(
        f"Two halves of {last['conversations']:,.0f} conversations each: cosine {last['cosine']:.2f} "
        f"({last['low']:.2f} to {last['high']:.2f} by chance of the division)."
    )


def _folds(folds: Folds) -> None:
    st.html(
        f"The chosen answer has the higher reward in <b>{folds.above:.1%}</b> of {folds.rows:,} training rows; "
        f"cross-fitted, without the row's own tokens in d, in <b>{folds.cross_above:.1%}</b>."
    )
    rows = {
        "fold against fold": (f"{folds.cosine:.2f}", folds.rank_correlation, folds.kept_overlap),
        "as scored against cross-fitted": ("", folds.cross_rank_correlation, folds.cross_kept_overlap),
    }
    shown = [
        {"d from": name, "cosine of d": cosine, "rank correlation": f"{correlation:.2f}", "same top 5 %": f"{kept:.0%}"}
        for name, (cosine, correlation, kept) in rows.items()
    ]
    st.dataframe(pd.DataFrame(shown), hide_index=True)
