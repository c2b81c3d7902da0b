"""The rows of a selection as they are to be exported: flipped where they are, with everything that rides along."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.errors import InputError, first_line
from deft_core.export.layouts import flipped
from deft_core.overrides import Decisions
from deft_core.preferences import Message, Preference, Response
from deft_core.queries import View
from deft_core.queries.relation import PAIR_COLUMNS, SOURCE_SCORES, own_columns

__all__ = ["Row", "beside_table", "rows"]

BATCH_ROWS = 1_000
_COLUMNS = ["id", "split", "source", "prompt", "responses", "ranks", "scores", "extra"]


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    preference: Preference  # as it is to be read: flipped where the selection says so
    beside: dict[str, Any]  # id, split, source, decisions, scores, and the source's own columns as extra_<name>


def beside_table(kept: pd.DataFrame, light: pd.DataFrame, decisions: Decisions) -> pd.DataFrame:
    """By id: what the selection says of its rows, notes and tags, and every column of scores in the light table.

    Not the source's own scores: the table has the mean of a ranking's lower answers, a row those of the two that are exported.
    """
    decided = kept.set_index("id")
    decided["note"] = pd.Series(decisions.notes, dtype=object).reindex(decided.index)
    decided["tags"] = pd.Series({row: list(tags) for row, tags in decisions.tags.items()}, dtype=object).reindex(decided.index)
    left = {*PAIR_COLUMNS, *SOURCE_SCORES} - {"id"}
    scores = light[[name for name in light if name not in left and not str(name).startswith("extra_")]].set_index("id")
    return decided.join(scores.rename(columns={name: f"column_{name}" for name in scores if name in decided}))


def rows(view: View, beside: pd.DataFrame) -> Iterator[Row]:
    """The rows that `beside` names, in the order of the dataset."""
    names = {name: alias for alias, (name, _) in own_columns(view).items()}
    try:
        for batch in pq.ParquetFile(view.pairs).iter_batches(BATCH_ROWS, columns=_COLUMNS):
            places = beside.index.get_indexer(pd.Index(batch.column("id").to_pandas()))
            there = places >= 0
            records = batch.filter(pa.array(there)).to_pylist()
            decided: list[dict[str, Any]] = beside.iloc[places[there]].to_dict("records")  # type: ignore[assignment]
            yield from (_row(record, known, names) for record, known in zip(records, decided, strict=True))
    except (pa.ArrowException, OSError) as error:
        found = first_line(error)
        raise InputError(f"readable rows in {view.pairs}", found, f"Import {view.dataset!r} again.") from error


def _row(record: Mapping[str, Any], decided: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    preference = _preference(record)
    preference = flipped(preference) if decided["flipped"] else preference
    own = {names[name]: value for name, value in json.loads(record["extra"]).items()}
    return Row(record["id"], preference, {name: record[name] for name in _COLUMNS[:3]} | _sides(preference) | dict(decided) | own)


def _preference(record: Mapping[str, Any]) -> Preference:
    answers = zip(record["responses"], record["ranks"], record["scores"], strict=True)
    prompt = tuple(Message(message["role"], message["content"]) for message in record["prompt"])
    return Preference(prompt, tuple(Response(*answer) for answer in answers))


def _sides(preference: Preference) -> dict[str, float | None]:
    """The source's scores of the two sides of the pair, and their difference."""
    chosen, rejected = preference.responses[0].score, preference.responses[-1].score
    margin = None if chosen is None or rejected is None else chosen - rejected
    return {"score_chosen": chosen, "score_rejected": rejected, "score_margin": margin}
