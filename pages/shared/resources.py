"""Every cache of the dashboard. What comes out is shared by all sessions: read it, never change it.

The underscore keeps an argument out of the key; `version` stands in for it and changes with the files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from deft_core import charts, composition, contrast, file_names, importing, overrides, queries, selection, selections
from deft_core.cost import ModelSize
from deft_core.errors import DeftError, InputError
from deft_core.filters import Filter, Search, Where
from deft_core.flips import flipped_pairs, flipped_table, flipped_texts
from deft_core.overrides import Decisions, Event
from deft_core.queries import Column, View
from deft_core.relations import Relations, ranks
from deft_core.relations import relations as relations_of
from deft_core.rule import Rule
from deft_core.selection import Ids, Ints, Mask
from deft_core.status import read_status
from deft_core.workspace import Workspace, default_root, read_json

Version = tuple[Any, ...]

MARKS = {"decision": "none", "flipped": "no", "noted": "no", "tags": "none"}  # column: its word where nothing was decided


def workspace() -> Workspace:
    return Workspace(default_root())


def version(view: View) -> Version:
    """A short one: Streamlit goes through every part of a key at each call of a cache, and a score set may have a thousand files."""
    files = repr(queries.version(workspace(), view)).encode()
    return view.score_id, blake2b(files, digest_size=16).hexdigest()


@st.cache_resource(max_entries=2, show_spinner="Reading the rows …")
def light_table(version: Version, _view: View) -> pd.DataFrame:
    return queries.light_table(_view)


@st.cache_resource(max_entries=4, show_spinner=False)
def columns(version: Version, _view: View) -> list[Column]:
    return queries.columns(_view)


@st.cache_resource(max_entries=100, show_spinner=False)
def axis(version: Version, names: tuple[str, ...], _table: pd.DataFrame) -> charts.Axis:
    return charts.axis_of(np.concatenate([numbers(_table, name) for name in names]))


@st.cache_resource(max_entries=6, show_spinner=False)
def order(version: Version, column: str, descending: bool, _table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Positions of all rows sorted by a column, ties in the order of the file, rows without a value last."""
    series = _table[column]
    ordered = series.astype(str) if isinstance(series.dtype, pd.CategoricalDtype) else series
    return np.asarray(ordered.reset_index(drop=True).sort_values(ascending=not descending, kind="stable").index)


@st.cache_resource(max_entries=20, show_spinner="Searching the texts …")
def matching_ids(pairs_version: Version, search: Search, flipped: tuple[str, ...], _view: View) -> pd.Index[Any]:
    return queries.matching_ids(_view, search.pattern, regular=search.regular, field=search.field, flipped=flipped)


@st.cache_resource(max_entries=20, show_spinner=False)
def _matching_rows(version: Version, search: Search, _view: View, _table: pd.DataFrame) -> Mask:
    flipped = _flipped(_table) if search.field in ("chosen", "rejected") else []
    found = matching_ids(queries.pairs_version(_view), replace(search, negated=False), tuple(flipped), _view)
    there = np.asarray(_table["id"].isin(found))
    return ~there if search.negated else there


def _flipped(table: pd.DataFrame) -> list[str]:
    return table.loc[table["flipped"] == "yes", "id"].tolist()


@st.cache_resource(max_entries=20, show_spinner="Running the condition …")
def _rows_where(version: Version, condition: Where, flipped: tuple[str, ...], _view: View, _table: pd.DataFrame) -> Mask | InputError:
    """An error is kept too: a condition may take ten seconds to fail."""
    try:
        return np.asarray(_table["id"].isin(queries.where_ids(_view, condition.sql, flipped=flipped_pairs(_view, flipped))))
    except InputError as error:
        return error


def rows_where(version: Version, condition: Where, view: View, table: pd.DataFrame) -> Mask:
    """The rows for which a person's own condition is true, flipped ones turned round. Nothing else in the table changes it."""
    answer = _rows_where(version[:2], condition, tuple(_flipped(table)), view, table)
    if isinstance(answer, InputError):
        raise InputError(*answer.args)  # a new one: a raised error keeps what it has passed through
    return answer


