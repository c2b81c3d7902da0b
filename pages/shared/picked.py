"""What every part of Curate draws from: the rows, the rule, what it keeps, and what a person decided beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deft_core import selection
from deft_core.filters import Where
from deft_core.overrides import Decisions
from deft_core.rule import Rule
from deft_core.selection import Floats, Ids, Ints, Mask, Subset
from pages.shared import resources
from pages.shared.brushing import Look
from pages.shared.frame import Frame
from pages.shared.marks import look_at
from pages.shared.resources import Decided


@dataclass(frozen=True)
class Picked:
    frame: Frame
    look: Look  # all rows, flipped ones turned round; no filters
    decided: Decided
    rule: Rule
    ids: Ids
    pool: Mask  # the rows that take part: training rows with a value that pass it
    ranked: Ints  # those by (value of rule.by, id)
    kept: Mask  # by the rule alone
    subset: Subset  # rule and decisions; subset.mask has the rows kept in the end
    probability: Floats | None = None  # in which share of the draws of d the rule keeps each row; None where that is not asked or told

    @property
    def decisions(self) -> Decisions:
        return self.decided.decisions

    @property
    def train(self) -> Mask:
        return resources.train(self.look.version, self.look.table)

    @cached_property
    def places(self) -> Ints:
        """Of the rows kept in the end."""
        return np.flatnonzero(self.subset.mask)

    @cached_property
    def cuts(self) -> list[float]:
        return selection.cuts(self.rule, self.values()[self.kept])

    @cached_property
    def dropped(self) -> Mask:
        """The training rows that are not kept."""
        return np.asarray(self.train & ~self.subset.mask)

    def values(self) -> Floats:
        """The rule's column [N]."""
        return resources.numbers(self.look.table, self.rule.by)


def looked(frame: Frame) -> tuple[Look, Decided, Ids]:
    """The rows of the dataset chosen, with what was decided about them."""
    look = look_at(frame, [])
    return look, look.decided, resources.ids(resources.version(look.view), look.table)


def pick(frame: Frame, look: Look, decided: Decided, ids: Ids, rule: Rule) -> Picked:
    """What the rule and the decisions come to; raises what is wrong with the rule's column or condition."""
    where = resources.rows_where(look.version, Where(rule.where), look.view, look.table) if rule.where else None
    pool = resources.pool(look.version, rule.by, rule.where, rule, where, ids, look.table)
    kept = selection.kept(look.table, rule, ids=ids, members=pool.mask, ranked=pool.ranked)
    subset = selection.subset(look.table, kept, decided.decisions, ids=ids)
    return Picked(frame, look, decided, rule, ids, pool.mask, pool.ranked, kept, subset)
