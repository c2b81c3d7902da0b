"""The default judge: a Bradley-Terry head on pooled hidden states of the frozen base model.

    P(a preferred to b) = sigmoid(w . (f_a - f_b)),   f = mean hidden state over a response's tokens    Bradley & Terry 1952

w is fitted on the judge split alone, by logistic regression on the differences, the ridge chosen by cross-validation over conversations.
How often the judge is right on held-out pairs is reported with everything it judges; where that does not clear 50 %, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deft_core.intervals import Figure, share
from deft_core.workspace import replace_atomically

__all__ = ["LEAST_ROWS", "Judge", "Verdict", "accuracy", "compared", "fit", "fold_of", "read_judge", "verdict", "write_judge"]

FOLDS = 5
LEAST_ROWS = 20  # with fewer rows of the judge split no judge is fitted
RIDGES = tuple(10.0**k for k in range(3, -4, -1))  # strongest first: of equal ones the strongest is taken
_ROUNDS = 50  # of Newton's method; it takes about six
_ENOUGH = 1e-9  # a Newton step that promises less is not taken

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judge:
    w: Floats  # [H]; a score is w . f
    ridge: float
    rows: int  # of the judge split that it was fitted on
    fold_accuracy: float  # on rows of the judge split that a fold left out

    def scores(self, pooled: NDArray[np.float32]) -> Floats:
        """Scores [N] of pooled states [N, H]; the higher, the better."""
        found: Floats = pooled.astype(np.float64) @ self.w
        return found


@dataclass(frozen=True)
class Verdict:
    accuracy: Figure  # of the judge on held-out pairs
    can_tell: bool
    words: str


def fold_of(conversation: str) -> int:
    """The fold of a row, by its first user turn, so that no conversation is on two sides."""
    return int.from_bytes(blake2b(conversation.encode(), digest_size=4).digest(), "big") % FOLDS


def compared(pooled: Sequence[NDArray[np.float32]], ranks: Sequence[Sequence[int]]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """(differences better minus worse [P, H], weights [P], row of each [P]) of every pair of unequal rank; each row weighs 1."""
    differences, weights, owners = [], [], []
    for row, (states, own) in enumerate(zip(pooled, ranks, strict=True)):
        pairs = [(i, j) for i in range(len(own)) for j in range(len(own)) if own[i] < own[j]]
        differences += [states[i].astype(np.float64) - states[j] for i, j in pairs]
        weights += [1 / len(pairs)] * len(pairs)
        owners += [row] * len(pairs)
    return np.array(differences), np.array(weights), np.array(owners)


def fit(pooled: Sequence[NDArray[np.float32]], ranks: Sequence[Sequence[int]], folds: Sequence[int]) -> Judge:
    """The judge of rows with pooled states [n, H] each. Without randomness: the same rows give the same judge."""
    differences, weights, owners = compared(pooled, ranks)
    scale = np.sqrt(np.average(differences**2, axis=0, weights=weights))
    scale[scale == 0] = 1.0  # a number that never differs
    left, size, right = np.linalg.svd(differences / scale, full_matrices=False)  # w lies in the span of the pairs
    features = left * size  # [P, r]
    pair_folds = np.asarray(folds)[owners]
    known = sorted(set(pair_folds.tolist()))
    margins = np.zeros((len(RIDGES), len(features)))  # of pairs under the judge of the other folds
    for fold in known if len(known) > 1 else []:
        out = pair_folds == fold
        margins[:, out] = np.stack([features[out] @ v for v in _path(features[~out], weights[~out])])
    losses = np.average(np.logaddexp(0, -margins), axis=1, weights=weights)
    best = int(np.argmin(losses))
    v = _path(features, weights)[best]
    hits = (margins[best] > 0) + 0.5 * (margins[best] == 0)
    return Judge((v @ right) / scale, RIDGES[best], len(pooled), float(np.average(hits, weights=weights)))


def _path(features: Floats, weights: Floats) -> list[Floats]:
    """The minimiser of mean log(1 + exp(-x . v)) + ridge / 2 |v|^2 for each ridge, one from the other; Newton with halved steps."""
    v, found = np.zeros(features.shape[1]), []
    for ridge in RIDGES:
        for _ in range(_ROUNDS):
            p = np.exp(-np.logaddexp(0, features @ v))  # [P] of being wrong: sigmoid(-x . v)
            gradient = ridge * v - (weights * p) @ features / weights.sum()
            curvature = (features * (weights * p * (1 - p))[:, None]).T @ features / weights.sum()
            step = np.linalg.solve(curvature + ridge * np.eye(len(v)), gradient)
            if gradient @ step < _ENOUGH:
                break
            v = _downhill(features, weights, ridge, v, step)
        found.append(v)
    return found


def _downhill(features: Floats, weights: Floats, ridge: float, v: Floats, step: Floats) -> Floats:
    def loss(at: Floats) -> float:
        return float(np.average(np.logaddexp(0, -(features @ at)), weights=weights) + ridge / 2 * at @ at)

    before, share_of_step = loss(v), 1.0
    while loss(v - share_of_step * step) > before and share_of_step > 1e-6:
        share_of_step /= 2
    moved: Floats = v - share_of_step * step
    return moved


def accuracy(scores: Sequence[Sequence[float]], ranks: Sequence[Sequence[int]]) -> Figure:
    """How often the best response scores above one that is not top, ties one half, averaged row by row; Wilson's interval over rows."""
    hits = 0.0
    for own, order in zip(scores, ranks, strict=True):
        others = [score for score, rank in zip(own, order, strict=True) if rank > 1]
        hits += sum((own[0] > other) + 0.5 * (own[0] == other) for other in others) / len(others)
    return share(hits, len(scores))


def verdict(found: Figure) -> Verdict:
    """Whether a judge of this accuracy on held-out pairs can tell answers apart, in words."""
    if found.value is None or found.low is None or found.high is None:
        return Verdict(found, False, "No held-out pairs to try the judge on: no win rate.")
    words = f"The judge prefers the chosen answer in {found.value:.0%} of {found.prompts} held-out rows"
    words += f" (95 % interval {found.low:.0%} to {found.high:.0%})"
    if found.low > 0.5:
        return Verdict(found, True, words + ".")
    return Verdict(found, False, words + ", which does not clear 50 %: the judge cannot tell, so there is no win rate.")


def write_judge(path: Path, judge: Judge, key: str) -> None:
    """The judge as safetensors; `key` says of which base, rows and settings it is."""
    from safetensors.numpy import save_file

    about = {"key": key, "ridge": repr(judge.ridge), "rows": str(judge.rows), "fold_accuracy": repr(judge.fold_accuracy)}
    replace_atomically(path, lambda beside: save_file({"w": judge.w}, beside, metadata=about))


def read_judge(path: Path, key: str) -> Judge | None:
    """The judge in a file, where there is one of this key."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            about, w = file.metadata() or {}, file.get_tensor("w")
        return Judge(w, float(about["ridge"]), int(about["rows"]), float(about["fold_accuracy"])) if about.get("key") == key else None
    except (FileNotFoundError, SafetensorError, KeyError):
        return None  # a damaged one is fitted again
