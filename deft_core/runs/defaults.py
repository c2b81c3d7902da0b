"""The settings a run is offered with, by the size of the model and by what the device has. docs/training.md tells the rule.

what learns   all weights where that takes at most 80 % of the device's memory; else LoRA of rank 16; else that with activations
              computed again in the backward pass
epochs        as many as make 60 steps, at least one and at most three
lr            all weights: 2e-5 up to 200 million parameters, 5e-6 below a billion, else 1e-6; LoRA 1e-4 below a billion, else 2e-5
evaluation    64 held-out prompts on a CPU, 256 on a GPU
guidance      off: our study could not tell that it adds anything
"""

from __future__ import annotations

import math
from dataclasses import replace

from deft_core.cost import ModelSize
from deft_core.runs.device import Device
from deft_core.runs.facts import Facts
from deft_core.runs.preflight import memory_of
from deft_core.runs.spec import Settings

__all__ = ["rate", "usual"]

SHARE = 0.8  # of the device's memory
ENOUGH_STEPS, MOST_EPOCHS = 60, 3
SMALL_MODEL, LARGE_MODEL = 200_000_000, 1_000_000_000
RANK = 16


def usual(known: Facts, device: Device) -> Settings:
    """For this selection on this device."""
    plain = Settings(eval_rows=64 if device.kind == "cpu" else 256)
    an_epoch = math.ceil(known.rows / plain.rows_per_step)
    plain = replace(plain, epochs=float(min(MOST_EPOCHS, max(1, math.ceil(ENOUGH_STEPS / an_epoch)))))
    learning = [{"lora_rank": 0}, {"lora_rank": RANK}, {"lora_rank": RANK, "gradient_checkpointing": True}]
    offered = [replace(plain, lr=rate(known.size, bool(one["lora_rank"])), lora_alpha=None, **one) for one in learning]  # type: ignore[arg-type]
    return next((one for one in offered if _fits(known, one, device)), offered[-1])


def rate(size: ModelSize | None, adapters: bool) -> float | None:
    """The learning rate; None: what Settings takes by itself. That of a small model is the one of docs/study."""
    parameters = size.parameters if size else None
    if parameters is None or (adapters and parameters < LARGE_MODEL) or SMALL_MODEL < parameters < LARGE_MODEL:
        return None
    return 2e-5 if adapters or parameters <= SMALL_MODEL else 1e-6


def _fits(known: Facts, settings: Settings, device: Device) -> bool:
    """Where something is not known, it is taken to fit: nothing says that it does not."""
    need = memory_of(known, settings, device)
    return need is None or device.total_bytes is None or need.peak <= SHARE * device.total_bytes
