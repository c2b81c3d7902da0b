"""The texts of some rows, brought into one form once for every signal.

Normalised: case folded (as Unicode does it: ß is ss) and every run of white space one space, none at the ends; nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deft_core.noise.shingles import Hashed, hashed

__all__ = ["COLUMNS", "Batch", "normalised"]

COLUMNS = ("split", "prompt", "responses", "ranks")


def normalised(text: str) -> str:
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Batch:
    splits: list[str]
    roles: list[str]  # of the prompt's messages, joined by commas
    prompts: list[str]  # the messages' texts, joined by empty lines
    responses: list[list[str]]  # best first
    ranks: list[list[int]]

    @classmethod
    def of(cls, rows: pa.Table | pa.RecordBatch) -> Batch:
        """From rows of preferences.SCHEMA that have at least COLUMNS."""
        columns = {name: rows.column(name).to_pylist() for name in COLUMNS}
        roles = [",".join(message["role"] for message in prompt) for prompt in columns["prompt"]]
        prompts = ["\n\n".join(message["content"] for message in prompt) for prompt in columns["prompt"]]
        return cls(columns["split"], roles, prompts, columns["responses"], columns["ranks"])

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def normal_prompts(self) -> list[str]:
        return [normalised(prompt) for prompt in self.prompts]

    @cached_property
    def normal_responses(self) -> list[list[str]]:
        return [[normalised(text) for text in texts] for texts in self.responses]

    @cached_property
    def prompt_keys(self) -> npt.NDArray[np.uint64]:
        """[N]: equal for the same roles and the same normalised text."""
        return _keys(zip(self.roles, self.normal_prompts, strict=True))

    @cached_property
    def row_keys(self) -> npt.NDArray[np.uint64]:
        """[N]: equal for the same prompt and the same normalised responses in the same order with the same ranks."""
        rows = zip(self.roles, self.normal_prompts, self.ranks, self.normal_responses, strict=True)
        return _keys((roles, prompt, str(ranks), *texts) for roles, prompt, ranks, texts in rows)

    @cached_property
    def prompt_shingles(self) -> Hashed:
        return hashed(self.normal_prompts, np.arange(len(self)))


def _keys(parts: Iterable[Iterable[str]]) -> npt.NDArray[np.uint64]:
    digests = (blake2b("\x1f".join(part).encode(), digest_size=8).digest() for part in parts)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)
