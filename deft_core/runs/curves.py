"""A run's numbers as columns, read as they come: a second reading takes the bytes that are new, and no more.

A `CurveReader` keeps its place in metrics.jsonl; `read` gives the `Curves` as they stand, which never change: any number of threads may
draw them while the reader goes on. What a resume takes back is gone (metrics.standing). A file that was cut or replaced is read anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from deft_core import file_names
from deft_core.runs import metrics
from deft_core.runs.alerts import Alert

__all__ = ["Band", "CurveReader", "Curves", "Identity", "Table", "read_curves", "smoothed", "thinned"]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_CHUNK_BYTES = 8 << 20  # of the file at a time: its events as Python's objects take ten times as much
_HEAD_BYTES = 64  # of a file, by which it is known again
_NOT_NUMBERS = ("event", "step", "kind", "words")
_EXACT = ("time",)  # seconds since the epoch need 64 bits; to all others 32 are enough


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers by step, ascending."""

    steps: Ints  # [N]
    columns: Mapping[str, Floats]  # each [N], nan where a step lacks it

    def column(self, name: str) -> Floats:
        """All nan where there is none."""
        found = self.columns.get(name)
        return np.full(len(self.steps), np.nan, np.float32) if found is None else found


@dataclass(frozen=True, eq=False)
class Band:
    """An evaluation's figure by step, with its 95 % interval; each [N]."""

    steps: Ints
    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Curves:
    version: int  # another one as soon as anything has changed
    training: Table  # a line a step
    evaluations: Table  # a line an evaluation: each figure, figure_low and figure_high
    alerts: tuple[Alert, ...]
    of: int  # steps that are planned; 0 before the first start
    omega: float | None  # of the guidance term, once it is known
    starts: tuple[int, ...]  # the steps from which a process began or went on
    checkpoint: int | None  # the newest one's step

    @property
    def step(self) -> int:
        """The last one that is known of."""
        ends = [int(table.steps[-1]) for table in (self.training, self.evaluations) if len(table.steps)]
        return max([0, *ends, *self.starts[-1:]])

    def band(self, name: str) -> Band:
        """A figure of the evaluations that have it."""
        value = self.evaluations.column(name)
        known = np.isfinite(value)
        low, high = (self.evaluations.column(f"{name}_{end}")[known] for end in ("low", "high"))
        return Band(self.evaluations.steps[known], value[known], low, high)

    def cost(self, rows: int, rows_per_step: int) -> tuple[Floats, Floats]:
        """(seconds, tokens) of training from the first step to each [N], evaluations and pauses not counted; by the run's rows."""
        steps_an_epoch = -(-rows // rows_per_step)
        last = self.training.steps % steps_an_epoch == 0  # of its epoch: it has the rows left over
        of_step = np.where(last, rows - rows_per_step * (steps_an_epoch - 1), rows_per_step)
        seconds = np.nan_to_num(of_step / self.training.column("pairs_per_second").astype(np.float64))
        tokens = np.nan_to_num(seconds * self.training.column("tokens_per_second"))
        return np.cumsum(seconds), np.cumsum(tokens)


def read_curves(folder: Path) -> Curves:
    """Once, for who does not come back."""
    return CurveReader(folder).read()


@dataclass(frozen=True)
class Identity:
    """Which file it was: another one under the same name, or one that became shorter, is read from its start."""

    inode: int
    head: bytes
    offset: int  # up to which it was read

    def same(self, path: Path) -> bool:
        try:
            about = path.stat()
            with path.open("rb") as handle:
                return (about.st_ino, handle.read(len(self.head))) == (self.inode, self.head) and about.st_size >= self.offset
        except FileNotFoundError:
            return not self.offset

    @classmethod
    def of(cls, path: Path, offset: int) -> Identity:
        try:
            with path.open("rb") as handle:
                return cls(path.stat().st_ino, handle.read(min(offset, _HEAD_BYTES)), offset)
        except FileNotFoundError:
            return cls(0, b"", 0)


class CurveReader:
    """Follows one run's metrics.jsonl; for all threads."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock, self._version = folder, Lock(), 0
        self._anew()

    def _anew(self) -> None:
        self._training, self._evaluations = _Growing(), _Growing()
        self._alerts: list[Alert] = []
        self._starts: list[int] = []
        self._of, self._identity = 0, Identity(0, b"", 0)
        self._omega: float | None = None
        self._checkpoint: int | None = None
        self._curves: Curves | None = None

    def read(self) -> Curves:
        """The curves as the file has them now; raises what is wrong with a damaged line, which is not skipped."""
        with self._lock:
            path = self.folder / file_names.METRICS
            if not self._identity.same(path):
                self._anew()
            offset = self._identity.offset
            while True:
                events, end = metrics.read(self.folder, offset, _CHUNK_BYTES)
                if end == offset:
                    break
                for event in events:
                    self._take(event)
                offset = end
                self._identity, self._curves = Identity.of(path, offset), None
            if self._curves is None:
                self._version += 1
                self._curves = self._standing()
            return self._curves

    def _standing(self) -> Curves:
        tables = self._training.table(), self._evaluations.table()
        return Curves(self._version, *tables, tuple(self._alerts), self._of, self._omega, tuple(self._starts), self._checkpoint)

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, step = event["event"], int(event["step"])
        if kind == "step":
            self._training.add(step, event)
        elif kind == "evaluation":
            self._evaluations.add(step, event)
        elif kind == "alert":
            self._alerts.append(Alert(str(event.get("kind")), step, str(event.get("words"))))
        elif kind == "checkpoint":
            self._checkpoint = step
        elif kind == "start":
            self._start(step)
            self._of = int(event.get("of") or 0)
        if kind in ("start", "omega") and event.get("omega") is not None:
            self._omega = float(event["omega"])

    def _start(self, step: int) -> None:
        """What came after `step` is done again; from 0 everything is."""
        self._starts = [one for one in self._starts if one <= step and step > 0] + [step]
        for table in (self._training, self._evaluations):
            table.keep_through(step if step > 0 else -1)


@dataclass
class _Growing:
    """A table that grows at its end. What was handed out stays as it is: places once written are never written again."""

    steps: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    columns: dict[str, Floats] = field(default_factory=dict)
    size: int = 0

    def add(self, step: int, event: Mapping[str, Any]) -> None:
        if self.size == len(self.steps):
            self._widen()
        self.steps[self.size] = step
        for name, value in event.items():
            if name not in _NOT_NUMBERS and isinstance(value, int | float):
                self._column(name)[self.size] = value
        self.size += 1

    def _column(self, name: str) -> Floats:
        if name not in self.columns:
            self.columns[name] = np.full(len(self.steps), np.nan, np.float64 if name in _EXACT else np.float32)
        return self.columns[name]

    def _widen(self, taken: int | None = None) -> None:
        """New arrays with the lines so far and room for as many again."""
        taken = self.size if taken is None else taken
        room = max(64, 2 * taken)
        steps, self.steps = self.steps, np.empty(room, np.int64)
        self.steps[:taken] = steps[:taken]
        for name, values in self.columns.items():
            self.columns[name] = np.full(room, np.nan, values.dtype)
            self.columns[name][:taken] = values[:taken]

    def keep_through(self, step: int) -> None:
        kept = int(np.searchsorted(self.steps[: self.size], step, "right"))
        if kept < self.size:
            self._widen(kept)
            self.size = kept

    def table(self) -> Table:
        return Table(self.steps[: self.size], {name: values[: self.size] for name, values in self.columns.items()})


def smoothed(values: Floats, span: int) -> Floats:
    """Exponentially weighted mean [N] that looks back over about `span` steps (weights (1 - a)^age, a = 2 / (span + 1), divided by their
    sum so that the first steps are no lower); computed on all steps, whatever is drawn of them. A step without a value adds nothing."""
    if span <= 1 or not len(values):
        return values
    found = pd.Series(values).ewm(span=span, ignore_na=True).mean().to_numpy(values.dtype)
    return np.asarray(np.where(np.isnan(values), np.nan, found), values.dtype)


def thinned(
    steps: npt.NDArray[Any], values: Floats, most: int = 1000, low: float = -np.inf, high: float = np.inf
) -> tuple[npt.NDArray[Any], Floats]:
    """At most about `most` of the points with low <= step <= high: of each run of neighbours the lowest and the highest, so that no
    outlier is lost; the first and the last always. The point on either side of the range is in it, so that lines go on to the edge."""
    begin, end = max(0, int(np.searchsorted(steps, low)) - 1), int(np.searchsorted(steps, high, "right")) + 1
    x, y = steps[begin:end], values[begin:end]
    if len(x) <= most:
        return x, y
    chosen = np.unique(np.concatenate([[0, len(y) - 1], *_extremes(y, most // 2)]))
    return x[chosen], y[chosen]


def _extremes(values: Floats, buckets: int) -> Iterable[Ints]:
    """Places of the lowest and of the highest value of each bucket; its first place where it has no value."""
    width = -(-len(values) // buckets)
    whole = len(values) // width * width
    for beyond, pick in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        known = np.where(np.isnan(values), values.dtype.type(beyond), values)
        yield np.arange(0, whole, width) + pick(known[:whole].reshape(-1, width), axis=1)
        if whole < len(values):
            yield np.array([whole + int(pick(known[whole:]))])
