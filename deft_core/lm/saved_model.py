"""The model a run leaves behind in model/: weights, tokenizer and a card that says what it was made from.

Trained with LoRA, model/ holds the merged weights and model/adapter the adapter alone. Both load with from_pretrained.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.lm import adapters
from deft_core.lm.model_card import card
from deft_core.lm.train_step import TrainStep
from deft_core.runs import metrics
from deft_core.runs.spec import Run

__all__ = ["save"]


def save(step: TrainStep, tokenizer: Any, folder: Path, run: Run) -> None:
    """Writes folder/model, whole or not at all; an adapter is merged into the step's model by this."""
    growing, target = folder / ".model.growing", folder / file_names.MODEL
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir()
    model = step.causal
    if run.settings.lora_rank:
        adapters.save_adapter(step.model, growing / "adapter", run.model)
        model = adapters.merged(step.model)
    model.save_pretrained(growing)
    tokenizer.save_pretrained(growing)
    events, _ = metrics.read(folder)
    (growing / "README.md").write_text(card(run, metrics.standing(events), step.omega), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    growing.rename(target)
