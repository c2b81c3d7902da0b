"""Greedy answers of a causal language model: prompts in batches by length, padded on the left, with a cache of keys and values.

The same prompts in the same batches give the same answers. A checkpoint's own generation settings (sampling, penalties) are left
out, so that answers are the model's alone; its end tokens are kept. Knows nothing of tokenizers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Answer", "end_tokens", "greedy"]


@dataclass(frozen=True, slots=True)
class Answer:
    ids: list[int]  # without the end token
    ended: bool  # False where it was cut at the most tokens it may have


def end_tokens(model: Any, end_token: int) -> list[int]:
    """The tokenizer's end token and those that the checkpoint stops at (a chat model's end of turn)."""
    own = _causal(model).generation_config.eos_token_id
    listed = own if isinstance(own, list) else [] if own is None else [own]
    return sorted({end_token, *listed})


def greedy(model: Any, prompts: Sequence[Sequence[int]], ends: Collection[int], new_tokens: int, batch_tokens: int = 4096) -> list[Answer]:
    """The likeliest next token until an end token, at most `new_tokens`; `batch_tokens` are a batch's padded ones, answers included."""
    found: dict[int, Answer] = {}
    with _plain_settings(_causal(model)) as causal:
        for indices in _batches(prompts, new_tokens, batch_tokens):
            answers = _answer(causal, [list(prompts[i]) for i in indices], sorted(ends), new_tokens)
            found |= dict(zip(indices, answers, strict=True))
    return [found[i] for i in range(len(prompts))]


def _causal(model: Any) -> Any:
    """The causal language model of a peft model; its layers hold the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _plain_settings(model: Any) -> Iterator[Any]:
    """The model in evaluation mode with no generation settings of its own; both as before afterwards."""
    from transformers import GenerationConfig

    own, training = model.generation_config, model.training
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    model.eval()
    try:
        yield model
    finally:
        model.generation_config = own
        model.train(training)


def _batches(prompts: Sequence[Sequence[int]], new_tokens: int, budget: int) -> list[list[int]]:
    """Indices of prompts, longest first, in batches within the budget (or of one)."""
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    out: list[list[int]] = []
    for i in order:
        if out and (len(out[-1]) + 1) * (len(prompts[out[-1][0]]) + new_tokens) <= budget:
            out[-1].append(i)
        else:
            out.append([i])
    return out


def _answer(model: Any, prompts: list[list[int]], ends: list[int], new_tokens: int) -> list[Answer]:
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[ends[0]] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, max_new_tokens=new_tokens, eos_token_id=ends, pad_token_id=ends[0]
    )
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    return [_cut(tokens, ends) for tokens in out[:, width:].tolist()]


def _cut(tokens: list[int], ends: list[int]) -> Answer:
    """What comes before the first end token; behind it stands padding."""
    stop = next((place for place, token in enumerate(tokens) if token in ends), None)
    return Answer(tokens[:stop], stop is not None)
