"""Figures of an evaluation from its tables, counted by hand."""

import math

import pandas as pd
import pytest

from deft_core.intervals import figure
from deft_core.measures import MEASURES, figures, measures


def tables():
    rows = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "reference": ["use warm water", "ask a doctor", "take the train", "rest for a day"],
            "accuracy_implicit_base": [0.5] * 4,
            "accuracy_implicit_tuned": [1.0, 1.0, 0.0, 1.0],
            "accuracy_logp_base": [1.0, 0.0, 0.0, 1.0],
            "accuracy_logp_tuned": [1.0, 1.0, 0.0, 1.0],
            "margin_base": [0.0] * 4,
            "margin_tuned": [0.4, 0.2, -0.1, 0.1],
            "kl_tuned": [0.6, 0.0, 0.3, 0.1],
            "kl_tokens": [6, 2, 1, 1],
            "answer_base": ["I'm sorry, I can't", "ask a doctor now", "take a bus", "rest"],
            "answer_tuned": ["use warm water", "ask a doctor", "take the train", "rest for a day"],
            "answer_tokens_base": [6.0, 4.0, 3.0, 1.0],
            "answer_tokens_tuned": [3.0, 3.0, 3.0, 4.0],
            "judge_base": [0.0, 1.0, 0.0, 0.0],
            "judge_tuned": [1.0, 1.0, -1.0, 2.0],
        }
    )
    neutral = pd.DataFrame({"id": [0, 1], "tokens": [10, 30], "nats_base": [20.0, 60.0], "nats_tuned": [30.0, 60.0]})
    return rows, neutral


def test_figures_by_hand():
    found = figures(*tables())
    tuned = {name: one["tuned"]["value"] for name, one in found.items()}
    assert tuned["accuracy_implicit"] == 0.75
    assert tuned["margin"] == pytest.approx(0.15)
    assert tuned["kl"] == pytest.approx(1.0 / 10)  # summed nats over summed tokens
    assert tuned["perplexity_neutral"] == pytest.approx(math.exp(90 / 40))
    assert tuned["win_rate"] == (1 + 0.5 + 0 + 1) / 4
    assert tuned["answer_tokens"] == 13 / 4
    assert (tuned["bleu"], tuned["chrf"]) == (pytest.approx(100), pytest.approx(100))
    assert tuned["refusal_rate"] == 0
    assert tuned["distinct_2"] == 1.0  # 2 + 2 + 2 + 3 bigrams, all different
    base = {name: one["base"]["value"] for name, one in found.items() if one["base"]}
    assert base["accuracy_implicit"] == 0.5
    assert base["refusal_rate"] == 0.25
    assert base["perplexity_neutral"] == pytest.approx(math.exp(2))
    assert found["kl"]["base"] is None and found["win_rate"]["difference"] is None
    assert found["accuracy_logp"]["difference"]["value"] == 0.25
    assert found["answer_tokens"]["difference"]["value"] == (13 - 14) / 4
    assert found["accuracy_logp"]["difference"]["prompts"] == 4
    assert found["distinct_2"]["tuned"]["low"] is None  # drawing answers twice adds no new bigrams


def test_every_figure_is_described_and_in_order():
    found = list(figures(*tables()))
    assert found == [name for name in MEASURES if name in found]
    assert set(MEASURES) - set(found) == {"reward_chosen", "reward_rejected", "kl_own", "bart_score"}  # the tables lack their columns


def test_a_prompt_without_an_answer_is_left_out():
    rows, neutral = tables()
    rows["kl_own_tuned"] = [1.0, math.nan, 3.0, math.nan]
    rows["kl_own_tokens"] = [2.0, math.nan, 2.0, math.nan]
    found = figure(measures(rows, neutral, "tuned")["kl_own"])
    assert (found.value, found.prompts) == (1.0, 2)
