"""Models held in memory between questions, for everybody who asks: loaded when first wanted, used by one at a time, put away when unused.

At most `most` of them, fewer where memory is short; the one that was not used for longest makes room. Imports nothing heavy itself:
how a model is loaded comes with the wish for it.
"""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deft_core.errors import ModelError

__all__ = ["Busy", "Held", "Shelf", "Wanted", "parameters"]

_HEADROOM = 1.25  # of the weights: what reading a prompt takes beside them, and what loading holds for a moment
_ASK_SECONDS = 0.2


@dataclass(frozen=True)
class Wanted:
    key: Hashable  # another one as soon as the model's files are
    name: str  # for people
    bytes: float | None  # of its weights in memory; None: not known before it is found
    load: Callable[[Callable[[str], None]], Any]  # hears words about what it does


@dataclass(frozen=True)
class Held:
    """A model in memory."""

    name: str
    bytes: float | None
    unused_seconds: float


@dataclass
class _Place:
    wanted: Wanted
    model: Any
    used: float  # by the clock


class Busy(Exception):  # noqa: N818  (no fault)
    """Whoever waits for the models has been asked to stop."""


class Shelf:
    """`free` tells how many bytes there are for another model, None where nobody knows."""

    def __init__(
        self, free: Callable[[], float | None], most: int = 2, idle_seconds: float = 600, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.free, self.most, self.idle_seconds, self.clock = free, most, idle_seconds, clock
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place] = {}  # the one used last is the last
        self._timer: threading.Timer | None = None

    @contextmanager
    def using(self, wanted: Wanted, say: Callable[[str], None], should_stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
        """The model, nobody else using any; raises Busy when asked to stop before it is this one's turn."""
        self._take_turn(say, should_stop)
        try:
            place = self._places.pop(wanted.key, None) or self._loaded(wanted, say)
            self._places[wanted.key] = place
            try:
                yield place.model
            finally:
                place.used = self.clock()
        finally:
            self._lock.release()
            self._look_later()

    def _take_turn(self, say: Callable[[str], None], should_stop: Callable[[], bool]) -> None:
        if self._lock.acquire(blocking=False):
            return
        say("waiting: somebody else is asking")
        while not self._lock.acquire(timeout=_ASK_SECONDS):
            if should_stop():
                raise Busy

    def _loaded(self, wanted: Wanted, say: Callable[[str], None]) -> _Place:
        while len(self._places) >= self.most or (self._places and self._short(wanted)):
            self._put_away(next(iter(self._places)))
        if self._short(wanted):
            free = self.free()
            assert wanted.bytes is not None and free is not None
            expected = f"about {_gb(self.needs(wanted.bytes))} of memory for {wanted.name}"
            raise ModelError(expected, f"{_gb(free)} free", "Wait until what runs has ended, or close other programs.")
        say(f"loading {wanted.name}")
        return _Place(wanted, wanted.load(say), self.clock())

    def _short(self, wanted: Wanted) -> bool:
        free = self.free()
        return wanted.bytes is not None and free is not None and free < self.needs(wanted.bytes)

    @staticmethod
    def needs(weights: float) -> float:
        """Bytes of memory that a model with so many bytes of weights takes at most."""
        return _HEADROOM * weights

    def _put_away(self, key: Hashable) -> None:
        del self._places[key]
        gc.collect()  # a model has cycles

    def held(self) -> list[Held]:
        now = self.clock()
        return [Held(place.wanted.name, place.wanted.bytes, now - place.used) for place in list(self._places.values())]

    def unload(self, unused_seconds: float = 0.0) -> bool:
        """Puts away what was not used for so long; False where the models are in use just now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            for key, place in list(self._places.items()):
                if self.clock() - place.used >= unused_seconds:
                    self._put_away(key)
        finally:
            self._lock.release()
        return True

    def _look_later(self) -> None:
        """When the model that is unused for longest has been so for long enough."""
        if self._timer:
            self._timer.cancel()
        used = [place.used for place in list(self._places.values())]
        if used:
            self._timer = threading.Timer(max(0.0, min(used) + self.idle_seconds - self.clock()), self._tidy)
            self._timer.daemon = True
            self._timer.start()

    def _tidy(self) -> None:
        if self.unload(self.idle_seconds):  # else whoever uses them looks again afterwards
            self._look_later()


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"


def parameters(folder: Path) -> int | None:
    """How many numbers a model's safetensors hold, from their headers; None where there are none to read."""
    paths = sorted(folder.glob("*.safetensors"))
    try:
        return sum(_numbers(path) for path in paths) or None
    except (OSError, ValueError, KeyError):
        return None


def _numbers(path: Path) -> int:
    """The header is its length in 8 bytes, then JSON: name -> dtype, shape, offsets (safetensors' format)."""
    with path.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    total = 0
    for name, about in header.items():
        if name != "__metadata__":
            size = 1
            for length in about["shape"]:
                size *= length
            total += size
    return total
