"""The models of a run, base and trained, loaded for reading: each in the precision of training, the base only where it is the run's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deft_core import file_names
from deft_core.errors import ModelError, NotFoundError
from deft_core.lm import models
from deft_core.lm.losses import Objective
from deft_core.lm.models import LanguageModel
from deft_core.lm.readings import Side
from deft_core.lm.train_step import TrainStep
from deft_core.runs.spec import Run

__all__ = ["as_side", "base_model", "side_of_step", "tuned_folder", "tuned_model"]


def base_model(run: Run) -> LanguageModel:
    """The model that training began with; refused where its weights have changed since."""
    folder = models.local_folder(run.model)
    known, found = run.fingerprints.get("model"), models.fingerprint(folder)[0]
    if known not in (None, found):
        raise ModelError(f"the base that {run.run_id} began with ({known})", f"{found} in {folder}", "Put back that model.")
    return _load(run, run.model, folder)


def tuned_model(run: Run, folder: Path) -> LanguageModel:
    """What training made of it."""
    return _load(run, str(folder), tuned_folder(run, folder))


def tuned_folder(run: Run, folder: Path) -> Path:
    if not (folder / file_names.MODEL / "config.json").is_file():
        remedy = "Wait until it has finished, or go on with it: deft run resume."
        raise NotFoundError(f"the trained model of {run.run_id} in {folder / 'model'}", "none", remedy)
    return folder / file_names.MODEL


def _load(run: Run, name: str, folder: Path) -> LanguageModel:
    """In the precision of training: in bfloat16 the small steps of full fine-tuning would be rounded away."""
    device = models.pick_device()
    halves = device.type == "cuda" and run.settings.lora_rank > 0 and run.settings.dtype != "float32"
    return models.load(name, folder, device, torch.bfloat16 if halves else torch.float32)


def as_side(lm: LanguageModel, run: Run, d: NDArray[np.float64]) -> Side:
    return side_of_step(TrainStep(lm.model, d, Objective(), 0.0, run.layout, run.own_logits), lm.tokenizer)


def side_of_step(step: TrainStep, tokenizer: Any) -> Side:
    budget = 512 if step.head.weight.device.type == "cpu" else 16_384  # as LanguageModel.batch_tokens, halved on a GPU that is training
    return Side(step, tokenizer.eos_token_id, budget)
