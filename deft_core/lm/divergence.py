"""Exact KL divergence between two models' next-token distributions, block by block of the vocabulary.

    KL(p || q) = sum_v p_v (log p_v - log q_v) = sum_v p_v (z_v - y_v) - log sum_v exp(z_v) + log sum_v exp(y_v)

with logits z of p and y of q: in nats, at each of N positions, without a tensor of N times V numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Logits", "kl"]

Logits = Callable[[slice], Tensor]  # logits [N, V'] for the vocabulary rows asked for
_BLOCK = 2048  # as in scoring


def kl(p: Logits, q: Logits, vocabulary: int) -> Tensor:
    """KL(p || q) [N] in nats; never below 0, which rounding would allow."""
    of_p, of_q, means = [], [], []
    for start in range(0, vocabulary, _BLOCK):
        rows = slice(start, min(start + _BLOCK, vocabulary))
        z, y = p(rows), q(rows)  # [N, block]
        of_p.append(torch.logsumexp(z, 1))
        of_q.append(torch.logsumexp(y, 1))
        means.append(((z - of_p[-1][:, None]).exp() * (z - y)).sum(1))  # of z - y under p within the block
    parts = torch.stack(of_p)  # [blocks, N]
    normaliser = torch.logsumexp(parts, 0)
    expected = ((parts - normaliser).exp() * torch.stack(means)).sum(0)
    return (expected - normaliser + torch.logsumexp(torch.stack(of_q), 0)).clamp(min=0)
