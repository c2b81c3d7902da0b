"""What training on a subset would take here: an estimate from what scoring the same rows took, and from the model's size.

Estimates, not measurements: they say whether it is minutes or days, and whether it fits. Nothing here knows of a training method's details.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ModelSize", "pair_tokens", "training_bytes", "training_seconds"]

Floats = npt.NDArray[np.float64]

FORWARD_PASSES = 3  # forward 1, backward about 2 (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)
BYTES_PER_PARAMETER = 16  # weights, gradients and Adam's two moments in float32 (Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1)
BYTES_PER_ACTIVATION = (
    68  # a token, layer and hidden unit in float32: twice the 34 of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1)
)
BYTES_PER_LOGIT = 12  # logits, their softmax and its gradient in float32
LOGITS_AT_A_TIME = 2048  # words of the vocabulary for each token of a response (`deft_core/lm/head_values.py`)


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    layers: int
    hidden: int
    vocabulary: int


def pair_tokens(prompt: Floats, chosen: Floats, rejected: Floats) -> Floats:
    """Tokens [N] that a pair brings into a training step: one row of prompt, chosen and rejected, the prompt once as in scoring."""
    return prompt + chosen + rejected


def training_seconds(tokens: float, tokens_per_second: float) -> float:
    """One pass over so many tokens, at the speed at which scoring, one forward pass, went on this machine."""
    return FORWARD_PASSES * tokens / tokens_per_second


def training_bytes(size: ModelSize, tokens: float, responses: float) -> float:
    """Memory of full fine-tuning, one pair a step, of so many tokens, of which so many in its responses; attention scores are not kept."""
    activations = tokens * size.layers * size.hidden * BYTES_PER_ACTIVATION
    logits = responses * min(size.vocabulary, LOGITS_AT_A_TIME) * BYTES_PER_LOGIT
    return size.parameters * BYTES_PER_PARAMETER + activations + logits
