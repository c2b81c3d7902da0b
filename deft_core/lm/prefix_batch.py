"""Token rows as padded batches in which every prompt is computed once.

One row of a batch is `prompt | response 1 | ... | response n`. Each response's positions go on from the prompt's end, and
a tree mask lets a response see the prompt and itself, never another response:

                p p p a a b b        p prompt, a and b two responses; x = sees
            a   x x x x . . .
            a   x x x x x . .
            b   x x x . . x .

In the plain layout each response is a row of its own behind a copy of its prompt, under the ordinary causal mask: for
models to which positions or masks cannot be given. Knows nothing of models or rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from deft_core.lm.tokens import TokenRow

__all__ = ["LAYOUTS", "Batch", "batches", "build"]

LAYOUTS = ("prefix-shared", "plain")
_PAD = -1  # the segment of padding; a prompt is 0, responses are 1, 2, ...


@dataclass(frozen=True)
class Batch:
    """B rows of L tokens, and where the N = sum of (T + ended) predictions of all responses are read off.

    Predictions stand response after response in the order of `owners`; an ended response's last one is its end token.
    """

    input_ids: Tensor  # [B, L]
    positions: Tensor  # [B, L]
    mask: Tensor  # prefix-shared: [B, 1, L, L], 0 where seen, else the dtype's lowest; plain: [B, L], 1 where a token is
    gather: Tensor  # [N] into the B*L flattened positions: the hidden state that predicts
    targets: Tensor  # [N] the token predicted
    lengths: list[int]  # predictions of each response
    owners: list[tuple[int, int]]  # (index of the preference among the rows given, index of the response)

    def to(self, device: torch.device) -> Batch:
        tensors: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **tensors)


def batches(rows: Sequence[TokenRow], budget: int) -> list[list[int]]:
    """Indices of `rows` in batches of at most `budget` padded tokens (or one row), longest first; for scoring, not training."""
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].input_tokens(), i))
    out: list[list[int]] = []
    for i in order:
        if out and (len(out[-1]) + 1) * rows[out[-1][0]].input_tokens() <= budget:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def build(rows: Sequence[TokenRow], end_token: int, layout: str = "prefix-shared", dtype: torch.dtype = torch.float32) -> Batch:
    """The batch of these rows in one of LAYOUTS."""
    lines = _lines(rows, layout)
    width = max(len(row.prompt) + sum(map(len, responses)) for row, responses, _ in lines)
    input_ids = torch.full((len(lines), width), end_token)
    positions = torch.zeros((len(lines), width), dtype=torch.long)
    segments = torch.full((len(lines), width), _PAD)
    gather: list[int] = []
    targets: list[int] = []
    lengths: list[int] = []
    owners: list[tuple[int, int]] = []
    for b, (row, responses, owner) in enumerate(lines):
        p = len(row.prompt)
        tokens = row.prompt + [token for response in responses for token in response]
        input_ids[b, : len(tokens)] = torch.tensor(tokens)
        positions[b, :p] = torch.arange(p)
        segments[b, :p] = 0
        start = p
        for k, response in enumerate(responses):
            end = start + len(response)
            positions[b, start:end] = torch.arange(p, p + len(response))
            segments[b, start:end] = k + 1
            index = (owner[0], owner[1] + k)
            ended = row.ended[index[1]]
            read = [p - 1, *range(start, end)][: len(response) + ended]  # the hidden state before each token predicted
            gather += [b * width + at for at in read]
            targets += response + [end_token] * ended
            lengths.append(len(read))
            owners.append(index)
            start = end
    mask = _tree_mask(segments, dtype) if layout == "prefix-shared" else (segments != _PAD).long()
    return Batch(input_ids, positions, mask, torch.tensor(gather), torch.tensor(targets), lengths, owners)


def _lines(rows: Sequence[TokenRow], layout: str) -> list[tuple[TokenRow, list[list[int]], tuple[int, int]]]:
    """(row, the responses that share a line, (row's index, first response's index)) for every line of the batch."""
    if layout == "prefix-shared":
        return [(row, row.responses, (i, 0)) for i, row in enumerate(rows)]
    return [(row, [response], (i, k)) for i, row in enumerate(rows) for k, response in enumerate(row.responses)]


def _tree_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, 1, L, L] additive mask: an earlier token is seen where it is the prompt's or of the same segment."""
    width = segments.shape[1]
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    query, key = segments[:, :, None], segments[:, None, :]  # [B, L, 1], [B, 1, L]
    seen = earlier & ((key == 0) | (key == query))  # padding sees itself, so that no softmax is over nothing
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
