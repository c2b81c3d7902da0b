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
    where: Mask | None  # the rows that pass the rule's own condition
    pool: Mask  # the rows that take part: training rows with a value that pass it
    order: Ints  # all rows by (value of rule.by, id)
    kept: Mask  # by the rule alone
    subset: Subset  # rule and decisions; subset.mask has the rows kept in the end
    probability: Floats | None = None  # in which share of the draws of d the rule keeps each row; None where that is not asked or told

    @property
    def decisions(self) -> Decisions:
        return self.decided.decisions

    @cached_property
    def train(self) -> Mask:
        return np.asarray(self.look.table["split"] == "train")

    @cached_property
    def dropped(self) -> Mask:
        """The training rows that are not kept."""
        return np.asarray(self.train & ~self.subset.mask)

    def values(self, name: str = "") -> Floats:
        """A column [N], the rule's own unless named."""
        return resources.numbers(self.look.table, name or self.rule.by)


def looked(frame: Frame) -> tuple[Look, Decided, Ids]:
    """The rows of the dataset chosen, with what was decided about them."""
    look = look_at(frame, [])
    return look, look.decided, resources.ids(resources.version(look.view), look.table)


def pick(frame: Frame, look: Look, decided: Decided, ids: Ids, rule: Rule) -> Picked:
    """What the rule and the decisions come to; raises what is wrong with the rule's column or condition."""
    where = resources.rows_where(look.version, Where(rule.where), look.view, look.table) if rule.where else None
    pool = selection.pool(look.table, rule, where)
    order = resources.ranking(look.version, rule.by, look.table, ids)
    kept = selection.kept(look.table, rule, where, ids=ids, order=order)
    subset = selection.subset(look.table, kept, decided.decisions, ids=ids)
    return Picked(frame, look, decided, rule, ids, where, pool, order, kept, subset)
