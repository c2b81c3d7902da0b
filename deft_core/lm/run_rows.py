"""The rows of a run folder as token rows, read as the scorer reads them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deft_core.errors import InputError, first_line
from deft_core.lm.models import LanguageModel
from deft_core.lm.tokens import token_rows
from deft_core.lm.train_batch import TrainRow

__all__ = ["read_rows"]


def read_rows(path: Path, lm: LanguageModel, max_length: int, ids: Collection[str] | None = None) -> list[TrainRow]:
    """The rows of input.parquet (or of a file like it), or some of them, without reference; cut to `max_length` or the model's context."""
    wanted = None if ids is None else pc.field("id").isin(pa.array(sorted(ids), pa.string()))
    try:
        columns = pq.read_table(path, columns=["id", "prompt", "responses", "ranks", "scores"], filters=wanted).to_pydict()
    except (OSError, pa.ArrowException) as error:
        found = first_line(error)
        raise InputError(f"the rows of a run in {path}", found, "Restore the run folder, or start the run again.") from None
    tokens = token_rows(lm.tokenizer, columns["prompt"], columns["responses"], min(max_length, lm.longest))
    scores = [own or [None] * len(ranks) for own, ranks in zip(columns["scores"], columns["ranks"], strict=True)]
    return [TrainRow(*row) for row in zip(columns["id"], tokens, columns["ranks"], scores, strict=True)]
