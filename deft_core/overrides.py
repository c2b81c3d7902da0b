"""Human decisions about single rows: an append-only log of events, and what it comes to when it is replayed.

A decision (keep, drop, flip, note, tag; follow takes keep and drop back, so that the rule decides) names all its rows by id, so that it
means the same rows whatever becomes of the filter it was made under, of the scores, and of the dataset. An undo or a redo names the one
decision it is about, worked out when it is written: two sessions that undo the same decision undo it once. Nothing is ever
removed from the log; `replay` is a pure function of its events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pyarrow.parquet as pq

from deft_core.errors import InputError
from deft_core.workspace import Workspace, append_line, read_lines

__all__ = ["DECISIONS", "Decisions", "Event", "append", "dataset_ids", "load", "overruled", "read", "redo", "replay", "undo", "words"]

DECISIONS = ("keep", "drop", "follow", "flip", "note", "tag")
STEPS = ("undo", "redo")
_WITH_TEXT = ("note", "tag")


@dataclass(frozen=True)
class Event:
    event: str  # its own id
    kind: str  # one of DECISIONS or STEPS
    ids: tuple[str, ...]  # the rows decided on; none for a step
    text: str | None  # of a note (empty: remove it) or a tag (with a leading minus: take it off)
    target: str | None  # of a step: the decision it undoes or does again
    created: str  # ISO 8601


@dataclass(frozen=True)
class Decisions:
    """What the log comes to. Rows that the dataset no longer has are counted in `unknown` and nowhere else."""

    kept: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    flipped: frozenset[str] = frozenset()
    notes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)  # in the order they were given
    undoable: Event | None = None  # what undo would take back
    redoable: Event | None = None  # what redo would do again
    done: tuple[Event, ...] = ()  # decisions that are not undone, oldest first
    unknown: int = 0

    def counts(self) -> dict[str, int]:
        """Rows by what was decided on them."""
        rows = {"kept": self.kept, "dropped": self.dropped, "flipped": self.flipped, "noted": self.notes, "tagged": self.tags}
        return {name: len(ids) for name, ids in rows.items()}


def words(event: Event) -> str:
    """A decision in words: what, and on how many rows."""
    rows = f"{len(event.ids):,} row{'s' if len(event.ids) != 1 else ''}"
    text = event.text or ""
    match event.kind:
        case "follow":
            return f"leave {rows} to the rule"
        case "note":
            return f"note on {rows}: {text}" if text else f"no note on {rows}"
        case "tag":
            return f"tag {rows}: {text}" if not text.startswith("-") else f"take a tag off {rows}: {text[1:].strip()}"
    return f"{event.kind} {rows}"


# the log


def read(workspace: Workspace, dataset: str) -> list[Event]:
    """All events, oldest first."""
    path = workspace.overrides(dataset)
    return [_event(line, path) for line in read_lines(path)]


def _event(line: Any, path: Path) -> Event:
    try:
        event = Event(**(line | {"ids": tuple(line["ids"])}))
    except (TypeError, KeyError):
        event = None
    if event is None or event.kind not in (*DECISIONS, *STEPS):
        found = f"{str(line)[:80]!r}"
        raise InputError(f"a decision in {path}", found, "Restore the file, or open the workspace with the version that wrote it.")
    return event


def append(
    workspace: Workspace, dataset: str, kind: str, ids: Iterable[str], text: str | None = None, *, known: pd.Index[Any] | None = None
) -> Event:
    """Writes one decision about these rows; it is on disk when this returns. `known`: the dataset's ids, where the caller has them."""
    rows = tuple(dict.fromkeys(ids))
    words = _checked_text(kind, text)
    if not rows:
        raise InputError("rows to decide on", "none", "Name rows by their ids, or widen the filter.")
    missing = _missing(rows, dataset_ids(workspace, dataset) if known is None else known)
    if missing:
        shown = ", ".join(repr(row) for row in missing[:3]) + (f" and {len(missing) - 3:,} more" if len(missing) > 3 else "")
        raise InputError(f"ids of rows of {dataset!r}", shown, f'Look them up: `deft query {dataset} "SELECT id FROM pairs"`.')
    return _written(workspace, dataset, kind, rows, words, None)


def _checked_text(kind: str, text: str | None) -> str | None:
    if kind not in DECISIONS:
        raise InputError(f"one of {', '.join(DECISIONS)}", repr(kind), "Choose one of them.")
    if kind not in _WITH_TEXT:
        if text is not None:
            raise InputError(f"no text with {kind}", repr(text), "Write it as a note of its own.")
        return None
    words = (text or "").strip().encode(errors="replace").decode()  # half of a surrogate pair cannot be written
    if text is None or (kind == "tag" and not words.removeprefix("-").strip()):
        raise InputError(f"a text for the {kind}", "none", "An empty note removes it." if kind == "note" else "Name the tag.")
    return words


