"""Rows whose preference a person has turned round: the first best and the worst response change places.

The light columns follow at once and d does not: it stays that of its score set until the data is scored again. In a pair, chosen and
rejected change places and margins change their sign. In a ranking, *_rejected is the mean over all that are not top, so it is computed
anew from the values of the single responses; a saved what-if has none of those, and no value for a flipped ranking. The source's
scores move with their responses; its other columns stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from deft_core.queries import View, pairs_of, texts
from deft_core.queries.relation import what_if_columns
from deft_core.queries.tokens import response_lists

__all__ = ["flipped_pairs", "flipped_row", "flipped_table", "flipped_texts", "swapped"]

WITH_MARGIN = ("reward", "logp", "mean_logp")
SIDES = (*WITH_MARGIN, "score", "perplexity", "tokens", "characters")

T = TypeVar("T")
Ints = npt.NDArray[np.int64]


def swapped(responses: Sequence[T]) -> list[T]:
    """What belongs to the responses of one row, with that of the first and of the last in each other's place."""
    first, *between, last = responses
    return [last, *between, first]


def flipped_texts(texts: pd.DataFrame, flipped: Collection[str]) -> pd.DataFrame:
    """`queries.texts` with the responses of flipped rows in their new order. Scores move with their texts; ranks belong to the places."""
    rows = texts["id"].isin(set(flipped)).to_numpy()
    turned = {}
    for name in ("responses", "scores"):
        values = [swapped(list(value)) if flip else value for value, flip in zip(texts[name], rows, strict=True)]
        turned[name] = pd.Series(values, texts.index, object)
    return texts.assign(**turned)


def flipped_table(table: pd.DataFrame, view: View, flipped: Collection[str]) -> pd.DataFrame:
    """The light table with flipped rows turned round. The table given stays as it is; what does not change is shared with it."""
    rows = np.flatnonzero(table["id"].isin(set(flipped)).to_numpy())
    if not len(rows):
        return table
    new = _Columns(table)
    ranking = table["n_responses"].to_numpy()[rows] > 2
    what_ifs = [what_if_columns(path) for path in view.what_ifs]
    _flip_pairs(new, rows[~ranking], what_ifs)
    _flip_rankings(new, rows[ranking], view, what_ifs)
    return table.assign(**{name: pd.Series(values, table.index, copy=False) for name, values in new.changed.items()})


def flipped_pairs(view: View, flipped: Collection[str]) -> pa.Table | None:
    """The flipped rows as the view `pairs` is to have them, all its columns; None where there are none."""
    if not flipped:
        return None
    rows = pairs_of(view, sorted(flipped))
    numbers = rows.select(["id", *(one.name for one in rows.schema if pa.types.is_integer(one.type) or pa.types.is_floating(one.type))])
    turned = pa.Table.from_pandas(flipped_table(numbers.to_pandas(), view, flipped), numbers.schema, preserve_index=False)
    texts = {"chosen": rows["rejected"], "rejected": rows["chosen"]}  # of the first best and the worst; no text leaves Arrow
    columns = {name: rows[name] for name in rows.column_names} | {name: turned[name] for name in turned.column_names} | texts
    return pa.table(columns, rows.schema)


class _Columns:
    """Columns of a table, copied when they are first changed."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.changed: dict[str, npt.NDArray[Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self.changed:
            self.changed[name] = self.table[name].to_numpy(copy=True)
        return self.changed[name]

    def swap(self, one: str, other: str, rows: Ints) -> None:
        if one in self and other in self:
            self[one][rows], self[other][rows] = self[other][rows], self[one][rows]

    def negate(self, name: str, rows: Ints) -> None:
        if name in self:
            self[name][rows] = 0.0 - self[name][rows]  # no minus zero


def _flip_pairs(new: _Columns, rows: Ints, what_ifs: Sequence[Sequence[str]]) -> None:
    for name in SIDES:
        new.swap(f"{name}_chosen", f"{name}_rejected", rows)
    for name in (*WITH_MARGIN, "score"):
        new.negate(f"{name}_margin", rows)
    for chosen, rejected, margin, _ in what_ifs:
        new.swap(chosen, rejected, rows)
        new.negate(margin, rows)


def _flip_rankings(new: _Columns, rows: Ints, view: View, what_ifs: Sequence[Sequence[str]]) -> None:
    if not len(rows):
        return
    new.swap("characters_chosen", "characters_rejected", rows)  # already those of the first best and the worst
    for chosen, rejected, margin, _ in what_ifs:
        for name in (chosen, rejected, margin):
            new[name][rows] = np.nan
    places = dict(zip(new.table["id"].iloc[rows], rows, strict=True))
    if "score_chosen" in new:
        for _, values in texts(view, list(places), ["ranks", "scores"]).iterrows():
            for name, value in _source_scores(values).items():
                new[name][places[values["id"]]] = value
    if view.parts:
        for _, values in response_lists(view, list(places)).iterrows():
            for name, value in flipped_row(values).items():
                if name in new:
                    new[name][places[values["id"]]] = value


def _source_scores(values: pd.Series[Any]) -> dict[str, float]:
    scores = np.array(swapped(list(values["scores"])), dtype=float)
    others = scores[np.asarray(values["ranks"]) > 1]
    chosen, rejected = float(scores[0]), float(others[~np.isnan(others)].mean()) if not np.isnan(others).all() else np.nan
    return {"score_chosen": chosen, "score_rejected": rejected, "score_margin": chosen - rejected}


def flipped_row(values: Mapping[str, Any] | pd.Series[Any]) -> dict[str, float]:
    """The light columns of one flipped row from the values of its responses, best first: ranks, rewards, logps, tokens, predicted."""
    rejected = np.asarray(values["ranks"]) > 1
    of_responses = {name: np.array(swapped(list(values[name])), dtype=float) for name in ("rewards", "logps", "tokens", "predicted")}
    mean_logps = of_responses["logps"] / np.maximum(1, of_responses["predicted"])
    named = {"reward": of_responses["rewards"], "logp": of_responses["logps"], "mean_logp": mean_logps, "tokens": of_responses["tokens"]}
    columns = {f"{name}_chosen": float(one[0]) for name, one in named.items()}
    columns |= {f"{name}_rejected": float(one[rejected].mean()) for name, one in named.items()}
    columns |= {f"{name}_margin": columns[f"{name}_chosen"] - columns[f"{name}_rejected"] for name in WITH_MARGIN}
    return columns | {f"perplexity_{side}": float(np.exp(-columns[f"mean_logp_{side}"])) for side in ("chosen", "rejected")}
