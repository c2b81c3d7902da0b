"""How sure what is shown is: d, a row's place in the kept set, and the reward of every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import streamlit as st

from deft_core import file_names, uncertainty
from deft_core.errors import DeftError, InputError
from deft_core.filters import Between, Filter, OneOf
from deft_core.pooled import places
from deft_core.queries import Column
from deft_core.rule import Rule, words
from pages.shared import place_resources, resources, rule_bar, state, widgets
from pages.shared.brushing import Look
from pages.shared.frame import Frame, page
from pages.shared.picked import Picked, pick
from pages.shared.resources import Decided

PLACE, PROBABILITY = "place", "kept_probability"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    look: Look  # with a row's place and its probability as columns, where they are asked for and can be told
    rule: Rule | None = None
    problem: DeftError | None = None  # why they cannot be told


@dataclass(frozen=True)
class Sure:
    """Of one answer's reward."""

    low: float
    high: float
    cross_fitted: float | None  # None: a fold of the conversations has no tokens on one side

    def words(self) -> str:
        apart = f", cross-fitted {self.cross_fitted:.4f}" if self.cross_fitted is not None else ""
        return f"(95 %: {self.low:.4f} … {self.high:.4f}{apart})"


# places in the kept set


def placed(frame: Frame, look: Look) -> Placed:
    """Each row's place under the rule in the address, where the switch, a filter, the sort or a chart asks for it."""
    if "reward_chosen" not in look.table or lacks_counts(look) or not _asked(look.rules):
        return Placed(look)
    rule = None
    try:
        rule = rule_bar.asked([str(name) for name in look.table])
        rule = replace(rule, keep="highest") if rule.keep == "random" else rule  # chance has no places
        if rule.where and not state.allowed(rule.where):
            raise InputError("a rule whose condition has been run", "one that came with a link", "Run it on Curate first.")
        place, found = place_resources.told(look.version, rule, lambda: probability(_picked(frame, look, rule)))
    except DeftError as problem:
        return Placed(look, rule, problem)
    table = look.table.assign(place=place, kept_probability=found)
    columns = [*look.columns, Column(PLACE, "category"), Column(PROBABILITY, "number")]
    return Placed(replace(look, version=(*look.version, repr(rule)), table=table, columns=columns), rule)


def _picked(frame: Frame, look: Look, rule: Rule) -> Picked:
    return pick(frame, look, look.decided, resources.ids(resources.version(look.view), look.table), rule)


def _asked(rules: Sequence[Filter]) -> bool:
    named = {rule.column for rule in rules if isinstance(rule, Between | OneOf)}
    named |= {state.value(state.SORT).removeprefix("-"), *state.values(state.CHARTS)}
    return bool(state.value(state.PLACES) or named & {PLACE, PROBABILITY})


def probability(picked: Picked) -> Floats:
    """In which share of the draws of d the rule keeps each row [N]; NaN for rows that take no part."""
    if not uncertainty.can_tell(picked.rule):
        expected = "a rule by a reward of the score set, by rank or by value"
        raise InputError(expected, words(picked.rule), "d decides the places of no other rule; choose one on Curate.")
    look, count = picked.look, int(picked.kept.sum())
    return place_resources.kept_probability(look.version, picked.rule, look.view, look.decided, picked.pool, count, look.table)


def figures(placed: Placed) -> None:
    """How many places are uncertain, and which; or the button that finds them."""
    look = placed.look
    with st.container(width="content", gap=None):
        if PLACE not in look.table:
            st.metric("place uncertain", "–", width="content", help=_HELP)
            if not lacks_counts(look):
                st.button("find these rows", icon=":material/search:", type="tertiary", on_click=state.put, args=(state.PLACES, "1"))
            return
        rows = int((look.table[PLACE] == "uncertain").sum())
        assert placed.rule
        st.metric("place uncertain", f"{rows:,}", width="content", help=_HELP)
        st.caption(widgets.plain(words(placed.rule)))
        st.button("list these rows", icon=":material/filter_alt:", type="tertiary", on_click=_list_uncertain, disabled=not rows)


_HELP = "Rows that the rule keeps in more than 5 % and in fewer than 95 % of 200 bootstrap draws of d, by whole conversations. "
_HELP += "Random rows have no places: where the rule keeps those, this is as if it kept the highest."


def _list_uncertain() -> None:
    state.replace_filter(lambda rule: isinstance(rule, OneOf) and rule.column == PLACE, OneOf(PLACE, ("uncertain",)))


def lacks_counts(look: Look) -> bool:
    """Whether the score set is of an older version, without the token counts that everything here is drawn from."""
    return bool(look.view.parts) and not (look.view.parts[0].parent / file_names.COUNTS).exists()


def missing(look: Look) -> None:
    """What an older score set cannot tell, and what it still can."""
    if lacks_counts(look):
        st.caption(
            "How sure d and its rewards are cannot be told here: an older version scored this set and kept no token counts by "
            "conversation. Charts, filters, rules, selections and exports work as ever. To have both, score the dataset again with "
            "another --max-length: that makes a score set beside this one."
        )


def problem(placed: Placed) -> None:
    missing(placed.look)
    if placed.problem:
        expected, found = widgets.prose(placed.problem.expected), widgets.plain(placed.problem.found)
        remedy = widgets.prose(placed.problem.remedy)
        st.caption(f"Places in the kept set: expected {expected}; found {found}. {remedy}")


def reaches(look: Look, ids: Sequence[str]) -> Floats:
    """Half the width of the 95 % interval of each of these rows' reward_chosen."""
    pooled = place_resources.pooled(look.view, look.decided)
    return uncertainty.REACH * uncertainty.chosen_errors(pooled, place_resources.drawn(look.view).conversations, places(pooled, ids))


# d


def verdict(look: Look) -> None:
    """Whether d is stable, with the way to the page that says why."""
    try:
        found = place_resources.sure(look.view).verdict
    except DeftError as error:
        st.metric("d", "?", width="content", help=f"Found {widgets.plain(error.found)}. {widgets.prose(error.remedy)}")
        return
    st.metric("d", found.state, width="content", help=widgets.plain(found.words))
    st.page_link(page("discrepancy.py"), label="why", icon=":material/help:")


# one row


def answers(look: Look, row_id: str, rewards: Sequence[float | None]) -> list[Sure | None]:
    """Of each answer of a row, in the order of the files; nothing where it cannot be told."""
    try:
        pooled, drawn = place_resources.pooled(look.view, Decided()), place_resources.drawn(look.view)
    except DeftError:  # the figure of d says why
        return [None] * len(rewards)
    row = pooled.row_of(row_id)
    if row is None:
        return [None] * len(rewards)
    values = np.array([np.nan if reward is None else reward for reward in rewards])
    found = uncertainty.response_intervals(pooled, drawn.conversations, row, values)
    apart = uncertainty.cross_fitted_responses(pooled, drawn.folds, row) if drawn.folds else [None] * len(values)
    told = zip(found["low"], found["high"], apart, strict=True)
    return [None if np.isnan(low) else Sure(low, high, cross) for low, high, cross in told]
