"""The guidance term -omega * R(x, y_c) of the training loss, from pooled hidden states, and its automatic weight.

    R = (1/T) sum_t d . log p(. | x, y_<t) = scale * (u . mean_t h_t + b . d),    u = W^T d

d sums to 0, so the softmax normaliser cancels and W meets d alone: u [H] is computed once where the head is frozen and
inside the graph where it learns (a tied embedding too). Soft-capped logits are not linear in h; there R is the mean of
d . z_t, which head_values computes. dR/dz_t = d/T does not depend on the policy: the term is unbounded, so R is watched.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deft_core.errors import InputError, ModelError
from deft_core.lm.models import Head

__all__ = ["SHARE", "auto_weight", "checked_d", "direction", "gradient_norms", "linear_reward"]

B = TypeVar("B")  # whatever a step calls a batch
SHARE = 0.1  # of L_align's gradient norm: what an automatic weight gives the term
_ROWS = 8192  # of W at a time, so that a half-precision head is never copied whole


def checked_d(d: NDArray[np.float64], vocabulary: int) -> Tensor:
    """d [V] in float32, where it is one for this head and sums to 0: the identity above holds for no other."""
    if len(d) != vocabulary:
        raise ModelError(f"a discrepancy over the model's {vocabulary} token ids", f"{len(d)}", "Use the d of this model's tokenizer.")
    total = float(np.sum(d))
    if not abs(total) <= 1e-6 * max(1.0, float(np.abs(d).sum())):
        remedy = "Normalise q+ and q- to 1 each after masking tokens, then subtract."
        raise InputError("a discrepancy that sums to 0", f"{total:.3g}", remedy)
    return torch.tensor(d, dtype=torch.float32)


def direction(head: Head, d: Tensor) -> tuple[Tensor, Tensor]:
    """(u = W^T d [H], b . d []) in the precision of d; with the graph where W and b learn."""
    with torch.autocast(d.device.type, enabled=False):
        blocks = zip(torch.split(head.weight, _ROWS), torch.split(d, _ROWS), strict=True)
        u = torch.stack([part @ weight.to(d.dtype) for weight, part in blocks]).sum(0)
        offset = torch.zeros((), device=d.device) if head.bias is None else head.bias.to(d.dtype) @ d
    return u, offset


def linear_reward(pooled: Tensor, u: Tensor, offset: Tensor, scale: float) -> Tensor:
    """R [N] of pooled hidden states [N, H] in float32."""
    with torch.autocast(pooled.device.type, enabled=False):
        return scale * (pooled.float() @ u + offset)


def auto_weight(norms: Sequence[tuple[float, float]], share: float = SHARE) -> float:
    """omega: the median over batches of share * |grad L_align| / |grad R|; 0 where R has no gradient anywhere.

    `norms` are (of L_align, of R) batch by batch.
    """
    ratios = [share * align / reward for align, reward in norms if reward > 0]
    if not all(math.isfinite(ratio) for ratio in ratios):
        remedy = "Look at the rows of the first batches, or give a weight yourself."
        raise InputError("finite gradients in the first batches", str(norms), remedy)
    return statistics.median(ratios) if ratios else 0.0


def gradient_norms(
    parts: Callable[[B], tuple[Tensor, Tensor]], parameters: Iterable[Tensor], micro_batches: Iterable[B]
) -> tuple[float, float]:
    """Norms of the gradients of a step's two parts, over the parameters that learn.

    `parts` gives (L_align, the term at omega 1) of a micro-batch; over the micro-batches of a step they add up.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    sums = [[torch.zeros_like(parameter) for parameter in learning] for _ in range(2)]
    for batch in micro_batches:
        for side, value in enumerate(parts(batch)):
            gradients = torch.autograd.grad(value, learning, retain_graph=side == 0, materialize_grads=True)
            for total, gradient in zip(sums[side], gradients, strict=True):
                total.add_(gradient)
    align, reward = (math.hypot(*(float(torch.linalg.vector_norm(total)) for total in totals)) for totals in sums)
    return align, reward
