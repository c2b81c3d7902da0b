"""What a run is held against: as many rows by chance from the pool the run's own rule drew from, or all of that pool.

The same condition, drops and flips, as they were when the selection was saved; no rows kept by hand, since those are a choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from deft_core import flips, overrides, queries, selecting, selection
from deft_core.errors import InputError
from deft_core.overrides import Decisions
from deft_core.rule import Rule
from deft_core.selections import Saved
from deft_core.workspace import Workspace

__all__ = ["Pool", "control_rule", "decisions_of", "pool_of"]


def decisions_of(workspace: Workspace, saved: Saved) -> Decisions:
    """What had been decided when a selection was saved: the log's first events, as many as it says."""
    events = overrides.read(workspace, saved.dataset)[: int(saved.decisions.get("events", 0))]
    through = saved.decisions.get("through")
    if (events[-1].event if events else None) != through:
        expected = f"the decision {through} where {saved.reference} has it in the log of {saved.dataset!r}"
        raise InputError(expected, "another, or none", "Restore overrides.jsonl, or save the selection again.")
    return overrides.replay(events, overrides.dataset_ids(workspace, saved.dataset)) if events else Decisions()


def control_rule(saved: Saved, count: int, seed: int) -> Rule:
    """The control in the words of a rule. Beside a rule by chance its seeds pass over the rule's own: another draw each."""
    if saved.rule.by_chance and seed >= saved.rule.seed:
        seed += 1
    return Rule("random", saved.rule.by, count=count, where=saved.rule.where, seed=seed)


@dataclass(frozen=True, eq=False)
class Pool:
    """What a selection's rule drew from when it was saved, without the rows dropped by hand."""

    table: pd.DataFrame  # the light table, flipped rows turned round
    ids: selection.Ids
    decisions: Decisions
    members: selection.Mask

    def drawn(self, count: int, seed: int) -> pd.DataFrame:
        """`count` rows by chance, or all where there are fewer: id, flipped; by id. `seed` is the control rule's."""
        return self._named(selection.control(self.members, self.ids, count, seed))

    def rows(self) -> pd.DataFrame:
        """All rows: id, flipped; by id."""
        return self._named(self.members)

    def holds_just(self, ids: pd.Series) -> bool:
        """Whether these are its rows, all of them and no others: nothing else could be drawn from it."""
        return bool((self.members == self.table["id"].isin(ids)).all())

    def _named(self, rows: selection.Mask) -> pd.DataFrame:
        drawn = np.sort(self.table["id"].to_numpy(dtype=object)[rows])
        return pd.DataFrame({"id": drawn, "flipped": np.isin(drawn, list(self.decisions.flipped))})


def pool_of(workspace: Workspace, saved: Saved, score_id: str) -> Pool:
    view = queries.open_view(workspace, saved.dataset, score_id)
    whole = queries.light_table(view)  # first: it says which file is damaged
    decisions = decisions_of(workspace, saved)
    table = flips.flipped_table(whole, view, decisions.flipped)
    ids = selection.Ids(table["id"])
    where = selecting.where_mask(view, saved.rule.where, ids, decisions) if saved.rule.where else None
    members = selection.control_pool(selection.pool(table, saved.rule, where), decisions, ids)
    return Pool(table, ids, decisions, members)
