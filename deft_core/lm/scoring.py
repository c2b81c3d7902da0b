"""Distribution rewards, pooled hidden states and token log-probabilities of responses, from the backbone.

With d summing to 0 the softmax normaliser cancels, so a reward needs only final hidden states (discrepancy.py):

    r_t = scale * (u . h_t + b . d),   R = mean_t r_t over the T response tokens,   u = W^T d

The LM head is used for log-probabilities alone, on the positions that predict response tokens, in blocks of the
vocabulary that stay in the processor's cache; no [tokens, V] tensor is ever made. Where logits are soft-capped they are
not linear in h, and r_t = d . z_t is summed in the same pass over the blocks. Dots and means are float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deft_core.errors import ModelError
from deft_core.lm import prefix_batch
from deft_core.lm.guidance import direction, linear_reward
from deft_core.lm.head_values import head_pass
from deft_core.lm.models import LanguageModel
from deft_core.lm.prefix_batch import Batch
from deft_core.lm.tokens import TokenRow

__all__ = ["ResponseScore", "Scorer", "reference_scores"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ResponseScore:
    reward: float  # R, the mean of token_rewards
    logp: float  # lp, the sum of token_logps
    token_rewards: Floats  # [T]
    token_logps: Floats  # [T], or [T + 1] where the end token was scored
    pooled: Floats  # [H], the mean hidden state over the T positions


class Scorer:
    """Scores token rows with one model, one d and one layout; deterministic for given rows and thread count.

    `own_logits` asks the model itself for its logits, for heads that W, b, scale and cap do not describe.
    """

    def __init__(
        self,
        lm: LanguageModel,
        d: NDArray[np.float64],
        layout: str = "prefix-shared",
        batch_tokens: int | None = None,
        own_logits: bool = False,
    ) -> None:
        self.lm, self.layout, self.batch_tokens, self.own_logits = lm, layout, batch_tokens or lm.batch_tokens, own_logits
        vocabulary = lm.head.weight.shape[0]
        if len(d) != vocabulary:
            raise ModelError(f"a discrepancy over the model's {vocabulary} token ids", f"{len(d)}", "Use the d of this model's tokenizer.")
        if lm.tokenizer.eos_token_id is None:
            raise ModelError("a tokenizer with an end token", "none", "Set eos_token in the model's tokenizer_config.json.")
        self.linear = lm.head.linear and not own_logits
        self.d = torch.tensor(d, dtype=torch.float32).to(lm.device)
        self.u, self.offset = (part.float() for part in direction(lm.head, self.d.double()))  # u = W^T d [H], b . d

    def score(self, rows: Sequence[TokenRow]) -> list[list[ResponseScore]]:
        """The scores of every response of every row, in the rows' order."""
        out: list[list[ResponseScore]] = [[] for _ in rows]
        for indices, scores in self.score_batches(rows):
            for i, found in zip(indices, scores, strict=True):
                out[i] = found
        return out

    def score_batches(self, rows: Sequence[TokenRow]) -> Iterator[tuple[list[int], list[list[ResponseScore]]]]:
        """(indices of rows, their scores), batch after batch, so that a caller can count and stop between them."""
        for indices in prefix_batch.batches(rows, self.batch_tokens):
            chosen = [rows[i] for i in indices]
            batch = prefix_batch.build(chosen, self.lm.tokenizer.eos_token_id, self.layout, self.lm.dtype)
            scores: list[list[ResponseScore]] = [[] for _ in chosen]
            for (row, _), score in zip(batch.owners, self._score(batch.to(self.lm.device), chosen), strict=True):
                scores[row].append(score)
            yield indices, scores

    @torch.inference_mode()
    def _score(self, batch: Batch, rows: Sequence[TokenRow]) -> list[ResponseScore]:
        arguments = {"input_ids": batch.input_ids, "attention_mask": batch.mask, "use_cache": False}
        if self.layout == "prefix-shared":
            arguments["position_ids"] = batch.positions
        if self.own_logits:
            output = self.lm.model(**arguments, output_hidden_states=True)
            h = output.hidden_states[-1].flatten(0, 1)[batch.gather].float()  # [N, H]
            z = output.logits.flatten(0, 1)[batch.gather].float()  # [N, V]
            logps = z.gather(1, batch.targets[:, None])[:, 0] - torch.logsumexp(z, 1)
            rewards = z @ self.d
        else:
            hidden = self.lm.backbone(**arguments).last_hidden_state  # [B, L, H]
            h = hidden.flatten(0, 1)[batch.gather]  # [N, H]
            read = head_pass(self.lm.head, h, batch.targets, None if self.linear else self.d)
            logps, h = read.logps, h.float()
            rewards = linear_reward(h, self.u, self.offset, self.lm.head.scale) if read.dots is None else read.dots
        tokens = [len(rows[row].responses[k]) for row, k in batch.owners]
        return _by_response(rewards, logps, h, batch.lengths, tokens)


def _by_response(rewards: Tensor, logps: Tensor, h: Tensor, lengths: list[int], tokens: list[int]) -> list[ResponseScore]:
    """Cut what was predicted at N positions into responses; the position that predicts the end token is in logp alone."""
    out = []
    split = zip(torch.split(rewards, lengths), torch.split(logps, lengths), torch.split(h, lengths), tokens, strict=True)
    for r, lp, states, t in split:
        token_rewards = r[:t].cpu().numpy()
        reward = float(token_rewards.mean(dtype=np.float64)) if t else float("nan")
        pooled = states[:t].mean(0) if t else torch.zeros_like(h[0])
        token_logps = lp.cpu().numpy()
        out.append(ResponseScore(reward, float(token_logps.sum(dtype=np.float64)), token_rewards, token_logps, pooled.cpu().numpy()))
    return out


@torch.inference_mode()
def reference_scores(lm: LanguageModel, d: NDArray[np.float64], row: TokenRow) -> list[tuple[float, Floats]]:
    """(R, log-probability of each token, the end token included) of each response by the definition.

    One plain forward a response, a full log-softmax, no identity.

    Slow on purpose. The scorer's self-check and the tests hold every fast path against it.
    """
    weights = torch.tensor(d, dtype=torch.float32).to(lm.device)
    out = []
    for response, ended in zip(row.responses, row.ended, strict=True):
        ids = torch.tensor([row.prompt + response], device=lm.device)
        logits = lm.model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 :]  # [T + 1, V]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # a float64 model keeps its precision
        logp = torch.log_softmax(logits, 1)
        targets = torch.tensor(response + [lm.tokenizer.eos_token_id] * ended, device=lm.device)
        taken = logp[: len(targets)].gather(1, targets[:, None])
        mean = logp[: len(response)].double().mean(0)  # [V], the average log-probability vector
        out.append((float(mean @ weights.double()), taken[:, 0].cpu().numpy()))
    return out
