"""How sure is d? A bootstrap over conversations, the agreement of random halves, and a verdict in words. NumPy, no torch.

All of it comes from the token counts by group of conversations, never from rows: rows of one conversation are no independent evidence.

    d is what all conversations would give, plus noise whose power falls as 1/m with m conversations, so that two d of m
    conversations each have the expected cosine  r(m) = m / (m + c).  c is read off the largest two halves there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deft_core.discrepancy import discrepancy
from deft_core.group_counts import GROUPS, GroupCounts

__all__ = ["FOLDS", "MOSTLY_NOISE", "STABLE", "Bootstrap", "Verdict", "bootstrap", "chance", "fold_d", "intervals", "noise_constant"]
__all__ += ["split_half", "top_tokens", "verdict"]

FOLDS = 2  # a group's fold: group % FOLDS
STABLE = 0.9  # reliability from which d is called stable
MOSTLY_NOISE = 0.5  # reliability below which the noise in d has more power than what is not noise
CHANCE = 0.05  # where so many random swaps of the sides give as large a d, nothing says that d is more than noise
_WIDESPREAD = 20  # groups; the t of a token in fewer is far from normal, and no such token has one of the largest d
_BLOCK = 1024  # tokens laid out at a time: 2 x 2,048 groups x 1,024 tokens take 32 MB
_HALVINGS = 5  # volumes on the split-half curve below the largest

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    token_ids: NDArray[np.int32]  # [K], those that occur, ascending
    groups: NDArray[np.int64]  # [K], how many groups each occurs in
    d: Floats  # [B, K]


@dataclass(frozen=True)
class Verdict:
    state: str  # stable, noisy or noise
    words: str
    reliability: float | None  # expected cosine of d and the d of as many other conversations; None: too few to tell
    conversations: int
    conversations_needed: int | None  # for a reliability of STABLE; None: nothing here says


# d of groups drawn again


def bootstrap(counts: GroupCounts, replicates: int = 200, seed: int = 0) -> Bootstrap:
    """d of `replicates` sets in which each group of conversations occurs Poisson(1) times."""
    weights = np.random.default_rng(seed).poisson(1.0, (replicates, _groups(counts))).astype(np.float64)
    token_ids, occurs = np.unique(counts.token_ids, return_counts=True)
    d = np.empty((replicates, len(token_ids)))
    for tokens, block in _weighted_d(counts, weights):
        d[:, tokens] = block
    return Bootstrap(token_ids, occurs, d)


def intervals(table: pd.DataFrame, drawn: Bootstrap, token_ids: NDArray[np.int32]) -> pd.DataFrame:
    """token_id, d, se, low, high of the tokens listed, in their order; `table` has token_id and d of the whole vocabulary.

    d +- q se, q being the 95 % quantile of the largest |t| of a draw: together they hold in 95 of 100 sets or more. The largest is taken
    over the tokens listed and all that are widespread: whoever lists the largest d has picked them from those, and picked the lucky ones.
    A token that never occurs has an interval without width.
    """
    listed = pd.Index(np.asarray(token_ids, np.int32))
    d = table.set_index("token_id")["d"]
    family = (drawn.groups >= _WIDESPREAD) | np.isin(drawn.token_ids, listed)
    se = drawn.d.std(axis=0, ddof=1)
    from_d = np.abs(drawn.d[:, family] - d.loc[pd.Index(drawn.token_ids[family])].to_numpy())
    t = np.divide(from_d, se[family], out=np.zeros_like(from_d), where=se[family] > 0)
    found = pd.DataFrame({"d": d.loc[listed], "se": pd.Series(se, drawn.token_ids).reindex(listed, fill_value=0.0)})
    reach = found["se"] * np.quantile(t.max(axis=1, initial=0.0), 0.95)
    return found.assign(low=found["d"] - reach, high=found["d"] + reach).rename_axis("token_id").reset_index()


def top_tokens(table: pd.DataFrame, drawn: Bootstrap, top: int, surest: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `top` tokens with the largest positive and with the largest negative d: token, token_id, d, low, high, count_*.

    Their intervals hold together; `table` is a score set's discrepancy table. `surest`: by d in standard errors instead, among widespread
    tokens alone.
    """
    weight = table["d"]
    if surest:
        widespread = drawn.groups >= _WIDESPREAD
        se = pd.Series(drawn.d[:, widespread].std(axis=0, ddof=1), drawn.token_ids[widespread])
        weight = weight.where(table["token_id"].isin(se.index)) / table["token_id"].map(se)
    ordered = table.assign(weight=weight).dropna(subset="weight").sort_values("weight", kind="stable", ascending=False)
    sides = ordered[ordered["d"] > 0].head(top), ordered[ordered["d"] < 0].tail(top)[::-1]
    found = intervals(table, drawn, pd.concat(sides)["token_id"].to_numpy())
    both = found.merge(table[["token_id", "token", "count_chosen", "count_rejected"]], on="token_id")
    listed = both[["token", "token_id", "d", "low", "high", "count_chosen", "count_rejected"]]
    return listed.head(len(sides[0])), listed.tail(len(sides[1])).reset_index(drop=True)


