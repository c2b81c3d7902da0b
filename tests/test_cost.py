"""The arithmetic of the estimates."""

import numpy as np

from deft_core.cost import LOGITS_AT_A_TIME, ModelSize, pair_tokens, training_bytes, training_seconds


def test_a_pair_has_its_prompt_once():
    # 10 + 5 + 7 = 22, 0 + 1 + 1 = 2
    assert list(pair_tokens(np.array([10.0, 0.0]), np.array([5.0, 1.0]), np.array([7.0, 1.0]))) == [22, 2]


def test_training_takes_three_forward_passes():
    # 3 x 8,214 tokens / 308 a second = 80.01 s
    assert round(training_seconds(8214, 308), 2) == 80.01


def test_memory_is_parameters_activations_and_a_block_of_logits():
    # 1,000 x 16 = 16,000 and the head's gradient apart, 5,000 x 8 x 4 = 160,000; 10 tokens x 2 layers x 8 units x 83 = 13,280;
    # 6 response tokens x 2,048 x 12 = 147,456
    assert training_bytes(ModelSize(parameters=1000, layers=2, hidden=8, vocabulary=5000), tokens=10, responses=6) == 336_736
    # a vocabulary below one block: 16,000 + 50 x 8 x 4 = 1,600 + 13,280 + 6 x 50 x 12 = 3,600
    assert training_bytes(ModelSize(parameters=1000, layers=2, hidden=8, vocabulary=50), tokens=10, responses=6) == 34_480
    # the default model (134.5 million, 30 layers of 576, 49,152 tokens) on a pair of 600 tokens, 400 of them in its responses:
    # 2.152e9 + 49,152 x 576 x 4 = 0.113e9 + 600 x 30 x 576 x 83 = 0.861e9 + 400 x 2,048 x 12 = 0.010e9
    assert round(training_bytes(ModelSize(134_515_008, 30, 576, 49_152), 600, 400) / 1e9, 3) == 3.136


def test_logits_are_counted_as_training_makes_them():
    from deft_core.lm.head_values import _BLOCK

    assert LOGITS_AT_A_TIME == _BLOCK
