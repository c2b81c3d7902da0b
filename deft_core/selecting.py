"""From a dataset to what is to be saved as a selection: its rows as they are now, a rule, and its decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from deft_core import flips, overrides, queries, selection
from deft_core.errors import InputError
from deft_core.overrides import Decisions
from deft_core.queries import View
from deft_core.rule import Rule
from deft_core.selection import Ids, Mask, Subset
from deft_core.selections import Draft
from deft_core.workspace import Workspace

__all__ = ["draft", "drafted", "record", "where_mask"]


def draft(
    workspace: Workspace,
    dataset: str,
    rule: Rule,
    score_id: str | None = queries.NEWEST,
    say: Callable[[str], None] = lambda _: None,
) -> Draft:
    """Reads rows and decisions, and applies the rule to them: what a page does piece by piece, with caches.

    `say` hears how many training rows take part, where some have no value in the column the rule goes by.
    """
    view = queries.open_view(workspace, dataset, score_id)
    table = queries.light_table(view)
    events = overrides.read(workspace, dataset)
    decisions = overrides.replay(events, pd.Index(table["id"]))
    table = flips.flipped_table(table, view, decisions.flipped)
    _check_scored(view, table, rule.by)
    _tell_missing(table, rule.by, say)
    ids = Ids(table["id"])
    where = where_mask(view, rule.where, ids, decisions) if rule.where else None
    kept = selection.kept(table, rule, where, ids=ids)
    both = selection.subset(table, kept, decisions, ids=ids)
    return drafted(
        dataset, view.score_id, table, rule, both, decisions, record(decisions, len(events), events[-1].event if events else None)
    )


def _check_scored(view: View, table: pd.DataFrame, by: str) -> None:
    if by in queries.SCORE_COLUMNS and by not in table:
        remedy = f"Run `deft score {view.dataset}` first, or go by another column (--by)."
        raise InputError(f"a column {by!r} to go by", f"{view.dataset!r} has no scores yet", remedy)


def _tell_missing(table: pd.DataFrame, by: str, say: Callable[[str], None]) -> None:
    training = table["split"] == "train"
    rows, valued = int(training.sum()), int((training & table[by].notna()).sum()) if by in table else 0
    if 0 < valued < rows:
        state = "are scored" if by in queries.SCORE_COLUMNS else f"have a value in {by}"
        say(f"{valued:,} of {rows:,} training rows {state}; the others take no part")


def where_mask(view: View, sql: str, ids: Ids, decisions: Decisions) -> Mask:
    """The rows [N], in the order of `ids`, for which a rule's condition is true of them as they are, flips included."""
    found = queries.where_ids(view, sql, flipped=flips.flipped_pairs(view, decisions.flipped))
    return np.isin(np.arange(len(ids.order)), ids.positions(found))


def drafted(
    dataset: str, score_id: str | None, table: pd.DataFrame, rule: Rule, subset: Subset, decisions: Decisions, record: dict[str, Any]
) -> Draft:
    """`table` has its flipped rows turned round; `record` is what the function of that name says."""
    by = pd.Series("rule", table.index)
    by.iloc[subset.added] = "hand"
    rows = pd.DataFrame({"id": table["id"], "by": by, "value": table[rule.by].astype(float)})[subset.mask].reset_index(drop=True)
    rows.insert(1, "flipped", rows["id"].isin(decisions.flipped))
    dropped = int((table["split"] == "train").sum()) - len(rows)
    return Draft(dataset, score_id, rule, rows, dropped, record)


def record(decisions: Decisions, events: int, through: str | None) -> dict[str, Any]:
    """Which decisions a selection was made with: how many events of the log, the last of them, and what they come to."""
    return {"events": events, "through": through, **decisions.counts()}
