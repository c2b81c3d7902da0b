"""The fast pass equals the definition: a plain forward, a full log-softmax, the average vector dotted with d."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deft_core.errors import ModelError
from deft_core.lm import selfcheck
from deft_core.lm.models import Head, load
from deft_core.lm.scoring import Scorer, reference_scores
from deft_core.lm.selfcheck import choose_layout
from deft_core.lm.tokens import TokenRow, token_rows
from tests.conftest import small_rows
from tests.tiny_model import save_model


def some_d(vocabulary=257, seed=0):
    """A discrepancy of the size real ones have: absolute values summing to 1."""
    d = np.random.default_rng(seed).normal(size=vocabulary)
    d -= d.mean()
    return d / np.abs(d).sum()


def some_rows(tokenizer, count=50, max_length=1024):
    rows = small_rows(count)
    prompts = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    return token_rows(tokenizer, prompts, [row["responses"] for row in rows], max_length)


@pytest.fixture(scope="module")
def lm(tiny):
    return load("tiny", tiny)


def test_soft_capped_logits_written_out():
    # z = (2, 4), cap 3: 3 tanh(2/3) = 1.7483, 3 tanh(4/3) = 2.6101
    head = Head(torch.tensor([[2.0], [4.0]]), cap=3.0)
    assert head.logits(torch.tensor([[1.0]])).tolist()[0] == pytest.approx([1.7483, 2.6101], abs=1e-4)
    assert not head.linear


@pytest.mark.parametrize("layout", ["prefix-shared", "plain"])
def test_rewards_and_log_probabilities_equal_the_definition(lm, layout):
    d, rows = some_d(), some_rows(lm.tokenizer)
    found = Scorer(lm, d, layout, batch_tokens=512).score(rows)
    expected = [reference_scores(lm, d, row) for row in rows]
    assert len(found) == 50
    for scores, pairs in zip(found, expected, strict=True):
        assert [s.reward for s in scores] == pytest.approx([r for r, _ in pairs], abs=1e-5)
        assert [s.logp for s in scores] == pytest.approx([float(lp.sum()) for _, lp in pairs], abs=1e-3)


def test_cut_rows_equal_the_definition_too(lm):
    d, rows = some_d(), some_rows(lm.tokenizer, count=12, max_length=40)
    assert any(row.removed for row in rows)
    assert not all(all(row.ended) for row in rows)
    for scores, row in zip(Scorer(lm, d).score(rows), rows, strict=True):
        expected = reference_scores(lm, d, row)
        assert [s.reward for s in scores] == pytest.approx([r for r, _ in expected], abs=1e-5)
        assert all(s.token_logps == pytest.approx(lp, abs=1e-3) for s, (_, lp) in zip(scores, expected, strict=True))
        assert [len(s.token_logps) - len(s.token_rewards) for s in scores] == [int(ended) for ended in row.ended]


def test_a_reward_is_the_mean_of_its_contributions_and_u_times_the_pooled_state(lm):
    d = some_d()
    scorer = Scorer(lm, d)
    for scores in scorer.score(some_rows(lm.tokenizer, count=5)):
        for s in scores:
            assert s.reward == pytest.approx(float(s.token_rewards.mean()), abs=1e-6)
            assert s.reward == pytest.approx(float(s.pooled @ scorer.u.numpy()), abs=1e-6)
            assert s.logp == pytest.approx(float(s.token_logps.sum()), abs=1e-4)


def test_scores_are_the_same_bits_twice(lm):
    rows = some_rows(lm.tokenizer, count=10)
    first, second = (Scorer(lm, some_d()).score(rows) for _ in range(2))
    assert [s.reward for scores in first for s in scores] == [s.reward for scores in second for s in scores]


def test_a_d_of_another_tokenizer_is_refused(lm):
    with pytest.raises(ModelError, match="a discrepancy over the model's 257 token ids; found 300"):
        Scorer(lm, some_d(300))


COMMON = {"vocab_size": 257, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
COMMON |= {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0, "initializer_range": 0.3}
GPT2 = {"vocab_size": 257, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": None, "eos_token_id": 0, "initializer_range": 0.3}
GEMMA2 = COMMON | {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 5.0}

FAMILIES = {
    "qwen2": ("Qwen2Config", COMMON | {"num_key_value_heads": 2}, "prefix-shared"),
    "gpt2": ("GPT2Config", GPT2, "prefix-shared"),
    "gemma2, soft-capped": ("Gemma2Config", GEMMA2 | {"sliding_window": 4096}, "prefix-shared"),
    "gemma2, window of 16": ("Gemma2Config", GEMMA2 | {"sliding_window": 16}, "plain"),
    "mistral, window of 16": ("MistralConfig", COMMON | {"num_key_value_heads": 2, "sliding_window": 16}, "plain"),
    "bloom, no position ids": (
        "BloomConfig",
        {"vocab_size": 257, "hidden_size": 32, "n_layer": 2, "n_head": 4, "eos_token_id": 0},
        "plain",
    ),
    "cohere, logit scale": ("CohereConfig", COMMON | {"num_key_value_heads": 2}, "prefix-shared"),
    "granite, logit divisor": ("GraniteConfig", COMMON | {"logits_scaling": 3.0}, "prefix-shared"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_other_architectures_get_a_layout_that_equals_the_definition(family, tmp_path):
    import transformers

    name, settings, layout = FAMILIES[family]
    other = load(family, save_model(getattr(transformers, name)(**settings), tmp_path))
    d, rows = some_d(), some_rows(other.tokenizer, count=6)
    chosen = choose_layout(other, d, rows, batch_tokens=512)
    assert (chosen.layout, chosen.own_logits) == (layout, False)
    assert (chosen.reason is None) == (layout == "prefix-shared")
    for scores, row in zip(Scorer(other, d, chosen.layout, 512).score(rows), rows, strict=True):
        expected = reference_scores(other, d, row)
        assert [s.reward for s in scores] == pytest.approx([r for r, _ in expected], abs=1e-5)
        assert [s.logp for s in scores] == pytest.approx([float(lp.sum()) for _, lp in expected], abs=1e-3)


def test_a_head_that_w_does_not_describe_uses_the_models_own_logits(lm):
    scaled = replace(lm, head=replace(lm.head, scale=1.5))  # as if the config named a scale that the model ignores
    chosen = choose_layout(scaled, some_d(), some_rows(lm.tokenizer, count=4), batch_tokens=512)
    assert (chosen.layout, chosen.own_logits) == ("plain", True)
    assert "prefix-shared differs from a plain forward" in chosen.reason


class ScorerWithNaN(Scorer):
    """Its prefix-shared layout gives NaN for the response at `place`: the reward, or the log-probability of its last token."""

    place, in_reward = 0, True

    def score(self, rows):
        scores = super().score(rows)
        if self.layout == "prefix-shared":
            found = [score for of_row in scores for score in of_row][self.place]
            if self.in_reward:
                object.__setattr__(found, "reward", float("nan"))
            else:
                found.token_logps[-1] = np.nan
        return scores


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("in_reward", [True, False])
def test_a_layout_that_gives_nan_is_not_used_wherever_it_stands(lm, monkeypatch, place, in_reward):
    monkeypatch.setattr(selfcheck, "Scorer", type("Faulty", (ScorerWithNaN,), {"place": place, "in_reward": in_reward}))
    chosen = choose_layout(lm, some_d(), some_rows(lm.tokenizer, count=4), batch_tokens=512)
    assert chosen.layout == "plain"
    assert ("nan in reward" if in_reward else "nan in a token's log-probability") in chosen.reason
    assert 0 <= chosen.reward_difference <= 1e-5


def test_a_response_without_tokens_has_no_reward_to_compare(lm):
    rows = [TokenRow([65, 66], [[], [67, 68]], [True, True]), *some_rows(lm.tokenizer, count=2)]
    chosen = choose_layout(lm, some_d(), rows, batch_tokens=512)
    assert (chosen.layout, chosen.reason) == ("prefix-shared", None)
    assert 0 <= chosen.reward_difference <= 1e-5  # a number, although the empty mean is none
