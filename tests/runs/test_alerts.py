"""Alerts by their thresholds, each with its arithmetic."""

import pytest

from deft_core.runs.alerts import KINDS, alerts


def start(**values):
    return {"event": "start", "step": 0, "omega": 0.0} | values


def steps(**values):
    """A step for each value of the lists given."""
    count = len(next(iter(values.values())))
    return [{"event": "step", "step": place + 1} | {name: one[place] for name, one in values.items()} for place in range(count)]


def evaluation(step, **values):
    return {"event": "evaluation", "step": step} | values


def kinds(history, total=100, method="dpo"):
    return [alert.kind for alert in alerts(history, total, method)]


def test_no_events_no_alerts():
    assert alerts([], 100) == []
    assert kinds([start(), *steps(loss=[0.7]), evaluation(0)]) == []


# R on held-out rows at 0.10 with the interval 0.09 to 0.11: width 0.02, so more than 0.04 is much
FIRST = {"reward_chosen": 0.10, "reward_chosen_low": 0.09, "reward_chosen_high": 0.11, "accuracy_implicit": 0.5}


@pytest.mark.parametrize(
    ("omega", "reward", "accuracy", "raised"),
    [
        (2.0, 0.15, 0.51, True),  # 0.05 > 2 * 0.02 and 0.01 < 0.02
        (2.0, 0.15, 0.55, False),  # accuracy grows along
        (2.0, 0.13, 0.51, False),  # 0.03 is little
        (0.0, 0.15, 0.51, False),  # nothing guides
    ],
)
def test_reward_runaway(omega, reward, accuracy, raised):
    history = [start(omega=omega), evaluation(0, **FIRST), evaluation(10, reward_chosen=reward, accuracy_implicit=accuracy)]
    assert kinds(history) == (["reward_runaway"] if raised else [])


def test_reward_runaway_after_accuracy_has_settled():
    # evaluations at 0, 10, 20, 30, 40: the middle one is that of step 20, where accuracy was at its end
    values = [(0.10, 0.5), (0.14, 0.6), (0.16, 0.7), (0.20, 0.7), (0.24, 0.7)]
    history = [start(omega=1.0), evaluation(0, **FIRST)]
    history += [evaluation(10 * place, reward_chosen=r, accuracy_implicit=a) for place, (r, a) in enumerate(values) if place]
    assert kinds(history[:-2]) == []  # up to step 20, against step 10: 0.02
    (alert,) = alerts(history, 100)
    assert (alert.kind, alert.step) == ("reward_runaway", 40)
    assert "from 0.16 to 0.24 since step 20" in alert.words


def test_an_omega_measured_counts_as_guidance():
    history = [{"event": "omega", "step": 0, "omega": 2.0}, evaluation(0, **FIRST), evaluation(9, reward_chosen=0.2, accuracy_implicit=0.5)]
    assert kinds(history) == ["reward_runaway"]


@pytest.mark.parametrize(
    ("values", "where"), [({"kl": 0.6}, "held-out"), ({"kl": 0.2, "kl_own": 0.7}, "its own"), ({"kl": 0.5}, None), ({"kl": None}, None)]
)
def test_kl_drift(values, where):
    found = alerts([start(), evaluation(20, **values)], 100)
    assert [alert.kind for alert in found] == (["kl_drift"] if where else [])
    assert not where or where in found[0].words


@pytest.mark.parametrize(("now", "raised"), [(61, True), (60, False), (26, True), (27, False)])  # 40 * 1.5 = 60, 40 / 1.5 = 26.7
def test_length_drift(now, raised):
    first = evaluation(0, answer_tokens=40, answer_tokens_low=35, answer_tokens_high=45)
    assert kinds([start(), first, evaluation(20, answer_tokens=now)]) == (["length_drift"] if raised else [])


def test_a_length_that_was_uncertain_to_begin_with_has_not_drifted():
    first = evaluation(0, answer_tokens=4, answer_tokens_low=1, answer_tokens_high=9)
    assert kinds([start(), first, evaluation(20, answer_tokens=8)]) == []


def test_chosen_log_probabilities_falling_and_whether_that_is_normal():
    # last 5 of 10 steps: mean -0.3, standard deviation 0.1581, se 0.0707: -0.3 < -0.1414
    implicit = [0.0] * 5 + [-0.1, -0.2, -0.3, -0.4, -0.5]
    (alert,) = alerts([start(), *steps(implicit_chosen=implicit, margin=[0.5] * 10)], 100)
    assert alert.kind == "chosen_logp_falling"
    assert "can be normal" in alert.words
    (alert,) = alerts([start(), *steps(implicit_chosen=implicit, margin=[-0.5] * 10)], 100)
    assert "no trade" in alert.words
    # the same mean with a standard deviation of 1: se 0.447, -0.3 is chance
    assert kinds([start(), *steps(implicit_chosen=[0.0] * 5 + [-1.3, 0.7, -1.3, 0.7, -0.3])]) == []
    assert kinds([start(), *steps(implicit_chosen=implicit[2:])]) == []  # four steps on each side say nothing


def test_entropy_collapse():
    assert kinds([start(), *steps(entropy=[2.0] * 5 + [0.9] * 5)]) == ["entropy_collapse"]  # 0.9 < 2.0 / 2
    assert kinds([start(), *steps(entropy=[2.0] * 5 + [1.0] * 5)]) == []
    # of 60 steps the first and the last 20 count
    assert kinds([start(), *steps(entropy=[2.0] * 40 + [0.9] * 20)]) == ["entropy_collapse"]


@pytest.mark.parametrize(
    ("step", "accuracy", "margin", "raised"),
    [(50, 0.45, -0.1, True), (49, 0.45, -0.1, False), (50, 0.51, -0.1, False), (50, 0.45, 0.01, False)],
)
def test_nothing_learned(step, accuracy, margin, raised):
    history = [
        start(),
        evaluation(0, accuracy_implicit_low=0.5, margin_low=0.0),
        evaluation(step, accuracy_implicit_low=accuracy, margin_low=margin),
    ]
    assert kinds(history) == (["nothing_learned"] if raised else [])


def test_nothing_learned_by_sft():
    # 1.5 - 1.4 = 0.1; both windows have a standard deviation of 0.1581 and an se of 0.0707: 2 * sqrt(0.0707^2 * 2) = 0.2
    first, little, less = [1.3, 1.4, 1.5, 1.6, 1.7], [1.2, 1.3, 1.4, 1.5, 1.6], [1.0, 1.1, 1.2, 1.3, 1.4]
    assert kinds([start(), *steps(loss=first + little)], 10, "sft") == ["nothing_learned"]
    assert kinds([start(), *steps(loss=first + less)], 10, "sft") == []  # 0.3 > 0.2
    assert kinds([start(), *steps(loss=first + little)], 11, "sft") == []  # not at the end yet


def test_an_alert_stands_at_the_step_it_is_about():
    history = [start(), *steps(entropy=[2.0] * 5 + [0.9] * 5), evaluation(9, kl=0.6), *steps(entropy=[0.9] * 12)[10:]]
    assert [(alert.kind, alert.step) for alert in alerts(history, 100)] == [("kl_drift", 9), ("entropy_collapse", 12)]


def test_each_kind_is_raised_once():
    history = [start(), evaluation(20, kl=0.6)]
    (alert,) = alerts(history, 100)
    history.append({"event": "alert", "step": alert.step, "kind": alert.kind})
    assert alerts([*history, evaluation(30, kl=0.9)], 100) == []
    assert alert.kind in KINDS
