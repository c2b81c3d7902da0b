"""Alignment losses, each a pure function of log-probabilities. Knows nothing of models, batches or guidance.

    lp(y) = sum_t log p(y_t), the end token included;  T = number of tokens summed;  s(y) = lp(y) / T
    c = lp(y_c) - lp_ref(y_c),  r = lp(y_r) - lp_ref(y_r)      y_c chosen, y_r rejected

    SFT     -s_c                                                weighted by T_c, so that a step is a mean over tokens
    DPO     -log sigmoid(beta (c - r))                          Rafailov et al., arXiv 2305.18290
    IPO     (c / T_c - r / T_r - 1 / (2 beta))^2                Azar et al., arXiv 2310.12036, by length as TRL has it
    SimPO   -log sigmoid(beta (s_c - s_r) - gamma)              Meng et al., arXiv 2405.14734
    ORPO    -s_c - weight log sigmoid(o(s_c) - o(s_r)),         Hong et al., arXiv 2403.07691
            o(s) = log(p / (1 - p)) with p = exp(s)
    PRO     sum_k L_k + weight (n - 1)^2 (-lp(y_1)),            Song et al., arXiv 2306.17492
            L_k = log(exp(T_k s_k) + sum_i exp(T_k^i s_i)) - T_k s_k over the i ranked below k,
            T_k^i = level_k - level_i,  T_k = max_i T_k^i

Every function returns the loss of each row [R] and what of it is worth watching [R], detached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from deft_core.errors import InputError

__all__ = ["METHODS", "Losses", "Objective", "default_beta", "dpo", "ipo", "levels", "orpo", "pro", "sft", "simpo"]

METHODS = ("dpo", "pro", "sft", "ipo", "simpo", "orpo")


class Losses(NamedTuple):
    rows: Tensor  # [R]
    watched: dict[str, Tensor]  # [R] each, without gradient


@dataclass(frozen=True)
class Objective:
    """A method with its coefficients; those of other methods are not read."""

    method: str = "dpo"
    beta: float = 0.1  # DPO, IPO, SimPO; see default_beta
    gamma: float = 1.0  # SimPO: the margin asked for
    odds_weight: float = 0.1  # ORPO: of the odds-ratio term
    likelihood_weight: float = 0.05  # PRO: of the likelihood term, as in the authors' scripts
    gap: float = 1.0  # PRO: between neighbouring ranks, where there are no scores

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"a method among {', '.join(METHODS)}", repr(self.method), "Choose one of them.")
        for name in ("beta", "gap"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"a {name} above 0", str(getattr(self, name)), f"Give a positive {name}.")
        for name in ("gamma", "odds_weight", "likelihood_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"a {name.replace('_', ' ')} of at least 0", str(getattr(self, name)), "Give 0 or more.")

    @property
    def needs_reference(self) -> bool:
        return self.method in ("dpo", "ipo")

    @property
    def implicit_beta(self) -> float:
        """The beta of the implicit rewards that are reported: the loss's own, else DPO's usual one, so that methods compare."""
        return self.beta if self.needs_reference else default_beta("dpo")


def default_beta(method: str) -> float:
    """The papers' and TRL's; SimPO's acts on means over tokens, so it is larger."""
    return 2.0 if method == "simpo" else 0.1


def sft(lp_chosen: Tensor, tokens_chosen: Tensor) -> Losses:
    """Cross-entropy a token [R]; weighted by tokens its mean is the token mean of the batch."""
    return Losses(-lp_chosen / tokens_chosen, {})


def dpo(lp_chosen: Tensor, lp_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float) -> Losses:
    compared = beta * ((lp_chosen - ref_chosen) - (lp_rejected - ref_rejected))
    return Losses(-logsigmoid(compared), {"compared": compared.detach()})


def ipo(
    lp_chosen: Tensor,
    lp_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    tokens_chosen: Tensor,
    tokens_rejected: Tensor,
    beta: float,
) -> Losses:
    compared = (lp_chosen - ref_chosen) / tokens_chosen - (lp_rejected - ref_rejected) / tokens_rejected
    return Losses((compared - 1 / (2 * beta)) ** 2, {"compared": compared.detach()})


def simpo(lp_chosen: Tensor, lp_rejected: Tensor, tokens_chosen: Tensor, tokens_rejected: Tensor, beta: float, gamma: float) -> Losses:
    compared = beta * (lp_chosen / tokens_chosen - lp_rejected / tokens_rejected) - gamma
    return Losses(-logsigmoid(compared), {"compared": compared.detach()})


def orpo(lp_chosen: Tensor, lp_rejected: Tensor, tokens_chosen: Tensor, tokens_rejected: Tensor, weight: float) -> Losses:
    """The likelihood term is over the response alone; TRL's covers the prompt too."""
    s_chosen, s_rejected = lp_chosen / tokens_chosen, lp_rejected / tokens_rejected
    compared = _log_odds(s_chosen) - _log_odds(s_rejected)
    ranking = -weight * logsigmoid(compared)
    watched = {"compared": compared, "loss_likelihood": -s_chosen, "loss_ranking": ranking}
    return Losses(ranking - s_chosen, {name: value.detach() for name, value in watched.items()})


def _log_odds(s: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(s). A response the model is certain of (s = 0 in float32) has no gradient, not NaN."""
    s = s.clamp(max=-1e-7)
    return s - torch.log(-torch.expm1(s))


def pro(lp: Tensor, tokens: Tensor, ranks: Tensor, level: Tensor, weight: float) -> Losses:
    """Rankings [R, n], best first; a row of fewer than n responses has rank 0 in the places left over.

    ranks are dense with 1 best; level [R, n] is as high as a response is good (see `levels`). Responses tied with k are in
    no L_k: a zero gap would add exp(0) to the sum.
    """
    s = lp / tokens
    ranking = torch.zeros_like(lp[:, 0])
    for k in range(lp.shape[1] - 1):
        below = (ranks > ranks[:, k : k + 1]) & (ranks[:, k : k + 1] > 0)  # [R, n]
        gaps = torch.where(below, level[:, k : k + 1] - level, 0)  # [R, n] T_k^i
        top = gaps.amax(1) * s[:, k]  # [R] T_k s_k; 0 where nothing is below
        terms = torch.where(below, gaps * s, -torch.inf)
        ranking = ranking + torch.logsumexp(torch.cat([top[:, None], terms], 1), 1) - top
    n = (ranks > 0).sum(1).to(lp.dtype)  # [R]
    likelihood = -weight * (n - 1) ** 2 * lp[:, 0]
    return Losses(ranking + likelihood, {"loss_ranking": ranking.detach(), "loss_likelihood": likelihood.detach()})


def levels(ranks: Sequence[int], scores: Sequence[float | None], gap: float) -> tuple[list[float], bool]:
    """(how good each response of a ranking is, whether by scores).

    The scores, where every response has one and they fall from rank to rank; else `gap` a rank: without gaps the ranking
    term has no gradient, and scores against the ranks would turn it round.
    """
    known = [score for score in scores if score is not None and isfinite(score)]
    if len(known) == len(ranks):
        pairs = list(zip(ranks, known, strict=True))
        if all(a > b for rank_a, a in pairs for rank_b, b in pairs if rank_a < rank_b):
            return known, True
    return [-gap * rank for rank in ranks], False
