"""LoRA through peft: small matrices beside every linear layer of attention and MLP learn, the model itself stays as it is.

The head is never adapted: rewards and log-probabilities read its matrix alone (train_step.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from deft_core.errors import ModelError

__all__ = ["adapted", "linear_layers", "merged", "save_adapter"]


def linear_layers(causal: Any) -> list[str]:
    """Last parts of the names of all linear layers but the head, sorted: what peft looks for in every block."""
    from transformers.pytorch_utils import Conv1D

    head = causal.get_output_embeddings()
    found = {name.rpartition(".")[2] for name, module in causal.named_modules() if _linear(module, Conv1D) and module is not head}
    if not found:
        raise ModelError("linear layers for LoRA to stand beside", f"none in {type(causal).__name__}", "Train all weights: --lora-rank 0.")
    return sorted(found - {name.rpartition(".")[2] for name, module in causal.named_modules() if module is head})


def _linear(module: nn.Module, conv: type[nn.Module]) -> bool:
    return isinstance(module, nn.Linear | conv)


def adapted(causal: Any, rank: int, alpha: float) -> Any:
    """A peft model around this one; its first weights come from torch's generator, and at first it changes nothing (B = 0)."""
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    transposed = any(isinstance(module, Conv1D) for module in causal.modules())
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # any number does
        lora_dropout=0.0,
        target_modules=linear_layers(causal),
        fan_in_fan_out=transposed,
        task_type="CAUSAL_LM",
    )
    with _quiet():
        return get_peft_model(causal, config)


def save_adapter(model: Any, folder: Path, base: str) -> None:
    """The adapter alone; `base` is what it says it belongs to, a name rather than a folder of this machine's cache."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base
    with _quiet():
        model.save_pretrained(folder, save_embedding_layers=False)  # none learns; left to find out, peft asks the Hub for the base


def merged(model: Any) -> Any:
    """The plain model with the adapter added into its weights; `model` is used up."""
    with _quiet():
        return model.merge_and_unload()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a warning about how peft itself asks transformers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
