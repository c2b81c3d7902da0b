"""What a run fails of from outside, in words: memory, and disks that are full or may not be written to."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from deft_core.errors import InputError, OutOfMemory
from deft_core.lm.train_batch import TrainBatch

__all__ = ["is_out_of_memory", "out_of_memory", "storing", "writing"]

_DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EFBIG, errno.EIO}
_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "bad_alloc")  # of torch's allocator for a CPU
_REMEDY = "Free some space or allow writing there, then resume the run: it goes on from its newest checkpoint."


@contextmanager
def storing(folder: Path, what: str) -> Iterator[None]:
    """Around weights being saved: torch and safetensors say a full disk in errors of their own."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        free = shutil.disk_usage(folder).free if folder.is_dir() else 0
        found = f"{_one_line(error)} ({free / 2**20:,.0f} MB free)"
        raise InputError(f"{what} ({folder})", found, _REMEDY) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around everything else that is written in a run."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise InputError(f"room and leave to write into {folder}", _one_line(error), _REMEDY) from error


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in _MEMORY_WORDS)


def out_of_memory(batch: TrainBatch | None, step: int, budget: int) -> OutOfMemory:
    """In this micro-batch of this step, or outside of any; `budget` is a micro-batch's limit in padded tokens."""
    found = f"none left around step {step}, outside its micro-batches: for reading the base, the optimiser's state or an evaluation"
    if batch is not None:
        sequences, width = batch.tokens.input_ids.shape
        rows = f"row{'s' if len(batch) > 1 else ''} {', '.join(batch.ids)}"
        found = f"none left in step {step}, for {rows}: {sequences} x {width} padded tokens, {sum(batch.response_tokens)} in responses"
    remedy = "Set gradient_checkpointing to true in run.json and resume the run; or start one with --lora-rank 16, or drop long rows."
    if batch is None or len(batch) > 1:
        remedy = f"Lower accumulation_tokens in run.json (now {budget}) and resume the run: its gradients stay the same. Else: {remedy}"
    return OutOfMemory("memory for a step", found, remedy)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
