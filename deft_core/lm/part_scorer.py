"""Scores one part of a score set after another: what every process does that works on a set, alone or beside others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from deft_core import discrepancy, file_names
from deft_core.lm import score_parts
from deft_core.lm.models import LanguageModel
from deft_core.lm.score_parts import Part
from deft_core.lm.scoring import ResponseScore, Scorer
from deft_core.lm.tokens import TokenRow, token_rows
from deft_core.workspace import read_json

__all__ = ["PartScorer"]

Counted = Callable[[int, int, int], None]  # of a batch: preferences, input tokens, preferences that lost tokens


class PartScorer:
    """The model with what the score set says of d, layout, batches and truncation."""

    def __init__(self, pairs: Path, target: Path, lm: LanguageModel) -> None:
        about = read_json(target / file_names.SCORE)
        d = discrepancy.read_table(target)["d"].to_numpy(np.float64)
        self.pairs, self.target, self.lm = pairs, target, lm
        self.fingerprint = about["dataset_fingerprint"]
        self.max_length = min(about["max_length"], lm.longest)
        self.scorer = Scorer(lm, d, about["layout"], about["batch_tokens"], about["own_logits"])

    def score(self, part: Part, counted: Counted = lambda *_: None) -> None:
        """Scores the part and writes it."""
        k, start, end = part
        score_parts.check_unchanged(self.pairs, self.fingerprint)
        rows = score_parts.rows_of(self.target, start, end)
        row_tokens = token_rows(self.lm.tokenizer, rows["prompt"], rows["responses"], self.max_length)
        scores: list[list[ResponseScore]] = [[] for _ in row_tokens]
        for indices, found in self.scorer.score_batches(row_tokens):
            batch = [row_tokens[i] for i in indices]
            for i, row_scores in zip(indices, found, strict=True):
                scores[i] = row_scores
            counted(len(batch), sum(map(TokenRow.input_tokens, batch)), sum(row.removed > 0 for row in batch))
        score_parts.write_part(self.target, k, rows, row_tokens, scores)