@st.cache_resource(max_entries=4, show_spinner="Comparing the columns …")
def relations(version: Version, names: tuple[str, ...], _table: pd.DataFrame) -> Relations:
    """Small; the ranks it is made of, 4 bytes a row and column, are not kept."""
    return relations_of({name: ranks(numbers(_table, name)) for name in names})


def found(version: Version, view: View, table: pd.DataFrame, rules: Sequence[Filter]) -> dict[Filter, Mask]:
    """The rows of every search and of every condition."""
    searches: dict[Filter, Mask] = {rule: _matching_rows(version, rule, view, table) for rule in rules if isinstance(rule, Search)}
    return searches | {rule: rows_where(version, rule, view, table) for rule in rules if isinstance(rule, Where)}


def numbers(table: pd.DataFrame, name: str, places: Ints | None = None) -> npt.NDArray[np.float64]:
    """A column of all rows, or of those at these places."""
    values = table[name].to_numpy()  # gathered first: whole numbers are turned into others only where they are asked for
    return np.asarray(values if places is None else values[places], dtype=float)


# what selections are made of: the table with its flipped rows turned round, the rows in order, a rule's own condition


@dataclass(frozen=True)
class Decided:
    """A dataset's decisions as its log has them now."""

    decisions: Decisions = field(default_factory=Decisions)
    events: int = 0  # in the log
    through: str | None = None  # the last of them
    flips: str = ""  # changes with the flipped rows; empty where there are none


def decided(workspace: Workspace, view: View, version: Version, table: pd.DataFrame) -> Decided:
    return _decided(_log(workspace, view.dataset), version, workspace, view.dataset, table)


def events(workspace: Workspace, dataset: str) -> list[Event]:
    """The log of decisions, oldest first."""
    return _events(_log(workspace, dataset), workspace, dataset)


@st.cache_resource(max_entries=2, show_spinner=False)
def overruled(through: str | None, _decisions: Decisions) -> frozenset[str]:
    """The decisions that later ones have overruled."""
    return overrides.overruled(_decisions.done)


