"""A run's settings as the Trainer's arguments."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from transformers import TrainingArguments

from deft_core import file_names
from deft_core.lm import models
from deft_core.runs.spec import Run, Settings

__all__ = ["arguments", "dtype_of"]

_WAIT_SECONDS = 24 * 3600  # for the main process, while it evaluates


def arguments(run: Run, folder: Path) -> TrainingArguments:
    """The Trainer's arguments; making them meets the other processes."""
    settings, on_cpu = run.settings, models.pick_device().type == "cpu"
    steps = settings.total_steps(run.rows)
    args = TrainingArguments(
        output_dir=str(folder / file_names.CHECKPOINTS),
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=math.ceil(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=dtype_of(settings) == torch.bfloat16,
        seed=settings.seed,
        use_cpu=on_cpu,
        eval_strategy="steps" if settings.eval_every(run.rows) else "no",
        eval_steps=settings.eval_every(run.rows) or None,
        save_strategy="steps",
        save_steps=settings.save_steps or steps,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=settings.report_to.split(","),
        run_name=run.name,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cache=True,  # of the model's config, which is saved with it; training itself never caches
        disable_tqdm=True,
        ddp_timeout=_WAIT_SECONDS,
    )
    args.mixed_precision = "bf16" if args.bf16 else "no"  # the run's own, whatever a launcher's configuration says
    args.device  # noqa: B018  # sets the processes up
    args._n_gpu = min(1, args.n_gpu)  # several GPUs are for several processes, never for DataParallel
    args.per_device_train_batch_size = -(-settings.rows_per_step // args.world_size)  # what DeepSpeed and trackers are told
    return args


def dtype_of(settings: Settings) -> torch.dtype:
    """What the model computes in."""
    on_cpu = models.pick_device().type == "cpu"
    return getattr(torch, settings.dtype) if settings.dtype else torch.float32 if on_cpu else torch.bfloat16
