"""One answer of a causal language model, piece by piece as it comes: sampled by seed and temperature, greedy at temperature 0.

The same model, messages, seed and settings give the same answer: chance is drawn on the CPU whatever the device. As in generation.py a
checkpoint's own sampling settings are left out. Nothing is held between pieces, so whoever reads may stop at any of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from deft_core.errors import InputError
from deft_core.lm.generation import end_tokens
from deft_core.lm.models import LanguageModel
from deft_core.lm.tokens import Conversation, prompt_text

__all__ = ["prompt_ids", "stream", "tokens"]

_UNFINISHED = "\ufffd"  # what bytes decode to that are no whole character yet


def stream(lm: LanguageModel, messages: Conversation, *, seed: int = 0, temperature: float = 0.0, new_tokens: int = 64) -> Iterator[str]:
    """The answer to a conversation in pieces that add up to it, each of at least one token; ends at an end token."""
    if not 0 <= temperature < math.inf:
        raise InputError("a temperature of at least 0", str(temperature), "Give 0 for the likeliest words, 1 for the model's own chance.")
    if new_tokens < 1:
        raise InputError("an answer of at least one token", str(new_tokens), "Give a larger number.")
    ends = end_tokens(lm.model, lm.tokenizer.eos_token_id)
    found: list[int] = []
    said = text = ""
    for token in tokens(lm.model, prompt_ids(lm, messages, new_tokens), ends, seed, temperature, new_tokens):
        found.append(token)
        text = str(lm.tokenizer.decode(found, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        if len(text) > len(said) and not text.endswith(_UNFINISHED):
            yield text[len(said) :]
            said = text
    if len(text) > len(said):
        yield text[len(said) :]


def prompt_ids(lm: LanguageModel, messages: Conversation, new_tokens: int) -> list[int]:
    """The conversation as scoring reads it, cut from the left so that the answer fits into the model's context."""
    if not messages or not messages[-1]["content"].strip():
        raise InputError("something to answer", "an empty message", "Write a question, or choose one.")
    ids: list[int] = lm.tokenizer(prompt_text(lm.tokenizer, messages), add_special_tokens=False, verbose=False)["input_ids"]
    return ids[-max(1, lm.longest - new_tokens) :]


def tokens(model: Any, prompt: Sequence[int], ends: Collection[int], seed: int, temperature: float, new_tokens: int) -> Iterator[int]:
    """The tokens [at most `new_tokens`] up to an end token, which is left out."""
    generator = torch.Generator().manual_seed(seed)
    device = model.get_input_embeddings().weight.device
    ids, cache = torch.tensor([list(prompt)], device=device), None
    for _ in range(new_tokens):
        logits, cache = _read(model, ids, cache)
        token = _drawn(logits, temperature, generator)
        if token in ends:
            return
        yield token
        ids = torch.tensor([[token]], device=device)


@torch.no_grad()
def _read(model: Any, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
    """(logits [V] behind the last token, the cache with all of them)."""
    read = model(input_ids=ids, past_key_values=cache, use_cache=True)
    return read.logits[0, -1].float().cpu(), read.past_key_values


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    chances = torch.softmax((logits - logits.max()) / temperature, 0)
    return int(torch.multinomial(chances, 1, generator=generator))
