"""Judges by name; tests/lm/test_evaluation.py has one that judges."""

import pytest
from transformers import LlamaForSequenceClassification

from deft_core.errors import ModelError
from deft_core.lm.reward_models import load_reward_model
from tests.tiny_model import save_model, tiny_config


@pytest.mark.parametrize(("labels", "words"), [(1, r"no weights for score\.weight"), (2, "2 labels")])
def test_what_is_no_reward_model_is_refused(tmp_path, labels, words):
    folder = save_model(tiny_config(num_labels=labels, pad_token_id=0), tmp_path / "plain")  # a language model has no such head
    if labels == 2:
        LlamaForSequenceClassification(tiny_config(num_labels=2, pad_token_id=0)).save_pretrained(folder)
    with pytest.raises(ModelError, match=words):
        load_reward_model(str(folder))
