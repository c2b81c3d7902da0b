"""What a model says of texts that are there: held-out answers, answers of its own, neutral text; and how far that is from its base.

Everything goes through a training step's own forward (train_step.py), without gradients, in the batches of training. Knows nothing of
files, intervals or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from deft_core.lm import prefix_batch
from deft_core.lm.divergence import kl
from deft_core.lm.losses import Objective
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainBatch, TrainRow, micro_batches
from deft_core.lm.train_step import TrainStep, watch

__all__ = ["WATCHED", "Answers", "Count", "Side", "at_rest", "base_of_adapter", "neutral_nats", "own_kl", "read_answers"]

_EVERY_RESPONSE = Objective("pro")  # of the methods, the one that reads a whole ranking
WATCHED = ("accuracy_implicit", "accuracy_logp", "margin", "reward_chosen", "reward_rejected", "logp_chosen", "logp_rejected")

Count = Callable[[int], None]  # hears how many rows were done


@dataclass(frozen=True)
class Side:
    """A model under evaluation: base or tuned. Its step is only used inside `on()`."""

    step: TrainStep
    end_token: int
    batch_tokens: int
    on: Callable[[], AbstractContextManager[Any]] = nullcontext

    @property
    def vocabulary(self) -> int:
        return len(self.step.d)

    @property
    def device(self) -> torch.device:
        return self.step.head.weight.device

    def batches(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[int], prefix_batch.Batch]]:
        """(indices of rows, their batch on the model's device)."""
        for indices in prefix_batch.batches(rows, self.batch_tokens):
            chosen = [rows[i] for i in indices]
            batch = prefix_batch.build(chosen, self.end_token, self.step.layout, self.step.head.weight.dtype)
            yield indices, batch.to(self.device)


@dataclass(frozen=True)
class Answers:
    """Of the rows' own answers: what is watched of each row, its lp by response, the chosen one's states; empty what was not asked for."""

    watched: list[dict[str, float]]
    logps: list[list[float]]
    states: list[Tensor]  # [T + 1, H] each
    kl: list[tuple[float, int]]  # (nats, predictions) of each chosen answer; empty where no base was given
    pooled: list[Tensor]  # [n, H] float32: mean states of each response's first tokens


def base_of_adapter(side: Side) -> Side:
    """The same model with its adapter switched off."""
    return replace(side, on=side.step.model.disable_adapter)


@contextmanager
def at_rest(*steps: TrainStep) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every step is in the mode it was in."""
    modes = [step.training for step in steps]
    try:
        for step in steps:
            step.eval()
        with torch.no_grad():
            yield
    finally:
        for step, mode in zip(steps, modes, strict=True):
            step.train(mode)


def read_answers(
    side: Side,
    rows: Sequence[TrainRow],
    beta: float,
    *,
    keep_states: bool = False,
    pool_tokens: int = 0,
    base: tuple[Side, list[Tensor]] | None = None,
    count: Count = lambda _: None,
) -> Answers:
    """Every response of every row under a side's model; rows without a reference are read as the base, whose reference is itself.

    With a base (and its states of the chosen answers, in the rows' order, or none: then it is asked), the KL to it as well. With
    `pool_tokens`, states are pooled over so many tokens of each response.
    """
    places = {row.id: place for place, row in enumerate(rows)}
    watched: list[dict[str, float]] = [{} for _ in rows]
    logps: list[list[float]] = [[] for _ in rows]
    states: list[Tensor] = [torch.empty(0) for _ in rows]
    divergences: list[tuple[float, int]] = [(0.0, 0) for _ in rows]
    pooled: list[list[Tensor]] = [[] for _ in rows]
    dtype = side.step.head.weight.dtype
    for micro_batch in micro_batches(rows, side.batch_tokens, _EVERY_RESPONSE, side.end_token, side.step.layout, dtype):
        batch = micro_batch.to(side.device)
        with side.on():
            read = side.step.read(batch)
        if batch.reference is None:
            batch = replace(batch, reference=read.lp)
        found = watch(batch, read.lp, read.rewards, read.entropies, beta)
        chosen = _chosen(batch.tokens, read.states)
        nats = _chosen_nats(side, base, batch.tokens, chosen, [places[row_id] for row_id in batch.ids]) if base else []
        for k, row_id in enumerate(batch.ids):
            place = places[row_id]
            watched[place] = {name: float(found[name][k]) for name in WATCHED}
            logps[place] = read.lp[k, : len(rows[place].ranks)].tolist()
            states[place] = chosen[k].to("cpu", copy=True) if keep_states else states[place]  # a view would keep its batch
            divergences[place] = nats[k] if nats else divergences[place]
        if pool_tokens:
            for (k, _), part in zip(batch.tokens.owners, _pooled(batch, read.states, pool_tokens), strict=True):
                pooled[places[batch.ids[k]]].append(part.cpu())
        count(len(batch.ids))
    stacked = [torch.stack(row) for row in pooled] if pool_tokens else []
    return Answers(watched, logps, states if keep_states else [], divergences if base else [], stacked)


def _pooled(batch: TrainBatch, states: Tensor, most: int) -> list[Tensor]:
    """Mean state [H] of each of the J responses over its first tokens; the prediction of the end token has no part in it."""
    parts = zip(torch.split(states, batch.tokens.lengths), batch.response_tokens, strict=True)
    return [part[: min(tokens, most)].float().mean(0) for part, tokens in parts]


def _chosen(batch: prefix_batch.Batch, states: Tensor) -> list[Tensor]:
    """The states of each row's best response."""
    parts = torch.split(states, batch.lengths)
    return [part for part, (_, k) in zip(parts, batch.owners, strict=True) if k == 0]


def _chosen_nats(
    side: Side, base: tuple[Side, list[Tensor]], batch: prefix_batch.Batch, chosen: list[Tensor], places: list[int]
) -> list[tuple[float, int]]:
    other, kept = base
    if kept:
        under_base = [kept[place].to(side.device) for place in places]
    else:
        with other.on():
            under_base = _chosen(batch, other.step.states(batch))
    each = _nats(side, torch.cat(chosen), other, torch.cat(under_base))
    return [(float(part.sum()), len(part)) for part in torch.split(each, [len(part) for part in chosen])]


def _nats(side: Side, states: Tensor, base: Side, base_states: Tensor) -> Tensor:
    """KL of a side to its base at each prediction [N]; a head has no adapter, so it need not be switched off here."""
    return kl(lambda rows: side.step.logits(states, rows), lambda rows: base.step.logits(base_states, rows), side.vocabulary)


def own_kl(side: Side, base: Side, answers: Sequence[TokenRow], count: Count = lambda _: None) -> list[tuple[float, int]]:
    """(nats, predictions) of each answer that the side's model gave itself."""
    found: list[tuple[float, int]] = [(0.0, 0)] * len(answers)
    for indices, batch in side.batches(answers):
        with side.on():
            states = side.step.states(batch)
        with base.on():
            base_states = base.step.states(batch)
        parts = torch.split(_nats(side, states, base, base_states), batch.lengths)
        for (row, _), part in zip(batch.owners, parts, strict=True):
            found[indices[row]] = float(part.sum()), len(part)
        count(len(indices))
    return found


def neutral_nats(side: Side, texts: Sequence[TokenRow], count: Count = lambda _: None) -> list[tuple[float, int]]:
    """(-log p, tokens) of each text from its second token on."""
    found: list[tuple[float, int]] = [(0.0, 0)] * len(texts)
    for indices, batch in side.batches(texts):
        with side.on():
            logps = side.step.values(side.step.states(batch), batch.targets, side.step.d).logps
        for (row, _), part in zip(batch.owners, torch.split(logps, batch.lengths), strict=True):
            found[indices[row]] = -float(part.sum(dtype=torch.float64)), len(part)
        count(len(indices))
    return found
