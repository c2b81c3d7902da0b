"""LoRA stands beside every linear layer of attention and MLP, whatever a family calls them, and never beside the head."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deft_core.errors import ModelError
from deft_core.lm.adapters import adapted, linear_layers, merged, save_adapter
from tests.lm.test_scoring import COMMON, GPT2
from tests.lm.test_train_step import build
from tests.tiny_model import tiny_config


def families():
    from transformers import GPT2Config, GPTNeoXConfig, PhiConfig

    return {
        "llama": (tiny_config(), ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
        "gpt2": (GPT2Config(**GPT2), ["c_attn", "c_fc", "c_proj"]),  # Conv1D, the matrix turned round
        "phi": (PhiConfig(**COMMON), ["dense", "fc1", "fc2", "k_proj", "q_proj", "v_proj"]),
        "neox": (GPTNeoXConfig(**COMMON), ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"]),
    }


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi", "neox"])
def test_layers_are_found_by_architecture(family):
    config, expected = families()[family]
    model = build(config)
    assert linear_layers(model) == expected
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        before = model.eval()(ids).logits
        torch.manual_seed(0)
        peft = adapted(model, 4, 8.0)
        torch.testing.assert_close(peft(ids).logits, before)  # B = 0: nothing is changed yet
        for name, value in peft.named_parameters():
            if "lora_B" in name:
                value.normal_()
        changed = peft(ids).logits
        assert (changed - before).abs().max() > 1e-3
        torch.testing.assert_close(merged(peft)(ids).logits, changed, atol=1e-4, rtol=1e-4)


def test_only_the_adapter_learns():
    peft = adapted(build(tiny_config()), 4, 8.0)
    learning = {name.rpartition(".lora_")[1] for name, value in peft.named_parameters() if value.requires_grad}
    assert learning == {".lora_"}


def test_saving_an_adapter_asks_nobody(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *name: asked.append(name))
    save_adapter(adapted(build(tiny_config()), 4, 8.0), tmp_path, "a-model-of-some-hub")
    assert asked == []
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "a-model-of-some-hub"
    names = load_file(tmp_path / "adapter_model.safetensors").keys()
    assert names and all(".lora_" in name for name in names)


def test_a_model_without_linear_layers_is_refused():
    class Bare(nn.Module):
        def get_output_embeddings(self):
            return None

    with pytest.raises(ModelError, match="linear layers for LoRA"):
        linear_layers(Bare())