def dataset_ids(workspace: Workspace, dataset: str) -> pd.Index[Any]:
    found: pd.Index[Any] = pd.Index(pq.read_table(workspace.pairs(dataset), columns=["id"])["id"].to_pandas())
    return found


def undo(workspace: Workspace, dataset: str, target: str | None = None) -> Event | None:
    """Takes back the newest decision that is done, or the one named (a page names the one its button spoke of); None where it is not."""
    done, _ = _standing(read(workspace, dataset))
    return _step(workspace, dataset, "undo", done, target)


def redo(workspace: Workspace, dataset: str, target: str | None = None) -> Event | None:
    """Does again what was undone last, or the one named; None where it is not undone, or a new decision has been made since."""
    _, undone = _standing(read(workspace, dataset))
    return _step(workspace, dataset, "redo", undone, target)


def _step(workspace: Workspace, dataset: str, kind: str, possible: Sequence[Event], target: str | None) -> Event | None:
    chosen = next((event for event in reversed(possible) if target in (None, event.event)), None)
    return _written(workspace, dataset, kind, (), None, chosen.event) if chosen else None


def _written(workspace: Workspace, dataset: str, kind: str, ids: tuple[str, ...], text: str | None, target: str | None) -> Event:
    event = Event(uuid4().hex, kind, ids, text, target, datetime.now(UTC).isoformat(timespec="milliseconds"))
    append_line(workspace.overrides(dataset), asdict(event))
    return event


# what it comes to


def load(workspace: Workspace, dataset: str) -> Decisions:
    events = read(workspace, dataset)
    return replay(events, dataset_ids(workspace, dataset)) if events else Decisions()


def replay(events: Sequence[Event], known: pd.Index[Any] | None = None) -> Decisions:
    """What a log comes to, over the rows the dataset has: `known` (without it: over all that are named).

    Keep and drop exclude each other, a flip of a flipped row takes it back, a note takes the place of the one before.
    """
    done, undone = _standing(events)
    found = _State()
    for event in done:
        found.apply(event)
    gone = set() if known is None else set(_missing(list({row for event in done for row in event.ids}), known))
    return Decisions(
        kept=frozenset(found.kept - gone),
        dropped=frozenset(found.dropped - gone),
        flipped=frozenset(found.flipped - gone),
        notes={row: note for row, note in found.notes.items() if row not in gone},
        tags={row: tuple(tags) for row, tags in found.tags.items() if tags and row not in gone},
        undoable=done[-1] if done else None,
        redoable=undone[-1] if undone else None,
        done=tuple(done),
        unknown=len(gone),
    )


def _standing(events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """The decisions that stand, in the order of the log, and those that can be done again, next one last.

    Places in the log are kept in dicts, which remember their order and forget any key at once.
    """
    places = {event.event: place for place, event in enumerate(events)}
    done: dict[int, None] = {}
    undone: dict[int, None] = {}
    for place, event in enumerate(events):
        if event.kind in DECISIONS:
            done[place] = None
            undone.clear()
            continue
        target = places.get(event.target or "", -1)
        source, goal = (done, undone) if event.kind == "undo" else (undone, done)
        if target in source:  # else another session was quicker
            del source[target]
            goal[target] = None
    return [events[place] for place in sorted(done)], [events[place] for place in undone]


def overruled(done: Sequence[Event]) -> frozenset[str]:
    """Of decisions that are not undone, oldest first, those that decide nothing any more: a later one has decided all their rows.

    Keep, drop and follow overrule each other, a note the one before. Flips and tags add up.
    """
    decided: dict[str, set[str]] = {"rule": set(), "note": set()}
    found = set()
    for event in reversed(done):
        later = decided.get("rule" if event.kind in ("keep", "drop", "follow") else event.kind)
        if later is None:
            continue
        if later.issuperset(event.ids):
            found.add(event.event)
        later.update(event.ids)
    return frozenset(found)


def _missing(rows: Sequence[str], known: pd.Index[Any]) -> list[str]:
    return [row for row, place in zip(rows, known.get_indexer(pd.Index(list(rows))), strict=True) if place < 0]


@dataclass
class _State:
    """What the decisions so far come to."""

    kept: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    flipped: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, None]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        match event.kind:
            case "keep" | "drop" | "follow":
                for rows, kind in ((self.kept, "keep"), (self.dropped, "drop")):
                    rows.update(event.ids) if kind == event.kind else rows.difference_update(event.ids)
            case "flip":
                self.flipped.symmetric_difference_update(event.ids)
            case "note":
                for row in event.ids:
                    self.notes.pop(row, None)
                self.notes |= dict.fromkeys(event.ids, event.text) if event.text else {}
            case "tag":
                self._tag(event.ids, event.text or "")

    def _tag(self, ids: Iterable[str], tag: str) -> None:
        name = tag.removeprefix("-").strip()
        for row in ids:
            if tag.startswith("-"):
                self.tags.get(row, {}).pop(name, None)
            else:
                self.tags.setdefault(row, {})[name] = None
