"""How long the rows of a run are, as scoring has read them, and which responses a method reads of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from deft_core import file_names
from deft_core.flips import swapped

__all__ = ["Lengths", "read_lengths"]

Floats = npt.NDArray[np.float64]
_COLUMNS = pa.schema(
    [("id", pa.string()), ("tokens_prompt", pa.int32()), ("tokens", pa.list_(pa.int32())), ("truncated_tokens", pa.int32())]
)


@dataclass(frozen=True, eq=False)
class Lengths:
    """Tokens [N] of the rows that are scored; responses best first, without end tokens, all cut to the length limit."""

    prompt: Floats
    best: Floats
    worst: Floats
    all: Floats  # the sum over all responses
    longest: Floats  # the longest response
    responses: Floats  # how many there are
    cut: npt.NDArray[np.bool_]  # whether the row lost tokens to the limit
    empty: tuple[str, ...]  # rows without a token in the prompt or in a response: training refuses them

    def __len__(self) -> int:
        return len(self.prompt)

    @property
    def limit(self) -> int | None:
        """Tokens of prompt and one response that rows were cut to: what cut rows come to. None where none was."""
        return int((self.prompt + self.longest)[self.cut].max()) if self.cut.any() else None

    @property
    def truncated(self) -> int:
        """Rows that lost tokens to the limit."""
        return int(self.cut.sum())

    def read(self, method: str) -> tuple[Floats, Floats, Floats]:
        """(tokens of the responses that a method reads, of the longest of them, how many they are), [N] each."""
        if method == "sft":
            return self.best, self.best, np.ones(len(self))
        if method == "pro":
            return self.all, self.longest, self.responses
        return self.best + self.worst, np.maximum(self.best, self.worst), np.full(len(self), 2.0)


def read_lengths(scores: Path, ids: Collection[str], flipped: Collection[str]) -> Lengths:
    """Of these rows, as far as the score set in this folder has them; the best and the worst of flipped rows have changed places."""
    wanted = pc.field("id").isin(pa.array(list(ids), pa.string()))
    data = pads.dataset([str(part) for part in sorted(scores.glob(file_names.PARTS))], schema=_COLUMNS)
    columns = data.to_table(columns=_COLUMNS.names, filter=wanted).to_pydict()
    turned = set(flipped)
    tokens = [swapped(own) if row in turned else own for row, own in zip(columns["id"], columns["tokens"], strict=True)]
    prompt = np.array(columns["tokens_prompt"], dtype=float)
    empty = tuple(row for row, head, own in zip(columns["id"], prompt, tokens, strict=True) if not head or not all(own))
    return Lengths(
        prompt=prompt,
        best=np.array([own[0] for own in tokens], dtype=float),
        worst=np.array([own[-1] for own in tokens], dtype=float),
        all=np.array([sum(own) for own in tokens], dtype=float),
        longest=np.array([max(own) for own in tokens], dtype=float),
        responses=np.array([len(own) for own in tokens], dtype=float),
        cut=np.array(columns["truncated_tokens"], dtype=float) > 0,
        empty=empty,
    )
