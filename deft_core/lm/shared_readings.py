"""What the base of a run says of held-out rows and of neutral text, read once for all runs of a workspace that ask the same of it.

A run beside its control, the full set and other settings is held against one base on the same prompts. What was read is kept in
runs/.base/, named by all that it depends on; a run folder that stands elsewhere reads for itself. The files may be deleted at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from deft_core.lm.generation import Answer
from deft_core.lm.readings import WATCHED, Answers, Side
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow
from deft_core.runs.spec import Run
from deft_core.workspace import replace_atomically

__all__ = ["answers", "neutral", "rows", "shared_folder"]

Tensors = dict[str, Tensor]
NEWEST = 12  # files that are kept; those that were used longest ago make way


def shared_folder(folder: Path) -> Path | None:
    """Beside the run folders of a workspace; None for a folder that stands alone."""
    return folder.parent / ".base" if folder.parent.name == "runs" else None


def rows(folder: Path, run: Run, base: Side, asked: Sequence[TrainRow], read: Callable[[], Answers]) -> tuple[Answers, float]:
    """(what the base says of the rows, the seconds that were spared because another run, or this one earlier, has read them)."""
    ids = [(row.id, row.tokens.prompt, row.tokens.responses, row.tokens.ended, row.ranks) for row in asked]
    found, spared = _shared(folder, "rows", run, base, (ids, run.settings.new_tokens), lambda: _of_rows(read()))
    return _as_rows(found, asked), spared


def answers(
    folder: Path, run: Run, base: Side, starts: Sequence[list[int]], give: Callable[[], list[Answer]]
) -> tuple[list[Answer], float]:
    """The same of the base's answers to prompts."""
    found, spared = _shared(folder, "answers", run, base, (starts, run.settings.new_tokens), lambda: _of_answers(give()))
    return _as_answers(found), spared


def neutral(
    folder: Path, run: Run, base: Side, texts: Sequence[TokenRow], read: Callable[[], list[tuple[float, int]]]
) -> tuple[list[tuple[float, int]], float]:
    """The same of (-log p, tokens) of each paragraph of neutral text."""
    asked = [(text.prompt, text.responses) for text in texts]
    found, spared = _shared(folder, "neutral", run, base, asked, lambda: _of_neutral(read()))
    return list(zip(found["nats"].tolist(), found["tokens"].tolist(), strict=True)), spared


def _shared(folder: Path, kind: str, run: Run, side: Side, asked: Any, make: Callable[[], Tensors]) -> tuple[Tensors, float]:
    place = shared_folder(folder)
    path = place / f"{kind}-{_key(run, side, asked)}.safetensors" if place else None
    known = _known(path) if path else None
    if known:
        return known
    began = time.monotonic()
    made = make()
    if path:
        _keep(path, made, time.monotonic() - began)
    return made, 0.0


def _key(run: Run, side: Side, asked: Any) -> str:
    """Of the base, the way it is read on this machine, and what it is asked."""
    weight = side.step.head.weight
    how = (weight.dtype, weight.device.type, torch.is_autocast_enabled(weight.device.type), torch.__version__, transformers.__version__)
    base = (run.fingerprints.get("model"), run.fingerprints.get("tokenizer"), run.fingerprints.get("d"), run.layout, run.own_logits)
    return blake2b(repr((how, base, side.batch_tokens, asked)).encode(), digest_size=12).hexdigest()


def _known(path: Path) -> tuple[Tensors, float] | None:
    """What a file has; None where it is not there or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a safe_open cannot be iterated
            seconds = float(file.metadata()["seconds"])
        path.touch()
        return found, seconds
    except (OSError, SafetensorError, TypeError, KeyError):
        return None


def _keep(path: Path, made: Tensors, seconds: float) -> None:
    from safetensors.torch import save_file

    try:
        path.parent.mkdir(exist_ok=True)
        replace_atomically(path, lambda beside: save_file(made, beside, metadata={"seconds": repr(seconds)}))
        files = sorted(path.parent.glob("*.safetensors"), key=lambda one: one.stat().st_mtime_ns)
        for old in files[:-NEWEST]:
            old.unlink(missing_ok=True)
    except OSError:
        pass  # a disk that is full or read-only: the run has what it read, and says so where it cannot write its own files


# as tensors and back


def _of_rows(read: Answers) -> Tensors:
    found = {
        "watched": torch.tensor([[row[name] for name in WATCHED] for row in read.watched], dtype=torch.float64).reshape(-1, len(WATCHED)),
        "logps": torch.tensor([value for row in read.logps for value in row], dtype=torch.float64),
        "pooled": torch.cat(read.pooled) if read.pooled else torch.empty(0),
    }
    return found | ({"states": torch.cat(read.states).contiguous()} if read.states else {})


def _as_rows(found: Tensors, asked: Sequence[TrainRow]) -> Answers:
    """`asked` are the rows that were read."""
    each = [len(row.ranks) for row in asked]
    lengths = [len(row.tokens.responses[0]) + row.tokens.ended[0] for row in asked]
    return Answers(
        watched=[dict(zip(WATCHED, values, strict=True)) for values in found["watched"].tolist()],
        logps=[part.tolist() for part in torch.split(found["logps"], each)],
        states=list(torch.split(found["states"], lengths)) if "states" in found else [],
        kl=[],
        pooled=list(torch.split(found["pooled"], each)) if asked else [],
    )


def _of_answers(given: Sequence[Answer]) -> Tensors:
    return {
        "ids": torch.tensor([token for answer in given for token in answer.ids], dtype=torch.int64),
        "lengths": torch.tensor([len(answer.ids) for answer in given], dtype=torch.int64),
        "ended": torch.tensor([answer.ended for answer in given], dtype=torch.bool),
    }


def _as_answers(found: Tensors) -> list[Answer]:
    parts = torch.split(found["ids"], found["lengths"].tolist())
    return [Answer(part.tolist(), ended) for part, ended in zip(parts, found["ended"].tolist(), strict=True)]


def _of_neutral(nats: Sequence[tuple[float, int]]) -> Tensors:
    return {
        "nats": torch.tensor([value for value, _ in nats], dtype=torch.float64),
        "tokens": torch.tensor([tokens for _, tokens in nats], dtype=torch.int64),
    }
