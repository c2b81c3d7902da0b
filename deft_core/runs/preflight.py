"""Before a run is started: what its settings come to on a device. Steps, seconds, memory and disk by part, and what is wrong with it.

Adds up what facts.py has read. Estimates say where they come from: an earlier run of the same kind on this machine, else the speed of
scoring. The arithmetic is in cost.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from deft_core import cost
from deft_core.cost import Memory
from deft_core.runs.device import Device
from deft_core.runs.facts import Facts
from deft_core.runs.spec import Settings
from deft_core.runs.speeds import Speed

__all__ = ["Disk", "Preflight", "Problem", "Seconds", "blocking", "fitting", "memory_of", "preflight"]

OWN_ROWS, NEUTRAL_ROWS = 16, 16  # of an evaluation while the run trains (lm/evaluation.py)
NEUTRAL_TOKENS, ALL_NEUTRAL = 83, 64  # of a paragraph of data/neutral (21,298 characters in 64, about 4 a token), and how many there are
JUDGE_ROWS = 512  # that the judge is fitted on at most (lm/judging.py)
OMEGA_STEPS, OMEGA_PASSES = 8, 5  # an automatic omega: the gradients of both parts, over the rows of 8 steps
FEW_STEPS = 10
LONG = 0.3  # of the memory for what a forward keeps: shorter rows would help


@dataclass(frozen=True)
class Seconds:
    """What the run will take; None where there is no speed to reckon with."""

    training: float | None
    evaluating: float | None  # while it trains and when it is over
    source: str  # in words

    @property
    def total(self) -> float | None:
        return None if self.training is None else self.training + (self.evaluating or 0.0)


@dataclass(frozen=True)
class Disk:
    peak_bytes: float  # checkpoints and the model
    left_bytes: float  # once the run is over
    free_bytes: float


@dataclass(frozen=True)
class Problem:
    words: str
    remedy: str
    blocks: bool  # the run will not work; else it is something to know


@dataclass(frozen=True, eq=False)
class Preflight:
    rows: int
    heldout_rows: int
    steps: int
    evaluations: int  # while it trains
    tokens: float | None  # that training reads
    seconds: Seconds
    memory: Memory | None
    disk: Disk | None
    device: Device
    problems: tuple[Problem, ...]

    @property
    def fits(self) -> bool:
        return not any(problem.blocks for problem in self.problems)


# what the settings make of it


def preflight(known: Facts, settings: Settings, device: Device, free_disk_bytes: float, speed: Speed | None = None) -> Preflight:
    """`speed` is that of an earlier run of the same kind, where there is one."""
    steps = settings.total_steps(known.rows)
    every = settings.eval_every(known.rows)
    evaluations = 1 + math.ceil(steps / every) if every else 0
    tokens = _tokens(known, settings, steps)
    memory = memory_of(known, settings, device)
    halves = _halves(settings, device)
    disk = Disk(*cost.disk_bytes(known.size, settings.lora_rank, halves=halves), free_disk_bytes) if known.size else None
    heldout = min(settings.eval_rows, known.heldout)
    found = Preflight(
        rows=known.rows,
        heldout_rows=heldout,
        steps=steps,
        evaluations=evaluations,
        tokens=tokens,
        seconds=_seconds(known, settings, tokens, steps, evaluations, heldout, speed),
        memory=memory,
        disk=disk,
        device=device,
        problems=(),
    )
    return replace(found, problems=tuple(_problems(known, settings, found)))


def _halves(settings: Settings, device: Device) -> bool:
    """Whether the forward computes in bfloat16."""
    return settings.dtype == "bfloat16" or (settings.dtype is None and device.kind == "gpu")


def _tokens(known: Facts, settings: Settings, steps: int) -> float | None:
    """That all steps read, each prompt once for the responses that the method reads."""
    if not len(known.lengths):
        return None
    responses, _, _ = known.lengths.read(settings.method)
    epochs = steps / math.ceil(known.rows / settings.rows_per_step)
    return float((known.lengths.prompt + responses).mean() * known.rows * epochs)


def memory_of(known: Facts, settings: Settings, device: Device) -> Memory | None:
    """None where the model's size or the rows' lengths are not known."""
    if known.size is None or not len(known.lengths):
        return None
    responses, longest, number = known.lengths.read(settings.method)
    tokens = known.lengths.prompt + responses
    padded, of_responses = cost.largest_batch(tokens, responses, settings.tokens_a_forward(device.kind), settings.rows_per_step)
    if known.layout == "plain":  # every response behind a prompt of its own
        padded *= float((number * (known.lengths.prompt + longest) / tokens).max())
    process = cost.PROCESS_BYTES if device.kind == "cpu" else 0  # the rest of a process is not in the GPU's memory
    return cost.memory(
        known.size,
        padded,
        of_responses,
        rank=settings.lora_rank,
        halves=_halves(settings, device),
        checkpointing=settings.gradient_checkpointing,
        whole_logits=known.own_logits,
        process=process,
    )


def _seconds(
    known: Facts, settings: Settings, tokens: float | None, steps: int, evaluations: int, heldout: int, speed: Speed | None
) -> Seconds:
    if tokens is None or not (speed or known.scoring_speed):
        return Seconds(None, None, "nothing was measured here yet")
    passes = cost.FORWARD_PASSES + settings.gradient_checkpointing
    forward = known.scoring_speed or passes * speed.tokens_per_second  # type: ignore[union-attr]  # one of them is there
    training = tokens / speed.tokens_per_second if speed else cost.training_seconds(tokens, forward, passes)
    if settings.guidance is None:
        training += cost.training_seconds(tokens * min(1.0, OMEGA_STEPS / steps), forward, OMEGA_PASSES)
    if settings.needs_reference and (len(known.lengths) < known.rows or settings.dtype is not None):
        training += tokens / max(1.0, settings.epochs) / forward
    between, final = _evaluation_seconds(known, settings, heldout, forward)
    if speed and speed.between_seconds is not None and speed.final_seconds is not None and speed.heldout_rows:
        share = heldout / speed.heldout_rows
        between, final = speed.between_seconds * share, speed.final_seconds * share
    source = f"the speed of {speed.run_id} on this machine" if speed else "the speed of scoring, three forward passes a step"
    return Seconds(training, evaluations * between + final, source)


def _evaluation_seconds(known: Facts, settings: Settings, rows: int, speed: float) -> tuple[float, float]:
    """(one evaluation while it trains, the full one), with prompts and answers as long as those trained on are in the mean."""
    prompt, answer = float(known.lengths.prompt.mean()), float(known.lengths.best.mean())
    new, pair = settings.new_tokens, prompt + 2 * answer
    answered = min(rows, settings.answer_rows or rows)
    own, judged = min(rows, OWN_ROWS), min(known.judge, JUDGE_ROWS)
    between = rows * pair + 2 * own * (prompt + new) + NEUTRAL_ROWS * NEUTRAL_TOKENS
    final = 2 * (rows * pair + answered * (prompt + new) + ALL_NEUTRAL * NEUTRAL_TOKENS)
    final += judged * (prompt + 2 * min(answer, new)) + answered * (prompt + 2 * new)
    return (
        between / speed + cost.answering_seconds(own, prompt, new, speed),
        final / speed + 2 * cost.answering_seconds(answered, prompt, new, speed),
    )


# what is wrong with it


def blocking(found: Preflight) -> Preflight:
    """With those problems alone that keep it from working."""
    return replace(found, problems=tuple(problem for problem in found.problems if problem.blocks))


def fitting(known: Facts, settings: Settings, device: Device) -> list[Settings]:
    """Settings that need less memory, those that change least first: smaller forwards, activations computed again, adapters, both."""
    longest = int(max((known.lengths.prompt + known.lengths.read(settings.method)[0]).max(), 1)) if len(known.lengths) else 1
    smaller = replace(settings, accumulation_tokens=longest) if longest < settings.tokens_a_forward(device.kind) else settings
    adapters = replace(smaller, lora_rank=settings.lora_rank or 16, lr=None if not settings.lora_rank else settings.lr, lora_alpha=None)
    offered = [smaller, replace(smaller, gradient_checkpointing=True), adapters, replace(adapters, gradient_checkpointing=True)]
    return [one for place, one in enumerate(offered) if one != settings and one not in offered[:place]]


def _problems(known: Facts, settings: Settings, found: Preflight) -> list[Problem]:
    problems = [*_memory_problems(known, settings, found), *_disk_problems(found)]
    if known.lengths.empty:
        rows = ", ".join(known.lengths.empty[:3]) + (" …" if len(known.lengths.empty) > 3 else "")
        words = f"{len(known.lengths.empty):,} rows have no tokens in the prompt or in an answer: {rows}"
        problems.append(Problem(words, "Drop them on Curate, and save the selection again.", True))
    if known.lengths.truncated:
        words = f"{known.lengths.truncated:,} of {len(known.lengths):,} rows lose tokens to the limit of {known.max_length:,} tokens"
        remedy = "Prompts lose their beginning, answers their end. Leave such rows out with the condition truncated_tokens = 0 on Curate, "
        remedy += "or score with a larger --max-length, as far as the model has positions."
        problems.append(Problem(words, remedy, False))
    if unknown := known.rows - len(known.lengths):
        words = f"{unknown:,} of {known.rows:,} rows are not scored, so nobody knows how long they are"
        problems.append(Problem(words, "The estimates take them to be like the others. Go on scoring to know.", False))
    if found.steps < FEW_STEPS:
        words = f"{found.steps} steps in all: that hardly moves a model"
        problems.append(Problem(words, "Keep more rows, or train for more epochs.", False))
    return problems


def _memory_problems(known: Facts, settings: Settings, found: Preflight) -> list[Problem]:
    device, need = found.device, found.memory
    if need is None or device.total_bytes is None or device.free_bytes is None:
        return []
    if need.peak > device.total_bytes:
        words = f"It needs about {_gigabytes(need.peak)} of memory; {device.name} has {_gigabytes(device.total_bytes)}"
        return [Problem(words, _less_memory(known, settings, found), True)]
    if need.peak > device.free_bytes:
        words = f"It needs about {_gigabytes(need.peak)} of memory; {_gigabytes(device.free_bytes)} of {device.name} are free now"
        return [Problem(words, "Runs before it give theirs back when they end. Else close what holds the memory.", False)]
    return []


def _less_memory(known: Facts, settings: Settings, found: Preflight) -> str:
    """The least change with which it fits."""
    for one in fitting(known, settings, found.device):
        need = memory_of(known, one, found.device)
        if need and found.device.total_bytes and need.peak <= found.device.total_bytes:
            return f"With {_changed(settings, one)} it needs {_gigabytes(need.peak)}."
    need = found.memory
    long = need is not None and need.activations + need.logits > LONG * need.peak
    return f"No setting makes it fit: {'leave out the longest rows, or ' if long else ''}use a smaller model or another machine."


def _changed(before: Settings, after: Settings) -> str:
    words = []
    if after.accumulation_tokens != before.accumulation_tokens:
        words.append(f"{after.accumulation_tokens:,} tokens a forward")
    if after.lora_rank != before.lora_rank:
        words.append(f"LoRA of rank {after.lora_rank}")
    if after.gradient_checkpointing and not before.gradient_checkpointing:
        words.append("gradient checkpointing")
    return " and ".join(words)


def _disk_problems(found: Preflight) -> list[Problem]:
    if found.disk is None or found.disk.peak_bytes <= found.disk.free_bytes:
        return []
    words = f"It needs up to {_gigabytes(found.disk.peak_bytes)} of disk; {_gigabytes(found.disk.free_bytes)} are free"
    return [Problem(words, "Delete old runs, or train adapters (LoRA), whose checkpoints are small.", True)]


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB"
