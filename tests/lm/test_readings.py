"""What is read of answers, base and neutral text equals plain forwards with full softmaxes."""

from dataclasses import replace

import pytest
import torch

from deft_core.lm.losses import Objective
from deft_core.lm.readings import Side, at_rest, base_of_adapter, neutral_nats, own_kl, read_answers
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_step import TrainStep
from tests.lm.test_scoring import GEMMA2, some_d
from tests.lm.test_train_step import PEFT_ASKS, build, by_definition, train_rows
from tests.tiny_model import tiny_config

BETA = 0.3


pytestmark = pytest.mark.usefixtures("one_thread")


def side_of(model, budget=60, layout="prefix-shared", own_logits=False):
    return Side(TrainStep(model, some_d(), Objective("dpo"), 0.0, layout, own_logits), end_token=0, batch_tokens=budget)


def two_models(config=None):
    """A model and one a step away from it."""
    models = [build(config or tiny_config()), build(config or tiny_config())]
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return models


def distributions(model, prompt, response, ended):
    logits = model(input_ids=torch.tensor([prompt + response]), use_cache=False).logits[0, len(prompt) - 1 :].float()
    return torch.log_softmax(logits, 1)[: len(response) + ended]  # [T + ended, V]


def kl_by_definition(tuned, base, prompt, response, ended):
    p, q = (distributions(model, prompt, response, ended) for model in (tuned, base))
    return float((p.exp() * (p - q)).sum()), len(p)


@pytest.mark.parametrize("layout", ["prefix-shared", "plain"])
def test_answers_equal_the_definition(layout):
    base, tuned = two_models()
    rows, d = train_rows(reference=False), some_d()
    sides = [side_of(model, layout=layout) for model in (base, tuned)]
    with at_rest(*(side.step for side in sides)):
        first = read_answers(sides[0], rows, BETA, keep_states=True)
        rows = [replace(row, reference=lp) for row, lp in zip(rows, first.logps, strict=True)]
        found = read_answers(sides[1], rows, BETA, base=(sides[0], first.states))
        without_states = read_answers(sides[1], rows, BETA, base=(sides[0], []))
        for place, row in enumerate(rows):
            lp, T, R = zip(*(by_definition(tuned, row, k, d) for k in range(len(row.ranks))), strict=True)
            lp0 = [float(by_definition(base, row, k, d)[0]) for k in range(len(row.ranks))]
            assert first.logps[place] == pytest.approx(lp0, rel=1e-4)
            implicit = [BETA * (float(a) - b) for a, b in zip(lp, lp0, strict=True)]
            rejected = sum(implicit[1:]) / (len(implicit) - 1)
            s = [float(a) / t for a, t in zip(lp, T, strict=True)]
            watched = found.watched[place]
            assert watched["margin"] == pytest.approx(implicit[0] - rejected, abs=1e-3)
            assert watched["accuracy_implicit"] == float(implicit[0] > rejected)
            assert watched["accuracy_logp"] == float(s[0] > sum(s[1:]) / (len(s) - 1))
            assert watched["reward_chosen"] == pytest.approx(float(R[0]), abs=1e-4)
            assert watched["logp_chosen"] == pytest.approx(float(lp[0]), rel=1e-4)
            expected = kl_by_definition(tuned, base, row.tokens.prompt, row.tokens.responses[0], row.tokens.ended[0])
            assert found.kl[place] == (pytest.approx(expected[0], rel=1e-3), expected[1])
            assert without_states.kl[place] == (pytest.approx(expected[0], rel=1e-3), expected[1])


def test_the_base_against_itself_is_a_tie_everywhere():
    side, rows = side_of(build(tiny_config())), train_rows(reference=False)
    with at_rest(side.step):
        first = read_answers(side, rows, BETA, keep_states=True)
        referred = [replace(row, reference=lp) for row, lp in zip(rows, first.logps, strict=True)]
        again = read_answers(side, referred, BETA, base=(side, first.states))
    assert [row["accuracy_implicit"] for row in first.watched] == [0.5] * 3
    assert again.watched == first.watched
    assert [row["margin"] for row in again.watched] == [0.0] * 3
    assert [nats for nats, _ in again.kl] == [0.0] * 3


@pytest.mark.parametrize("case", ["plain", "soft-capped", "own logits"])
def test_kl_on_answers_of_its_own(case):
    from transformers import Gemma2Config

    config = Gemma2Config(**GEMMA2) if case == "soft-capped" else None
    base, tuned = two_models(config)
    settings = {"layout": "plain", "own_logits": case == "own logits"} if case != "plain" else {}
    sides = [side_of(model, **settings) for model in (base, tuned)]
    answers = [TokenRow([3, 4, 5], [[6, 7]], [True]), TokenRow([8, 9], [[]], [True]), TokenRow([10] * 6, [[11, 12, 13, 14]], [False])]
    with at_rest(*(side.step for side in sides)):
        found = own_kl(sides[1], sides[0], answers)
        for one, row in zip(found, answers, strict=True):
            expected = kl_by_definition(tuned, base, row.prompt, row.responses[0], row.ended[0])
            assert one == (pytest.approx(expected[0], rel=1e-3), expected[1])
    assert [tokens for _, tokens in found] == [3, 1, 4]


def test_neutral_text_is_read_from_its_second_token_on():
    model = build(tiny_config())
    side = side_of(model)
    texts = [TokenRow([5], [[6, 7, 8]], [False]), TokenRow([9], [[10]], [False])]
    with at_rest(side.step):
        found = neutral_nats(side, texts)
        for (nats, tokens), row in zip(found, texts, strict=True):
            logp = distributions(model, row.prompt, row.responses[0], False)
            assert nats == pytest.approx(-sum(float(logp[t, token]) for t, token in enumerate(row.responses[0])), rel=1e-4)
            assert tokens == len(row.responses[0])


@pytest.mark.filterwarnings(PEFT_ASKS)
def test_the_base_of_an_adapter_is_the_model_without_it():
    from peft import LoraConfig, get_peft_model

    plain, rows = side_of(build(tiny_config())), train_rows(reference=False)
    model = get_peft_model(build(tiny_config()), LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    tuned = side_of(model)
    with at_rest(plain.step, tuned.step):
        expected = read_answers(plain, rows, BETA)
        found = read_answers(base_of_adapter(tuned), rows, BETA, keep_states=True)
        assert [a == pytest.approx(b, rel=1e-5) for a, b in zip(found.logps, expected.logps, strict=True)] == [True] * 3
        assert read_answers(tuned, rows, BETA, base=(base_of_adapter(tuned), found.states)).kl[0][0] > 1e-4
        assert own_kl(tuned, base_of_adapter(tuned), [rows[0].tokens])[0][0] > 1e-4


def test_afterwards_the_mode_is_the_one_before():
    step = side_of(build(tiny_config())).step
    step.train()
    with at_rest(step):
        assert not step.training and not step.model.training and not torch.is_grad_enabled()
    assert step.training and step.model.training and torch.is_grad_enabled()
