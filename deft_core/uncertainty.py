"""How sure is a row's reward, and its place in the kept set? From a bootstrap of d and pooled states; NumPy, no model.

R is linear in d, so the B draws of d (reliability.bootstrap, by whole conversations) become B directions u_b = W^T d_b once, and every
row has B rewards R_b for the price of a product of matrices. What varies is d alone: the row's answers and the model stay as they are.

    standard error    the standard deviation of R_b over the draws; 95 % interval R +- 1.96 of it
    kept probability  the share of draws in which the rule keeps the row
    uncertain         kept in more than 5 % of the draws and in fewer than 95 %
    cross-fitted      R under the d of the other fold of conversations, in which the row's own tokens are not counted

A million rows and 200 draws stay under 1 GB: rewards are made chunk by chunk, and held for as many draws as the budget allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deft_core.errors import InputError
from deft_core.group_counts import GroupCounts, group_of
from deft_core.pooled import REWARDS, Floats, Floats32, Head, Mask, Pooled, direction, directions, rewards_under, vectors_of
from deft_core.reliability import FOLDS, Bootstrap, fold_d
from deft_core.rule import Rule

__all__ = ["CERTAIN", "REACH", "Draws", "can_tell", "chosen_errors", "cross_fitted_responses", "draws"]
__all__ += ["fold_draws", "kept_probability", "response_intervals", "uncertain"]

CERTAIN = 0.05  # a share of draws up to this, or from 1 - this, is called certain
HELD_BYTES = 160 * 2**20  # rewards of all rows under as many draws as fit
REACH = 1.959964  # standard errors on each side of a 95 % interval


@dataclass(frozen=True, eq=False)
class Draws:
    us: Floats  # [B, H]
    offsets: Floats  # [B], b . d
    scale: float


def draws(head: Head, drawn: Bootstrap) -> Draws:
    """The directions of a bootstrap of d."""
    return Draws(*directions(head, drawn.token_ids, drawn.d), head.scale)


def fold_draws(head: Head, counts: GroupCounts) -> Draws | None:
    """The direction of each fold's own d; None where the conversations of one fold have no tokens on a side."""
    for fold in range(FOLDS):
        mine = counts.groups % FOLDS == fold
        if not (counts.chosen[mine].any() and counts.rejected[mine].any()):
            return None
    pairs = [direction(head, fold_d(counts, fold)) for fold in range(FOLDS)]
    return Draws(np.stack([u for u, _ in pairs]), np.array([offset for _, offset in pairs]), head.scale)


# every row


def can_tell(rule: Rule) -> bool:
    """Whether a kept probability can be given: the rule goes by one of the score set's own rewards, and not by chance or strata."""
    return rule.by in REWARDS and rule.has_cut


def kept_probability(pooled: Pooled, drawn: Draws, rule: Rule, members: Mask, count: int) -> Floats:
    """The share of draws in which the rule keeps each row [N]; 0 for rows that take no part.

    `members` [N]: which rows do (training rows with a reward that pass the rule's condition), `count`: how many of them the rule keeps.
    A rule by value or range keeps its bounds, all others their count.
    """
    if not can_tell(rule):
        raise InputError("a rule by a reward of the score set, by rank or by value", f"{rule.keep} by {rule.by}", "Choose such a rule.")
    of_members = np.zeros(int(members.sum()))
    at_once = max(1, HELD_BYTES // max(4 * len(of_members), 1))
    for start in range(0, len(drawn.us), at_once):
        some = Draws(drawn.us[start : start + at_once], drawn.offsets[start : start + at_once], drawn.scale)
        for values in _held(pooled, some, rule.by, members):
            of_members[_kept(values, rule, count)] += 1
    shares = np.zeros(len(members))
    shares[members] = of_members / len(drawn.us)
    return shares


def uncertain(probability: Floats) -> Mask:
    return (probability > CERTAIN) & (probability < 1 - CERTAIN)


def _held(pooled: Pooled, drawn: Draws, column: str, members: Mask) -> Floats32:
    """Rewards [B, members] under some draws."""
    held = np.empty((len(drawn.us), int(members.sum())), np.float32)
    done = 0
    for rows, under in rewards_under(pooled, column, drawn.us, drawn.offsets, drawn.scale):
        chosen = under[members[rows]]
        held[:, done : done + len(chosen)] = chosen.T
        done += len(chosen)
    return held


def _kept(values: Floats32, rule: Rule, count: int) -> Mask | NDArray[np.intp]:
    """Which of the members [M] one draw keeps, as selection.kept would."""
    if rule.keep == "range":
        return (values >= (-np.inf if rule.low is None else rule.low)) & (values <= (np.inf if rule.high is None else rule.high))
    if rule.value is not None:
        return values >= rule.value if rule.keep == "highest" else values <= rule.value
    first = {"lowest": 0, "middle": (len(values) - count) // 2}.get(rule.keep, len(values) - count)
    bounds = [place for place in (first, first + count) if 0 < place < len(values)]
    return np.argpartition(values, bounds)[first : first + count] if bounds else np.arange(len(values))[first : first + count]


# a few rows


def chosen_errors(pooled: Pooled, drawn: Draws, rows: Sequence[int] | NDArray[np.int64]) -> Floats:
    """Standard errors of reward_chosen of some rows, by their places among the pooled ones; NaN for a place of -1."""
    found = np.full(len(rows), np.nan)
    for n, row in enumerate(rows):
        if row >= 0:
            found[n] = _of_responses(pooled, drawn, int(row))[pooled.chosen[row] - pooled.starts[row]].std(ddof=1)
    return found


def response_intervals(pooled: Pooled, drawn: Draws, row: int, values: Floats) -> pd.DataFrame:
    """se, low, high of each response of a row, whose own rewards are given."""
    se = _of_responses(pooled, drawn, row).std(axis=1, ddof=1)
    return pd.DataFrame({"se": se, "low": values - REACH * se, "high": values + REACH * se})


def cross_fitted_responses(pooled: Pooled, folds: Draws, row: int) -> Floats:
    """R of each response of a row under the d of the other fold."""
    fold = group_of(pooled.rows["conversation"][row].as_py()) % FOLDS
    found: Floats = _of_responses(pooled, folds, row)[:, FOLDS - 1 - fold]
    return found


def _of_responses(pooled: Pooled, drawn: Draws, row: int) -> Floats:
    """Rewards [responses, B] of one row under each draw."""
    under: Floats = drawn.scale * (vectors_of(pooled, row).astype(np.float64) @ drawn.us.T + drawn.offsets)
    return under
