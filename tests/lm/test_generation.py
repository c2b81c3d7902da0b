"""Greedy answers equal one plain forward a token, whatever the batch, the padding and the checkpoint's own settings."""

import pytest
import torch

from deft_core.lm.generation import Answer, end_tokens, greedy
from tests.lm.test_train_step import build
from tests.tiny_model import tiny_config

PROMPTS = [[5, 6, 7], [9, 10, 11, 12, 13, 14, 15, 16], [100], [40, 41, 42, 43], [7, 6, 5]]


pytestmark = pytest.mark.usefixtures("one_thread")


@torch.no_grad()
def by_definition(model, prompt, ends, new_tokens):
    ids = list(prompt)
    for _ in range(new_tokens):
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in ends:
            return Answer(ids[len(prompt) :], True)
        ids.append(token)
    return Answer(ids[len(prompt) :], False)


def test_answers_equal_one_plain_forward_a_token():
    model = build(tiny_config()).eval()
    free = [by_definition(model, prompt, [], 12).ids for prompt in PROMPTS]
    ends = [0, free[0][4], free[1][0]]  # so that answers end at the start, in the middle and not at all
    expected = [by_definition(model, prompt, ends, 12) for prompt in PROMPTS]
    assert {answer.ended for answer in expected} == {True, False}
    assert Answer([], True) in expected
    for budget in (1, 40, 4096):  # one prompt a batch, two, all
        assert greedy(model, PROMPTS, ends, 12, budget) == expected


def test_a_checkpoints_own_settings_change_nothing_and_stay():
    model = build(tiny_config()).eval()
    expected = greedy(model, PROMPTS, [0], 12)
    own = model.generation_config
    own.update(do_sample=True, temperature=5.0, repetition_penalty=50.0, min_new_tokens=12, forced_eos_token_id=3)
    model.train()
    assert greedy(model, PROMPTS, [0], 12) == expected
    assert model.generation_config is own and own.repetition_penalty == 50.0
    assert model.training


def test_no_prompts_no_answers():
    assert greedy(build(tiny_config()), [], [0], 4) == []


def test_a_chat_models_end_of_turn_ends_answers_too():
    model = build(tiny_config())
    assert end_tokens(model, 0) == [0]
    model.generation_config.eos_token_id = [7, 0, 3]
    assert end_tokens(model, 9) == [0, 3, 7, 9]
    model.generation_config.eos_token_id = None
    assert end_tokens(model, 9) == [9]
