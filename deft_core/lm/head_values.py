"""The LM head: log p(target), entropy and d . z at N positions, with gradients or without, and never a tensor of N times V numbers.

    logits z = soft_cap(scale * (W h + b))           [N, V], in blocks of the vocabulary
    log p(target) = z_target - log sum_v exp(z_v)    [N]
    entropy = log sum_v exp(z_v) - sum_v p_v z_v     [N], for watching, without gradient
    d . z                                            [N], where d [V] is given: for heads that are not linear

Going back, each block's logits are computed again instead of kept, and the gradients of h, W and b are added up block by
block. Knows nothing of rewards, losses or batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from deft_core.lm.models import Head

__all__ = ["HeadPass", "HeadValues", "head_pass", "head_values"]

_BLOCK = 2048  # vocabulary rows at a time: [1,000 tokens, 2,048] floats are 8 MB, which caches hold; twice as fast as all at once


class HeadPass(NamedTuple):
    logps: Tensor  # [N]
    normalisers: Tensor  # [N] log sum_v exp(z_v)
    entropies: Tensor | None  # [N]
    dots: Tensor | None  # [N] d . z


def head_pass(head: Head, h: Tensor, targets: Tensor, d: Tensor | None = None, *, entropies: bool = False) -> HeadPass:
    """Of hidden states h [N, H] and targets [N], without a graph: scoring's whole way through the head, and training's way forward."""
    kept: list[Tensor] = []
    means: list[Tensor] = []
    target = torch.empty(len(h), device=h.device, dtype=torch.promote_types(h.dtype, torch.float32))
    dots = None if d is None else torch.zeros_like(target)
    for rows in _blocks(len(head.weight)):
        z = head.logits(h, rows)  # [N, block]
        here = torch.nonzero((targets >= rows.start) & (targets < rows.stop))[:, 0]
        target[here] = z[here, targets[here] - rows.start]
        if d is not None and dots is not None:
            dots += z @ d[rows].to(z.dtype)
        kept.append(torch.logsumexp(z, 1))
        if entropies:
            means.append((z - kept[-1][:, None]).exp_().mul_(z).sum(1))  # the block's own mean logit
    sums = torch.stack(kept, 1)  # [N, blocks]
    normalisers = torch.logsumexp(sums, 1)
    mean = ((sums - normalisers[:, None]).exp() * torch.stack(means, 1)).sum(1) if entropies else None
    return HeadPass(target - normalisers, normalisers, None if mean is None else normalisers - mean, dots)


class HeadValues(NamedTuple):
    logps: Tensor  # [N]
    entropies: Tensor  # [N], detached
    dots: Tensor | None  # [N] d . z


def head_values(head: Head, h: Tensor, targets: Tensor, d: Tensor | None = None) -> HeadValues:
    """Of hidden states h [N, H] and targets [N]; products in the autocast precision where there is one, sums in float32 or better."""
    kind = h.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight.dtype
    with torch.autocast(kind, enabled=False):
        logps, entropies, dots = _HeadValues.apply(  # type: ignore[no-untyped-call]
            h.to(dtype), head.weight, head.bias, targets, d, head.scale, head.cap
        )
    return HeadValues(logps, entropies, dots)


def _blocks(vocabulary: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, vocabulary)) for start in range(0, vocabulary, _BLOCK))


class _HeadValues(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, d: Tensor | None, scale: float, cap: float | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        found = head_pass(Head(weight, bias, scale, cap), h, targets, d, entropies=True)
        ctx.save_for_backward(h, weight, bias, targets, d, found.normalisers)
        ctx.scale, ctx.cap = scale, cap
        ctx.mark_non_differentiable(found.entropies)
        ctx.set_materialize_grads(False)
        return found.logps, found.entropies, found.dots

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        h, weight, bias, targets, d, normaliser = ctx.saved_tensors
        of_logps, _, of_dots = gradients
        of_h = torch.zeros_like(h, dtype=normaliser.dtype) if ctx.needs_input_grad[0] else None
        of_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        of_bias = torch.empty_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        head = Head(weight, bias, ctx.scale, ctx.cap)
        for rows in _blocks(len(weight)):
            z = head.logits(h, rows)
            of_z = torch.zeros_like(z)  # [N, block]
            if of_logps is not None:
                of_z = torch.exp(z - normaliser[:, None]).mul_(-of_logps[:, None])
                here = torch.nonzero((targets >= rows.start) & (targets < rows.stop))[:, 0]
                of_z[here, targets[here] - rows.start] += of_logps[here]
            if of_dots is not None and d is not None:
                of_z += of_dots[:, None] * d[rows].to(z.dtype)
            if ctx.cap is not None:
                of_z *= 1 - (z / ctx.cap) ** 2
            if ctx.scale != 1:
                of_z *= ctx.scale
            of_product = of_z.to(h.dtype)
            if of_h is not None:
                of_h += of_product @ weight[rows].to(h.dtype)
            if of_weight is not None:
                of_weight[rows] = of_product.T @ h
            if of_bias is not None:
                of_bias[rows] = of_product.sum(0)
        return None if of_h is None else of_h.to(h.dtype), of_weight, of_bias, None, None, None, None
