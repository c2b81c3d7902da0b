"""One step's loss with everything differentiable in one module's forward: backbone, head, loss and guidance.

    loss = L_align - omega * R(chosen)

Data-parallel wrappers synchronise gradients of what runs inside the module they wrap, so nothing of it runs outside. The head
meets only the positions that predict response tokens, block by block of the vocabulary. Knows nothing of optimisers, files
or processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deft_core.errors import ModelError
from deft_core.lm import losses
from deft_core.lm.guidance import auto_weight, checked_d, direction, gradient_norms, linear_reward
from deft_core.lm.head_values import HeadValues, head_values
from deft_core.lm.losses import Losses, Objective
from deft_core.lm.models import Head, head_of
from deft_core.lm.prefix_batch import Batch
from deft_core.lm.train_batch import TrainBatch

__all__ = ["Readout", "StepOutput", "TrainStep", "auto_omega", "metrics", "watch"]


class StepOutput(NamedTuple):
    """Of a (micro-)batch. The first three add up over the micro-batches of a step."""

    loss: Tensor  # [] align + guidance
    align: Tensor  # []
    guidance: Tensor  # [] -omega * R(chosen)
    rows: Tensor  # [R] alignment loss of each row, detached: whose is not finite
    watched: dict[str, Tensor]  # [R] each, detached; see TrainStep.watch


class Readout(NamedTuple):
    """What a model says of a batch's responses."""

    lp: Tensor  # [R, n] summed log-probabilities
    rewards: Tensor  # [R, n] R
    entropies: Tensor  # [N] of each prediction, detached
    states: Tensor  # [N, H] what the head read; with own_logits what it said, [N, V]


