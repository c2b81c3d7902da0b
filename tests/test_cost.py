"""The arithmetic of the estimates."""

import numpy as np

from deft_core.cost import ModelSize, pair_tokens, training_bytes, training_seconds


def test_a_pair_has_its_prompt_twice():
    # 2 x 10 + 5 + 7 = 32, 2 x 0 + 1 + 1 = 2
    assert list(pair_tokens(np.array([10.0, 0.0]), np.array([5.0, 1.0]), np.array([7.0, 1.0]))) == [32, 2]


def test_training_takes_three_forward_passes():
    # 3 x 8,214 tokens / 308 a second = 80.01 s
    assert round(training_seconds(8214, 308), 2) == 80.01


def test_memory_is_parameters_activations_and_logits():
    # 1,000 x 16 = 16,000; 10 tokens x 2 layers x 8 units x 68 = 10,880; 10 tokens x 50 x 12 = 6,000
    assert training_bytes(ModelSize(parameters=1000, layers=2, hidden=8, vocabulary=50), 10) == 32_880
    # the default model (134.5 million, 30 layers of 576, 49,152 tokens) on a pair of 600 tokens:
    # 2.152e9 + 600 x 30 x 576 x 68 = 0.705e9 + 600 x 49,152 x 12 = 0.354e9
    assert round(training_bytes(ModelSize(134_515_008, 30, 576, 49_152), 600) / 1e9, 2) == 3.21
