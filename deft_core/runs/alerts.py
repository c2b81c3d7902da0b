"""What in a run's numbers deserves a person's eye, in words that say why and what it can mean. Pure: events in, alerts out.

Each kind is raised once a run. The first and the last steps are min(20, half of all), at least 5; se is the standard error of a
difference of means, low and high are the ends of an evaluation's 95 % interval.

    reward_runaway         guided: R on held-out rows rose by more than 2 widths of its first interval since the middle one of the
                           evaluations so far, and accuracy_implicit by less than 0.02
    kl_drift               kl or kl_own above 0.5 nats a token
    length_drift           held-out answers outside the first evaluation's interval, and more than 1.5 times as long or as short
    chosen_logp_falling    mean of implicit_chosen over the last steps below 0 by 2 se
    entropy_collapse       mean entropy over the last steps below half of that over the first
    nothing_learned        from half of the steps on: the intervals of accuracy_implicit and of the margin both reach down to 0.5 and to 0;
                           SFT, after the last step: the loss over the last steps is not below that over the first by 2 se
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Alert", "alerts"]

KINDS = ("reward_runaway", "kl_drift", "length_drift", "chosen_logp_falling", "entropy_collapse", "nothing_learned")
_WINDOW, _LEAST = 20, 5  # steps
_RISE_WIDTHS, _FLAT = 2.0, 0.02
_KL_NATS = 0.5
_LENGTH_RATIO = 1.5
_ENTROPY_SHARE = 0.5

Event = dict[str, Any]


@dataclass(frozen=True)
class Alert:
    kind: str  # one of KINDS
    step: int
    words: str


@dataclass(frozen=True)
class _History:
    steps: Sequence[Event]
    evaluations: Sequence[Event]
    omega: float
    total: int
    method: str

    def step_of(self, kind: str) -> int:
        """Where a kind of alert belongs: the last step, or the last evaluation."""
        by_steps = kind in ("chosen_logp_falling", "entropy_collapse") or (kind, self.method) == ("nothing_learned", "sft")
        return int((self.steps if by_steps else self.evaluations)[-1]["step"])


def alerts(history: Sequence[Event], total: int, method: str = "dpo") -> list[Alert]:
    """New alerts of a history (metrics.standing) of a run of `total` steps; those it already has are not raised again."""
    steps = [event for event in history if event["event"] == "step"]
    evaluations = [event for event in history if event["event"] == "evaluation"]
    omegas = [event.get("omega") or 0.0 for event in history if event["event"] in ("start", "omega")]
    known = _History(steps, evaluations, omegas[-1] if omegas else 0.0, total, method)
    raised = {event.get("kind") for event in history if event["event"] == "alert"}
    found = ((kind, _CHECKS[kind](known)) for kind in KINDS if kind not in raised)
    return [Alert(kind, known.step_of(kind), words) for kind, words in found if words]


def _reward_runaway(known: _History) -> str | None:
    if known.omega == 0 or len(known.evaluations) < 2:
        return None
    middle, last = known.evaluations[(len(known.evaluations) - 1) // 2], known.evaluations[-1]
    low, high = _of(known.evaluations[0], "reward_chosen_low"), _of(known.evaluations[0], "reward_chosen_high")
    rise = _of(last, "reward_chosen") - _of(middle, "reward_chosen")
    gain = _of(last, "accuracy_implicit") - _of(middle, "accuracy_implicit")
    if not (rise > _RISE_WIDTHS * (high - low) and gain < _FLAT):
        return None
    return (
        f"R on held-out rows rose from {middle['reward_chosen']:.3g} to {last['reward_chosen']:.3g} since step {middle['step']}, while "
        f"held-out accuracy went from {middle['accuracy_implicit']:.0%} to {last['accuracy_implicit']:.0%}. The guidance term has no "
        f"bound: its weight ({known.omega:.3g}) may be too large. Look at the samples, and start again with a smaller one."
    )


def _kl_drift(known: _History) -> str | None:
    last = known.evaluations[-1] if known.evaluations else {}
    drifts = {"held-out answers": _of(last, "kl"), "its own answers": _of(last, "kl_own")}
    where, kl = max(((where, kl) for where, kl in drifts.items() if not math.isnan(kl)), key=lambda one: one[1], default=("", 0.0))
    if kl <= _KL_NATS:
        return None
    return (
        f"The model is {kl:.2f} nats a token away from the base on {where}. So far off, it may have lost what it could do before: "
        "compare the samples and the perplexity of neutral text. A smaller learning rate, fewer steps or a larger beta hold it closer."
    )


def _length_drift(known: _History) -> str | None:
    if len(known.evaluations) < 2:
        return None
    first, last = known.evaluations[0], known.evaluations[-1]
    before, now = _of(first, "answer_tokens"), _of(last, "answer_tokens")
    outside = now < _of(first, "answer_tokens_low") or now > _of(first, "answer_tokens_high")
    if not (outside and (now > before * _LENGTH_RATIO or now < before / _LENGTH_RATIO)):
        return None
    return (
        f"Answers went from {before:.0f} to {now:.0f} tokens. Preference data often prefer the longer answer, and training takes length "
        "for quality: see in Explore whether your rewards are tied to length. IPO and SimPO compare by token."
    )


def _chosen_logp_falling(known: _History) -> str | None:
    _, last = _ends(known.steps, "implicit_chosen")
    if not last or not statistics.fmean(last) < -2 * _error(last):
        return None
    margins = _ends(known.steps, "margin")[1]
    grows = bool(margins) and statistics.fmean(margins) > 0
    return "The chosen answers have become less likely than under the base model. " + (
        "That can be normal: such a loss asks only that the margin to the rejected ones grows, and it does, so both may fall. Worry when "
        "the samples get worse; then a smaller learning rate, a larger beta, or SFT on the chosen answers helps."
        if grows
        else "The margin to the rejected ones does not grow either, so this is no trade: the learning rate may be too large."
    )


def _entropy_collapse(known: _History) -> str | None:
    first, last = _ends(known.steps, "entropy")
    if not first or not statistics.fmean(last) < _ENTROPY_SHARE * statistics.fmean(first):
        return None
    return (
        f"Entropy fell from {statistics.fmean(first):.2f} to {statistics.fmean(last):.2f} nats a token: the model grows certain of single "
        "words, and its answers repetitive. Fewer steps or a smaller learning rate keep variety."
    )


def _nothing_learned(known: _History) -> str | None:
    if known.method == "sft":
        first, last = _ends(known.steps, "loss")
        if not first or known.steps[-1]["step"] < known.total:
            return None
        learned = statistics.fmean(first) - statistics.fmean(last) > 2 * math.hypot(_error(first), _error(last))
        told = "The loss over the last steps is not below that over the first ones by more than chance."
    else:
        last_one = known.evaluations[-1] if known.evaluations else {"step": 0}
        if not last_one["step"] or last_one["step"] < known.total / 2:
            return None
        learned = not (_of(last_one, "accuracy_implicit_low") <= 0.5 and _of(last_one, "margin_low") <= 0)
        told = f"After {last_one['step']} steps held-out rows are told apart no better than by chance."
    return None if learned else f"{told} More rows, more steps or a larger learning rate may help; or these preferences cannot be learned."


_CHECKS: dict[str, Callable[[_History], str | None]] = {
    "reward_runaway": _reward_runaway,
    "kl_drift": _kl_drift,
    "length_drift": _length_drift,
    "chosen_logp_falling": _chosen_logp_falling,
    "entropy_collapse": _entropy_collapse,
    "nothing_learned": _nothing_learned,
}


def _of(event: Event, name: str) -> float:
    """A value, nan where it is not known: no comparison with it is true."""
    value = event.get(name)
    return math.nan if value is None else float(value)


def _ends(steps: Sequence[Event], name: str) -> tuple[list[float], list[float]]:
    """A value over the first and over the last steps that have it; both empty where there are too few."""
    values = [float(event[name]) for event in steps if event.get(name) is not None]
    width = min(_WINDOW, len(values) // 2)
    return (values[:width], values[-width:]) if width >= _LEAST else ([], [])


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    return statistics.stdev(values) / math.sqrt(len(values))
