"""samples.jsonl: what the model answers while it trains, beside the base. Only where each answer stands in the file is kept in memory."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from deft_core import file_names
from deft_core.runs.curves import Identity

__all__ = ["Sample", "SampleReader"]


@dataclass(frozen=True)
class Sample:
    id: str  # of the row held out
    prompt: str
    base: str
    tuned: str


class SampleReader:
    """Follows one run's samples.jsonl; for all threads."""

    def __init__(self, folder: Path) -> None:
        self.path, self._lock = folder / file_names.SAMPLES, Lock()
        self._identity = Identity(0, b"", 0)
        self._places: dict[int, dict[str, tuple[int, int]]] = {}  # step: row: first byte and length of what was said last

    def steps(self, standing: Collection[int]) -> list[int]:
        """The steps that have samples, of those evaluated that a resume has not taken back."""
        with self._lock:
            self._read()
            return sorted(set(self._places) & set(standing))

    def at(self, step: int) -> list[Sample]:
        """In the order in which they were written; none where the file has gone."""
        with self._lock:
            places = list(self._places.get(step, {}).values())
        try:
            with self.path.open("rb") as handle:
                return [_sample(_part(handle, *place)) for place in places]
        except FileNotFoundError:
            return []

    def _read(self) -> None:
        if not self._identity.same(self.path):
            self._places, self._identity = {}, Identity(0, b"", 0)
        if not self.path.is_file():
            return
        offset = self._identity.offset
        with self.path.open("rb") as handle:
            handle.seek(offset)
            for line in handle:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._note(line, offset)
                offset += len(line)
        self._identity = Identity.of(self.path, offset)

    def _note(self, line: bytes, offset: int) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # torn by a kill: nobody was told of it
            return
        if "step" in said and "id" in said:
            self._places.setdefault(int(said["step"]), {})[str(said["id"])] = (offset, len(line))


def _part(handle: BinaryIO, offset: int, length: int) -> bytes:
    handle.seek(offset)
    return handle.read(length)


def _sample(line: bytes) -> Sample:
    said = json.loads(line)
    return Sample(*(str(said.get(name, "")) for name in ("id", "prompt", "base", "tuned")))