def fold_d(counts: GroupCounts, fold: int) -> Floats:
    """d [V] of the groups of one fold alone; a row whose group is in the other fold has no part in it."""
    mine = counts.groups % FOLDS == fold
    sides = (np.bincount(counts.token_ids[mine], side[mine], counts.vocabulary) for side in (counts.chosen, counts.rejected))
    return discrepancy(*(side.astype(np.int64) for side in sides))


# agreement of random halves


def split_half(counts: GroupCounts, repeats: int = 40, seed: int = 0) -> pd.DataFrame:
    """Cosine of d between two sets of conversations without a common one: conversations (of each), mean cosine, low, high.

    Volumes double up to half of all; low and high hold 95 % of the `repeats` random divisions. Without two groups: no line.
    """
    groups = _groups(counts)
    rng = np.random.default_rng(seed)
    sizes = sorted({groups // 2 >> halvings for halvings in range(_HALVINGS + 1)} - {0})
    weights = np.zeros((len(sizes), repeats, 2, groups))
    for size, divisions in zip(sizes, weights, strict=True):
        for half, other in divisions:
            order = rng.permutation(groups)
            half[order[:size]] = other[order[size : 2 * size]] = 1
    cosines = _pair_cosines(counts, weights.reshape(-1, groups)).reshape(len(sizes), repeats)
    each = counts.conversations / max(groups, 1)
    band = {name: np.quantile(cosines, level, axis=1) for name, level in (("low", 0.025), ("high", 0.975))}
    return pd.DataFrame({"conversations": np.rint(np.multiply(sizes, each)).astype(int), "cosine": cosines.mean(axis=1)} | band)


def noise_constant(conversations: float, cosine: float) -> float:
    """c of r(m) = m / (m + c) from r at one m; infinite where the halves do not agree at all."""
    return conversations * (1 / cosine - 1) if cosine > 0 else float("inf")


def chance(counts: GroupCounts, swaps: int = 200, seed: int = 0) -> float:
    """Share of random swaps of chosen and rejected, group by group, that give a d as long as the real one (which counts as one swap)."""
    own = np.random.default_rng(seed).integers(0, 2, (swaps + 1, _groups(counts))).astype(np.float64)
    own[0] = 1.0  # nothing swapped
    other = 1 - own
    chosen_totals, rejected_totals = _group_totals(counts)
    scales = [1 / np.maximum(a @ chosen_totals + b @ rejected_totals, 1) for a, b in ((own, other), (other, own))]
    power = np.zeros(swaps + 1)
    for _, chosen, rejected in _blocks(counts):
        d = scales[0][:, None] * (own @ chosen + other @ rejected) - scales[1][:, None] * (other @ chosen + own @ rejected)
        power += np.square(d).sum(axis=1)
    return float((power >= power[0] * (1 - 1e-12)).mean())


def verdict(curve: pd.DataFrame, conversations: int, chance: float) -> Verdict:
    """From the split-half curve and the share of swaps; `conversations` of the training split are behind d."""
    behind = f"With {conversations:,} conversation{'' if conversations == 1 else 's'}"
    if curve.empty:
        return Verdict("noise", f"{behind} nothing can be said about d: two are the least.", None, conversations, None)
    half = curve.iloc[-1]
    constant = noise_constant(float(half["conversations"]), float(half["cosine"]))
    reliability = conversations / (conversations + constant)
    if chance > CHANCE:
        words = f"{behind} d is noise: chosen and rejected swapped at random give as large a d in {chance:.0%} of the tries."
        return Verdict("noise", words, reliability, conversations, None)
    if reliability == 0:
        return Verdict("noise", f"{behind} d is noise: the d of one half says nothing about that of the other.", 0.0, conversations, None)
    needed = round(constant * STABLE / (1 - STABLE))
    again = f"as many other conversations would give a d with a cosine of about {reliability:.2f} to this one"
    if reliability >= STABLE:
        return Verdict("stable", f"{behind} d is stable: {again}.", reliability, conversations, needed)
    state, is_ = ("noisy", "noisy") if reliability >= MOSTLY_NOISE else ("noise", "mostly noise")
    words = f"{behind} d is {is_}: {again}. About {_round(needed):,} would settle it."
    return Verdict(state, words, reliability, conversations, needed)


def _round(number: int) -> int:
    """To two digits: more would promise too much."""
    return int(float(f"{number:.1e}"))


# counts laid out


def _occurring(counts: GroupCounts) -> NDArray[np.bool_]:
    """Which of the GROUPS occur."""
    occurring = np.zeros(GROUPS, dtype=bool)
    occurring[counts.groups] = True
    return occurring


def _groups(counts: GroupCounts) -> int:
    return int(_occurring(counts).sum())


def _group_totals(counts: GroupCounts) -> tuple[Floats, Floats]:
    """Chosen and rejected tokens of each group that occurs, each [G]."""
    totals = np.zeros((2, GROUPS), dtype=np.int64)
    for side, values in zip(totals, (counts.chosen, counts.rejected), strict=True):
        np.add.at(side, counts.groups, values)
    occurring = _occurring(counts)
    return totals[0][occurring].astype(np.float64), totals[1][occurring].astype(np.float64)


def _blocks(counts: GroupCounts) -> Iterator[tuple[slice, Floats, Floats]]:
    """(which of the occurring tokens, chosen [G, k], rejected [G, k]) a block of tokens at a time; entries are sorted by token."""
    edges = np.searchsorted(counts.token_ids, np.arange(counts.vocabulary + 1, dtype=np.int32))
    edges = np.append(edges[:-1][np.diff(edges) > 0], edges[-1])  # where each occurring token begins, and the end
    row_of = np.cumsum(_occurring(counts)) - 1
    for first in range(0, len(edges) - 1, _BLOCK):
        ends = edges[first : first + _BLOCK + 1]
        entries = slice(ends[0], ends[-1])
        places = row_of[counts.groups[entries]], np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        sides = np.zeros((2, row_of[-1] + 1, len(ends) - 1))
        sides[0][places], sides[1][places] = counts.chosen[entries], counts.rejected[entries]
        yield slice(first, first + len(ends) - 1), sides[0], sides[1]


def _weighted_d(counts: GroupCounts, weights: Floats) -> Iterator[tuple[slice, Floats]]:
    """d [B, k] a block of tokens at a time, group g counting weights[b, g] times."""
    scales = [1 / np.maximum(weights @ totals, 1)[:, None] for totals in _group_totals(counts)]
    for tokens, chosen, rejected in _blocks(counts):
        yield tokens, scales[0] * (weights @ chosen) - scales[1] * (weights @ rejected)


def _pair_cosines(counts: GroupCounts, weights: Floats) -> Floats:
    """Cosine [B] between the d of rows 2b and 2b + 1 of weights [2B, G]; 0 where one of them is 0."""
    products = np.zeros((3, len(weights) // 2))
    for _, d in _weighted_d(counts, weights):
        even, odd = d[0::2], d[1::2]
        products += [np.einsum("bk,bk->b", a, b) for a, b in ((even, odd), (even, even), (odd, odd))]
    norms = np.sqrt(products[1] * products[2])
    cosines: Floats = np.divide(products[0], norms, out=np.zeros_like(norms), where=norms > 0)
    return cosines
