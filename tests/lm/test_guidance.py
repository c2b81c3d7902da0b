"""The guidance term's gradient is that of the definition: a full log-softmax, its mean dotted with d."""

import numpy as np
import pytest
import torch

from deft_core.errors import InputError, ModelError
from deft_core.lm.guidance import auto_weight, checked_d, direction, gradient_norms, linear_reward
from deft_core.lm.head_values import head_values
from deft_core.lm.models import Head, head_of
from tests.lm.test_scoring import GEMMA2, some_d
from tests.tiny_model import tiny_config

PROMPT, RESPONSE = [5, 6, 7, 8], [9, 10, 11, 12, 13, 14]
COMMON = {"vocab_size": 257, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
COMMON |= {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0, "initializer_range": 0.3}


def configs():
    from transformers import CohereConfig, Gemma2Config, PhiConfig

    return {
        "tied": tiny_config(tie_word_embeddings=True),
        "trainable": tiny_config(tie_word_embeddings=False),
        "frozen": tiny_config(tie_word_embeddings=False),
        "bias": PhiConfig(**COMMON),
        "logit scale": CohereConfig(**COMMON, num_key_value_heads=2),
        "soft-capped": Gemma2Config(**GEMMA2),
    }


def build(kind):
    """(model, its head with what learns)."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(configs()[kind], attn_implementation="eager")
    output = model.get_output_embeddings()
    if kind == "bias":
        torch.nn.init.normal_(output.bias, std=0.5)
    if kind == "frozen":
        output.weight.requires_grad_(False)
    described = head_of(model)
    return model, Head(output.weight, getattr(output, "bias", None), described.scale, described.cap)


def by_definition(model, d):
    logits = model(input_ids=torch.tensor([PROMPT + RESPONSE])).logits[0, len(PROMPT) - 1 : -1]
    return torch.log_softmax(logits, 1).mean(0) @ d


def fast(model, head, d):
    h = model.base_model(input_ids=torch.tensor([PROMPT + RESPONSE])).last_hidden_state[0, len(PROMPT) - 1 : -1]
    if head.linear:
        return linear_reward(h.mean(0, keepdim=True), *direction(head, d), head.scale)[0]
    return head_values(head, h, torch.tensor(RESPONSE), d).dots.mean()


@pytest.mark.parametrize("kind", ["tied", "trainable", "frozen", "bias", "logit scale", "soft-capped"])
def test_the_gradient_is_that_of_the_full_log_softmax(kind):
    model, head = build(kind)
    d = checked_d(some_d(), 257)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ours, theirs = fast(model, head, d), by_definition(model, d)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    gradients = [torch.autograd.grad(-0.7 * value, learning, materialize_grads=True) for value in (ours, theirs)]
    assert max(gradient.abs().max().item() for gradient in gradients[1]) > 1e-3
    for mine, other in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)
    assert head.weight.requires_grad == (kind != "frozen")
    assert head.linear == (kind != "soft-capped")


def test_the_direction_written_out():
    # W = ((1, 0), (0, 1), (2, 2)), d = (0.5, 0.25, -0.75): u = (0.5 - 1.5, 0.25 - 1.5) = (-1, -1.25); b . d = 0.75 - 0.75 * 2 = -0.75
    head = Head(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]), torch.tensor([1.5, 0.0, 2.0]), scale=2.0)
    u, offset = direction(head, torch.tensor([0.5, 0.25, -0.75]))
    assert u.tolist() == [-1.0, -1.25]
    assert offset.item() == -0.75
    # R = 2 * ((-1) * 3 + (-1.25) * 4 - 0.75) = -17.5
    assert linear_reward(torch.tensor([[3.0, 4.0]]), u, offset, head.scale).tolist() == [-17.5]


def test_a_half_precision_head_meets_d_in_float32():
    weight = torch.randn(257, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    d = checked_d(some_d(), 257)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        u, _ = direction(Head(weight), d)
    assert u.dtype == torch.float32
    assert torch.equal(u, d @ weight.float())


def test_a_d_that_does_not_sum_to_zero_is_refused():
    masked = some_d()
    masked[np.argmax(masked)] = 0  # a token masked without normalising again
    with pytest.raises(InputError, match=r"a discrepancy that sums to 0; found -0\.0\d+"):
        checked_d(masked, 257)
    with pytest.raises(InputError, match="a discrepancy that sums to 0; found nan"):
        checked_d(np.full(257, np.nan), 257)
    with pytest.raises(ModelError, match="a discrepancy over the model's 300 token ids; found 257"):
        checked_d(some_d(), 300)


def test_the_automatic_weight_written_out():
    # 0.1 * 4 / 2 = 0.2, 0.1 * 9 / 3 = 0.3, 0.1 * 1 / 10 = 0.01: the median is 0.2, and the term's norm there 0.4 = 10 % of 4
    assert auto_weight([(4.0, 2.0), (9.0, 3.0), (1.0, 10.0)]) == pytest.approx(0.2)
    assert auto_weight([(4.0, 2.0), (9.0, 3.0)], share=0.2) == pytest.approx(0.5)  # halfway between 0.4 and 0.6
    assert auto_weight([(4.0, 0.0)]) == 0.0  # d = 0: nothing to guide with
    with pytest.raises(InputError, match="finite gradients in the first batches"):
        auto_weight([(float("nan"), 1.0)])


def test_gradient_norms_are_over_what_learns_and_micro_batches_add_up():
    learns, frozen = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0])
    # align = 3 x x_0 + 4 x x_1: gradient (3, 4) for x = 1, (6, 8) for x = 2, in all (9, 12), norm 15
    # reward = x_0^2 + frozen: gradient (2, 0) each time, in all (4, 0), norm 4
    found = gradient_norms(lambda x: (x * (3 * learns[0] + 4 * learns[1]), learns[0] ** 2 + frozen.sum()), [learns, frozen], [1.0, 2.0])
    assert found == (15.0, 4.0)
    assert learns.grad is None
