"""Which layout is exact for a model: found out by comparing with the definition on a few rows, when a score set begins.

Sliding windows longer than a prompt and response, attention without room for a mask, or positions that cannot be given
make the prefix-shared layout wrong; unknown scalings make the head wrong. What differs is not used, and the reason is
kept in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deft_core.errors import ModelError
from deft_core.lm.models import LanguageModel
from deft_core.lm.scoring import ResponseScore, Scorer, reference_scores
from deft_core.lm.tokens import TokenRow

__all__ = ["Layout", "choose_layout"]

_CHOICES = (("prefix-shared", False), ("plain", False), ("plain", True))


@dataclass(frozen=True)
class Layout:
    layout: str  # one of prefix_batch.LAYOUTS
    own_logits: bool  # the model's own logits instead of W h: slower, for heads nothing else describes
    reason: str | None  # why it is not the fastest one
    reward_difference: float  # largest, against the definition, on the rows checked


def choose_layout(lm: LanguageModel, d: NDArray[np.float64], rows: Sequence[TokenRow], batch_tokens: int) -> Layout:
    """The first of prefix-shared, plain, plain with the model's own logits that agrees with the definition on `rows`."""
    reference = [reference_scores(lm, d, row) for row in rows]
    reasons: list[str] = []
    for layout, own_logits in _CHOICES:
        name = f"{layout}{' with own logits' if own_logits else ''}"
        try:
            scores = Scorer(lm, d, layout, batch_tokens, own_logits).score(rows)
        except (ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:  # the architecture's own refusal
            reasons.append(f"{name} cannot run here ({type(error).__name__}: {error})")
            continue
        reward, logp = _largest_differences(scores, reference)
        reward_limit, logp_limit = (1e-5, 1e-3) if lm.dtype == torch.float32 else (1e-2, 0.5)
        if reward <= reward_limit and logp <= logp_limit:  # NaN is within no limit
            return Layout(layout, own_logits, "; ".join(reasons) or None, reward)
        reasons.append(f"{name} differs from a plain forward by {reward:.1e} in reward and {logp:.1e} in a token's log-probability")
    raise ModelError(
        "a decoder-only model whose batched forward agrees with its plain forward",
        "; ".join(reasons),
        "Use a model of another architecture.",
    )


def _largest_differences(
    scores: Sequence[Sequence[ResponseScore]], reference: Sequence[Sequence[tuple[float, NDArray[np.float32]]]]
) -> tuple[float, float]:
    """In reward, of the responses that have tokens (the mean of none is NaN by definition), and in a token's log-probability.

    NaN where one is NaN: Python's max would drop it unless it stood first.
    """
    pairs = [both for ours, theirs in zip(scores, reference, strict=True) for both in zip(ours, theirs, strict=True)]
    rewards = [abs(score.reward - reward) for score, (reward, _) in pairs if len(score.token_rewards)]
    logps = [np.abs(score.token_logps - expected).max(initial=0) for score, (_, expected) in pairs]
    return float(np.max(rewards, initial=0)), float(np.max(logps, initial=0))