def _log(workspace: Workspace, dataset: str) -> tuple[str, int, int]:
    path = workspace.overrides(dataset)
    return (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (str(path), 0, 0)


@st.cache_resource(max_entries=4, show_spinner=False)
def _events(log: tuple[str, int, int], _workspace: Workspace, _dataset: str) -> list[Event]:
    return overrides.read(_workspace, _dataset)


@st.cache_resource(max_entries=4, show_spinner=False)
def _decided(log: tuple[str, int, int], version: Version, _workspace: Workspace, _dataset: str, _table: pd.DataFrame) -> Decided:
    events = _events(log, _workspace, _dataset)
    if not events:
        return Decided()
    decisions = overrides.replay(events, known(version, _table))
    flips = blake2b("\n".join(sorted(decisions.flipped)).encode(), digest_size=16).hexdigest() if decisions.flipped else ""
    return Decided(decisions, len(events), events[-1].event, flips)


@st.cache_resource(max_entries=2, show_spinner=False)
def known(version: Version, _table: pd.DataFrame) -> pd.Index[Any]:
    """The ids, which find their rows; by the version without flips."""
    index: pd.Index[Any] = pd.Index(_table["id"])
    return index


def turned(version: Version, decided: Decided, view: View, table: pd.DataFrame) -> tuple[Version, pd.DataFrame]:
    """The light table with its flipped rows turned round, and the version of that."""
    return ((*version, decided.flips), _turned((*version, decided.flips), decided, view, table)) if decided.flips else (version, table)


@st.cache_resource(max_entries=2, show_spinner=False)
def _turned(version: Version, _decided: Decided, _view: View, _table: pd.DataFrame) -> pd.DataFrame:
    return flipped_table(_table, _view, _decided.decisions.flipped)


@st.cache_resource(max_entries=2, show_spinner=False)
def marked(version: Version, through: str | None, _decided: Decided, _known: pd.Index[Any], _table: pd.DataFrame) -> pd.DataFrame:
    """The table with one column more for each of MARKS: what was decided about a row, in words."""
    decisions = _decided.decisions
    marks: dict[str, dict[str, Collection[str]]] = {
        "decision": {"keep": decisions.kept, "drop": decisions.dropped},
        "flipped": {"yes": decisions.flipped},
        "noted": {"yes": decisions.notes},
        "tags": _rows_by_tags(decisions.tags),
    }
    return _table.assign(**{name: _category(marks[name], MARKS[name], _known) for name in MARKS})


def _rows_by_tags(tags: Mapping[str, tuple[str, ...]]) -> dict[str, Collection[str]]:
    rows: dict[str, list[str]] = {}
    for row, given in tags.items():
        rows.setdefault(", ".join(sorted(given)), []).append(row)
    return dict(rows)


def _category(rows: Mapping[str, Collection[str]], otherwise: str, known: pd.Index[Any]) -> pd.Categorical[Any]:
    rows = {word: ids for word, ids in rows.items() if ids}
    codes = np.full(len(known), len(rows), dtype=np.int32)
    for code, ids in enumerate(rows.values()):
        codes[known.get_indexer(pd.Index(list(ids)))] = code
    words: pd.Categorical[Any] = pd.Categorical.from_codes(codes, pd.Index([*rows, otherwise]))
    return words


@st.cache_resource(max_entries=2, show_spinner="Sorting the rows …")
def ids(version: Version, _table: pd.DataFrame) -> Ids:
    """By the version without flips: they leave ids as they are."""
    return Ids(_table["id"])


@dataclass(frozen=True)
class Pool:
    """The rows that take part in a rule."""

    mask: Mask
    ranked: Ints  # by (value, id)


@st.cache_resource(max_entries=6, show_spinner=False)
def pool(version: Version, by: str, where: str, _rule: Rule, _where: Mask | None, _ids: Ids, _table: pd.DataFrame) -> Pool:
    """What is the same for all rules by one column under one condition."""
    mask = selection.pool(_table, _rule, _where)
    order = selection.ranking(numbers(_table, by), _ids)
    return Pool(mask, order[mask[order]])


@st.cache_resource(max_entries=4, show_spinner=False)
def control(
    version: Version, through: str | None, by: str, where: str, seed: int, _pool: Mask, _decisions: Decisions, _ids: Ids
) -> tuple[Mask, Ints]:
    """What a random control of a rule is drawn from, and its rows in the order of chance."""
    members = selection.control_pool(_pool, _decisions, _ids)
    return members, selection.by_chance(members, _ids, seed)


@st.cache_resource(max_entries=2, show_spinner=False)
def train(version: Version, _table: pd.DataFrame) -> Mask:
    return np.asarray(_table["split"] == "train")


@st.cache_resource(max_entries=6, show_spinner=False)
def by_chance(version: Version, columns: tuple[str, ...], _table: pd.DataFrame) -> Ints:
    """The rows that have a value in each of these columns, in one order of chance: of any that are left, the first are a sample."""
    there = np.logical_and.reduce([np.isfinite(numbers(_table, name)) for name in columns])
    return np.random.default_rng(0).permutation(np.flatnonzero(there))


@st.cache_resource(max_entries=2, show_spinner=False)
def rows_above(version: Version, column: str, value: float, _table: pd.DataFrame) -> int:
    """How many of all rows have this value or a higher one."""
    return int((numbers(_table, column) >= value).sum())


@st.cache_resource(max_entries=4, show_spinner=False)
def whole(version: Version, by: str, _table: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Means, also of the column `by`, and shares of sources over all training rows."""
    rows = np.flatnonzero(train(version, _table))
    return composition.means(_table, rows, list(dict.fromkeys([*composition.MEASURES, by]))), composition.shares(_table, rows)


@dataclass(frozen=True)
class Contrast:
    """Kept and dropped rows beside each other, from a sample of each."""

    texts: tuple[pd.DataFrame, pd.DataFrame]  # id, prompt (its last turn), chosen, rejected (the worst)
    words: pd.DataFrame  # as contrast.distinguishing has them
    rates: pd.DataFrame  # lengths and refusals, a column a side


@st.cache_resource(max_entries=8, show_spinner="Reading texts of both sides …")
def contrasted(version: Version, kept: tuple[str, ...], dropped: tuple[str, ...], column: str, _view: View, _decided: Decided) -> Contrast:
    flipped = _decided.decisions.flipped
    texts = _sample_texts(_view, (*kept, *dropped), flipped)
    sides = texts[: len(kept)], texts[len(kept) :]
    counts = [contrast.word_counts(side[column]) for side in sides]
    words = contrast.distinguishing(counts[0], counts[1])
    return Contrast(sides, words, pd.DataFrame({"kept": _rates(sides[0]), "dropped": _rates(sides[1])}))


def _sample_texts(view: View, ids: tuple[str, ...], flipped: frozenset[str]) -> pd.DataFrame:
    found = flipped_texts(queries.texts(view, ids, ["prompt", "responses", "scores"]), flipped)
    prompts = [messages[-1]["content"] if len(messages) else "" for messages in found["prompt"]]
    answers = {side: [answers[place] for answers in found["responses"]] for side, place in (("chosen", 0), ("rejected", -1))}
    return pd.DataFrame({"id": found["id"], "prompt": prompts} | answers)


def _rates(texts: pd.DataFrame) -> pd.Series[str]:
    found = {}
    for side in ("chosen", "rejected"):
        lengths = [len(contrast.words(text)) for text in texts[side]]
        found[f"words, {side}"] = f"{sum(lengths) / len(lengths):,.1f}"
        found[f"refusals, {side}"] = f"{contrast.refusal_rate(list(texts[side])):.1%}"
    return pd.Series(found)


@dataclass(frozen=True)
class Measured:
    """What scoring this set took on this machine, and the model's size; None where the files do not say."""

    tokens_per_second: float | None
    seconds: float
    device: str
    size: ModelSize | None


def measured(workspace: Workspace, view: View) -> Measured:
    if not view.score_id:
        return Measured(None, 0.0, "", None)
    folder = workspace.score_set(view.dataset, view.score_id)
    status, about = read_status(folder) or {}, read_json(folder / file_names.SCORE)
    size = None
    if {"parameters", "layers"} <= about.keys() and (folder / file_names.HEAD).is_file():
        vocabulary, hidden = np.load(folder / file_names.HEAD, mmap_mode="r").shape
        size = ModelSize(about["parameters"], about["layers"], hidden, vocabulary)
    return Measured(status.get("tokens_per_second"), float(status.get("seconds", 0.0)), str(about.get("device", "")), size)


def other_selections(workspace: Workspace, view: View, ids: Ids) -> list[tuple[str, Ints]]:
    """The newest version of every selection of the dataset, newest first, and where its rows stand; damaged ones are left out."""
    newest: dict[str, selections.Saved] = {}
    for one in selections.listing(workspace, view.dataset):
        if one.about and (one.name not in newest or newest[one.name].version < one.version):
            newest[one.name] = one.about
    found = []
    for saved in newest.values():
        with suppress(DeftError):
            found.append(
                (saved.reference, _kept_positions(queries.pairs_version(view), saved.name, saved.version, saved.created, workspace, ids))
            )
    return found


@st.cache_resource(max_entries=40, show_spinner=False)
def _kept_positions(version: Version, name: str, number: int, created: str, _workspace: Workspace, _ids: Ids) -> Ints:
    return _ids.positions(selections.kept_rows(_workspace, name, number)["id"].tolist())


@st.cache_data(max_entries=20, ttl=300, show_spinner="Reading the first rows …")
def preview(source: str, changed: int, format: str | None, fields: tuple[tuple[str, str], ...] | None) -> importing.Preview:
    return importing.preview(source, format=format, fields=dict(fields) if fields else None)