class TrainStep(nn.Module):
    """A causal language model (or a peft one around it), the frozen d [V], a method and omega.

    Dropout is switched off, as in TRL: against a reference without it log-ratios would be noise.
    """

    def __init__(
        self,
        model: Any,
        d: NDArray[np.float64],
        objective: Objective,
        omega: float = 0.0,
        layout: str = "prefix-shared",
        own_logits: bool = False,
    ) -> None:
        super().__init__()
        self.model = _without_dropout(model)
        self.objective, self.omega, self.layout, self.own_logits = objective, omega, layout, own_logits
        described = head_of(self.causal)
        self.scale, self.cap = described.scale, described.cap
        output = self.causal.get_output_embeddings()
        if hasattr(output, "base_layer") or hasattr(output, "original_module"):  # peft's wrappers; W alone would miss what they add
            raise ModelError("an LM head without an adapter", "one", "Leave lm_head out of the adapter's target modules.")
        self.d = checked_d(d, len(described.weight)).to(described.weight.device)  # no buffer: casting the model must not cast d
        head = self.head
        self.head_learns = any(part is not None and part.requires_grad for part in (head.weight, head.bias))
        self.fixed = None if self.head_learns or not head.linear else direction(head, self.d)

    @property
    def causal(self) -> Any:
        """The causal language model itself; looked up on each call, because wrappers replace modules."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def head(self) -> Head:
        output = self.causal.get_output_embeddings()
        return Head(output.weight, getattr(output, "bias", None), self.scale, self.cap)

    def forward(self, batch: TrainBatch) -> StepOutput:
        read = self.read(batch)
        found = alignment(self.objective, batch, read.lp)
        per_row = batch.lengths[:, 0] / batch.step_tokens if self.objective.method == "sft" else 1 / batch.step_rows
        align = (found.rows * per_row).sum()
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.omega != 0):
            guidance = -self.omega * read.rewards[:, 0].sum() / batch.step_rows
        watched = found.watched | watch(batch, read.lp.detach(), read.rewards.detach(), read.entropies, self.objective.implicit_beta)
        return StepOutput(align + guidance, align, guidance, found.rows.detach(), watched)

    def read(self, batch: TrainBatch) -> Readout:
        """What the model says of the responses, before any loss."""
        d = self.d.to(batch.slots.device)
        states = self.states(batch.tokens)
        values = self.values(states, batch.tokens.targets, d)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.omega != 0):
            rewards = self._rewards(values, states, d, batch)
        lp = _sums(values.logps, batch.tokens.lengths)
        return Readout(batch.grid(lp), batch.grid(rewards), values.entropies, states)

    def states(self, batch: Batch) -> Tensor:
        """Hidden states [N, H] at the N predictions; with own_logits the logits [N, V] themselves."""
        arguments = {"input_ids": batch.input_ids, "attention_mask": batch.mask, "use_cache": False}
        if self.layout == "prefix-shared":
            arguments["position_ids"] = batch.positions
        if self.own_logits:
            return self.model(**arguments).logits.flatten(0, 1)[batch.gather].float()  # type: ignore[no-any-return]
        return self.causal.base_model(**arguments).last_hidden_state.flatten(0, 1)[batch.gather]  # type: ignore[no-any-return]

    def values(self, states: Tensor, targets: Tensor, d: Tensor) -> HeadValues:
        """What the head says of the targets [N] at these states; d . z where rewards are not linear in hidden states."""
        if self.own_logits:
            logp = torch.log_softmax(states, 1)
            entropies = -(logp.detach().exp() * logp.detach()).sum(1)
            return HeadValues(logp.gather(1, targets[:, None])[:, 0], entropies, states @ d)
        head = self.head
        return head_values(head, states, targets, None if head.linear else d)

    def logits(self, states: Tensor, rows: slice) -> Tensor:
        """Float32 logits [N, V'] of these states for the vocabulary rows asked for."""
        return states[:, rows] if self.own_logits else self.head.logits(states, rows)

    def _rewards(self, values: HeadValues, states: Tensor, d: Tensor, batch: TrainBatch) -> Tensor:
        """R [J] of each response; the position that predicts the end token has no part in it."""
        if values.dots is not None:
            return torch.stack([part.mean() for part in _first(values.dots, batch)])
        pooled = torch.stack([part.float().mean(0) for part in _first(states, batch)])  # [J, H]
        u, offset = self.fixed or direction(self.head, d)
        return linear_reward(pooled, u.to(d.device), offset.to(d.device), self.scale)


def alignment(objective: Objective, batch: TrainBatch, lp: Tensor) -> Losses:
    """The method's loss of each row from summed log-probabilities lp [R, n]."""
    tokens, reference = batch.lengths, batch.reference
    if objective.method == "sft":
        return losses.sft(lp[:, 0], tokens[:, 0])
    if objective.method == "pro":
        return losses.pro(lp, tokens, batch.ranks, batch.levels, objective.likelihood_weight)
    pair, lengths = (lp[:, 0], lp[:, 1]), (tokens[:, 0], tokens[:, 1])
    if objective.method == "simpo":
        return losses.simpo(*pair, *lengths, objective.beta, objective.gamma)
    if objective.method == "orpo":
        return losses.orpo(*pair, *lengths, objective.odds_weight)
    assert reference is not None  # collate refuses rows without one
    references = reference[:, 0], reference[:, 1]
    if objective.method == "dpo":
        return losses.dpo(*pair, *references, objective.beta)
    return losses.ipo(*pair, *references, *lengths, objective.beta)


def watch(batch: TrainBatch, lp: Tensor, rewards: Tensor, entropies: Tensor, beta: float) -> dict[str, Tensor]:
    """What a run reports of each row [R]; in a ranking, rejected is the mean over all that are not top.

    reward_* is R, implicit_* is beta (lp - lp_ref) and margin their difference; entropy is the mean over the row's predictions.
    accuracy_implicit compares implicit rewards, accuracy_logp log-probabilities a token; a tie is one half.
    """
    grids = {"reward": rewards, "logp": lp, "mean_logp": lp / batch.lengths}
    grids["tokens"] = batch.grid(torch.tensor(batch.response_tokens, dtype=lp.dtype, device=lp.device))
    if batch.reference is not None:
        grids["implicit"] = beta * (lp - batch.reference)
    found = {f"{name}_chosen": grid[:, 0] for name, grid in grids.items()}
    found["entropy"] = batch.grid(_sums(entropies, batch.tokens.lengths)).sum(1) / (batch.lengths * (batch.ranks > 0)).sum(1)
    below = (batch.ranks > 1).float()
    if below.any():  # SFT reads the chosen response alone
        found |= {f"{name}_rejected": (grid * below).sum(1) / below.sum(1) for name, grid in grids.items()}
        found["accuracy_logp"] = _above(found["mean_logp_chosen"], found["mean_logp_rejected"])
        if batch.reference is not None:
            found["margin"] = found["implicit_chosen"] - found["implicit_rejected"]
            found["accuracy_implicit"] = _above(found["implicit_chosen"], found["implicit_rejected"])
    return found


def metrics(outputs: Sequence[StepOutput], processes: int = 1) -> dict[str, float]:
    """One step's numbers from its micro-batches: losses add up (over processes they are averaged), the rest is a mean over rows."""
    parts = {"loss": "loss", "loss_align": "align", "loss_guidance": "guidance"}
    found = {name: sum(getattr(output, part).item() for output in outputs) / processes for name, part in parts.items()}
    return found | {name: float(torch.cat([output.watched[name] for output in outputs]).mean()) for name in outputs[0].watched}


def auto_omega(step: TrainStep, steps: Iterable[Sequence[TrainBatch]]) -> tuple[float, list[tuple[float, float]]]:
    """(omega, norms of the two parts' gradients step by step): measured over the steps given, and set."""
    step.omega = 1.0
    norms = [gradient_norms(lambda batch: step(batch)[1:3], step.parameters(), micro_batches) for micro_batches in steps]
    step.omega = auto_weight(norms)
    return step.omega, norms


def _sums(values: Tensor, lengths: Sequence[int]) -> Tensor:
    """Of N predictions, summed response by response [J]."""
    return torch.stack([part.sum() for part in torch.split(values, list(lengths))])


def _first(values: Tensor, batch: TrainBatch) -> list[Tensor]:
    """The values [T] or [T, H] at each response's own tokens, without the end token."""
    parts = torch.split(values, batch.tokens.lengths)
    return [part[:tokens] for part, tokens in zip(parts, batch.response_tokens, strict=True)]


def _above(a: Tensor, b: Tensor) -> Tensor:
    return (a > b).float() + 0.5 * (a == b).float()


def _without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "attention_dropout", None), float):  # given to the attention function as a number
            module.attention_dropout = 0.0
    return model
