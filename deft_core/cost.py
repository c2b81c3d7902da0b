"""What training on a subset would take here: estimates from what scoring the same rows took, and from the model's size.

Estimates, not measurements: they say whether it is minutes or days, and whether it fits. Pure arithmetic over numbers; what a run's
settings make of them stands in runs/preflight.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Memory", "ModelSize", "adapter_parameters", "answering_seconds", "checkpoint_bytes", "disk_bytes", "largest_batch"]
__all__ += ["memory", "pair_tokens", "training_bytes", "training_seconds"]

Floats = npt.NDArray[np.float64]

FORWARD_PASSES = 3  # forward 1, backward about 2 (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)
# A token, layer and hidden unit of what the backward pass needs: measured, with autograd's saved tensors, on SmolLM2-135M. The 68 (float32)
# and 34 (bfloat16) of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1) know no gated MLP, and no norm that stays in float32.
BYTES_PER_ACTIVATION = {"float32": 83, "bfloat16": 57}
BYTES_PER_LOGIT = 12  # logits, their softmax and its gradient in float32
LOGITS_AT_A_TIME = 2048  # words of the vocabulary for each token of a response (`deft_core/lm/head_values.py`)
PROCESS_BYTES = 1_000_000_000  # Python with torch and transformers (0.45 GB), and what the allocator does not give back at once
LINEAR_LAYERS = 7  # of a block, each with the hidden width on one side: query, key, value, output; gate, up, down
DECODE_SECONDS = 0.03  # a step of generation at the least, however few rows answer
ANSWERING_TOKENS = 4096  # of a batch that answers (`deft_core/lm/generation.py`)


@dataclass(frozen=True)
class ModelSize:
    parameters: int
    layers: int
    hidden: int
    vocabulary: int


@dataclass(frozen=True)
class Memory:
    """Bytes by part. Training and evaluating take turns: the gradients of the one are gone when the other holds the base."""

    process: float
    weights: float
    gradients: float
    optimiser: float
    activations: float  # of the largest micro-batch
    logits: float  # of its responses
    base: float  # the base model once more, beside the one that learns; with LoRA only when the run is over

    @property
    def training(self) -> float:
        return self.process + self.weights + self.gradients + self.optimiser + self.activations + self.logits

    @property
    def evaluating(self) -> float:
        return self.process + self.weights + self.optimiser + self.base

    @property
    def peak(self) -> float:
        return max(self.training, self.evaluating)


def pair_tokens(prompt: Floats, chosen: Floats, rejected: Floats) -> Floats:
    """Tokens [N] that a pair brings into a training step: one row of prompt, chosen and rejected, the prompt once as in scoring."""
    return prompt + chosen + rejected


def largest_batch(tokens: Floats, responses: Floats, budget: int, rows_per_step: int) -> tuple[float, float]:
    """(tokens, those of responses) of the largest micro-batch that rows of `tokens` [N], `responses` [N] of them, can come in.

    A batch is as wide as its longest row and takes as many rows as fit in the budget and a step has, but always one.
    """
    rows = np.clip(budget // np.maximum(tokens, 1), 1, rows_per_step)
    at = int(np.argmax(rows * tokens))
    return float(rows[at] * tokens[at]), float(rows[at] * responses[at])


def adapter_parameters(size: ModelSize, rank: int) -> float:
    """Of LoRA beside every linear layer of every block: rank x (inputs + outputs), where outputs come to a block's weights / hidden.

    Exact where all of a block's linear layers have the hidden width on one side and the embedding is also the head.
    """
    block = (size.parameters - size.vocabulary * size.hidden) / size.layers
    return size.layers * rank * (LINEAR_LAYERS * size.hidden + block / size.hidden)


def memory(
    size: ModelSize,
    tokens: float,
    responses: float,
    *,
    rank: int = 0,
    halves: bool = False,
    checkpointing: bool = False,
    whole_logits: bool = False,
    process: float = PROCESS_BYTES,
) -> Memory:
    """Of training on micro-batches of so many tokens, of which so many in responses.

    `halves`: the forward computes in bfloat16; what learns stays in float32, with bfloat16 copies of the blocks' weights, and under LoRA
    the frozen weights are stored in bfloat16. `checkpointing` keeps the inputs of the blocks and one block's activations. `whole_logits`:
    the model's own forward, which makes logits of every token. Attention scores are not kept.
    """
    frozen = 2 if halves else 4  # bytes of a weight that does not learn
    embedding = size.vocabulary * size.hidden
    learning = adapter_parameters(size, rank) if rank else size.parameters
    weights = size.parameters * frozen + learning * 4 if rank else size.parameters * 4 + (size.parameters - embedding) * 2 * halves
    gradients = learning * 4 + (0 if rank else embedding * 4)  # the head's and the embedding's are made apart, and then added
    unit = tokens * size.hidden * BYTES_PER_ACTIVATION["bfloat16" if halves else "float32"]  # of one block
    activations = tokens * size.hidden * 4 * size.layers + unit if checkpointing else unit * size.layers
    logits = responses * (size.vocabulary if whole_logits else min(size.vocabulary, LOGITS_AT_A_TIME)) * BYTES_PER_LOGIT
    logits += tokens * size.vocabulary * frozen if whole_logits else 0
    base = size.parameters * (frozen if rank else 4)
    return Memory(process, weights, gradients, learning * 8, activations, logits, base)


def training_bytes(size: ModelSize, tokens: float, responses: float) -> float:
    """Memory of full fine-tuning, one pair a step, of so many tokens, of which so many in its responses; without the process itself."""
    return memory(size, tokens, responses, process=0).training


def checkpoint_bytes(size: ModelSize, rank: int) -> float:
    """What learns and its two moments, in float32."""
    return 12 * (adapter_parameters(size, rank) if rank else size.parameters)


def disk_bytes(size: ModelSize, rank: int, *, halves: bool = False) -> tuple[float, float]:
    """(at the most while a run goes on, what stays when it is over).

    A checkpoint is written beside the one before; at the end its optimiser goes, and the model is there, merged under LoRA.
    """
    checkpoint = checkpoint_bytes(size, rank)
    model = size.parameters * (2 if rank and halves else 4) + (checkpoint / 3 if rank else 0)
    return max(2 * checkpoint, checkpoint * 4 / 3 + model), checkpoint / 3 + model


def training_seconds(tokens: float, tokens_per_second: float, passes: float = FORWARD_PASSES) -> float:
    """One pass over so many tokens, at the speed at which scoring, one forward pass, went on this machine."""
    return passes * tokens / tokens_per_second


def answering_seconds(rows: int, prompt: float, new_tokens: int, tokens_per_second: float) -> float:
    """Greedy answers to so many prompts: each prompt once, then a token a row and step."""
    batches = int(np.ceil(rows / max(1, ANSWERING_TOKENS // (prompt + new_tokens))))
    return rows * prompt / tokens_per_second + new_tokens * max(rows / tokens_per_second, batches * DECODE_SECONDS)
