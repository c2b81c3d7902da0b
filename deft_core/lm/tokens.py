"""A preference as token ids: the prompt through the chat template, every response apart, cut to length.

The prompt is cut once per row, from the left, so that all its responses see the same prompt; a response is cut from
the right. Knows nothing of models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Conversation", "TokenRow", "cut", "prompt_text", "token_bytes", "token_rows"]

# some templates write today's date into the prompt; the same data must give the same scores tomorrow
_WITHOUT_CLOCK = "{%- macro strftime_now(format) %}01 Jan 2026{%- endmacro %}"

Conversation = Sequence[dict[str, str]]  # [{"role": ..., "content": ...}]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One preference. The end token is not among a response's ids; `ended` says whether it follows them."""

    prompt: list[int]
    responses: list[list[int]]  # best first, without special tokens
    ended: list[bool]  # False where the response was cut: its end was never seen
    removed: int = 0  # tokens cut from prompt and responses together

    def longest_sequence(self) -> int:
        """Tokens of the prompt with its longest response."""
        return len(self.prompt) + max(map(len, self.responses))

    def input_tokens(self) -> int:
        return len(self.prompt) + sum(map(len, self.responses))


def cut(prompt: list[int], responses: list[list[int]], max_length: int) -> TokenRow:
    """Prompt plus the longest response within `max_length`; the prompt gives way down to half of it, then the responses."""
    longest = max(map(len, responses))
    kept_prompt = prompt[-max(max_length - longest, max_length // 2) :]
    room = max_length - len(kept_prompt)
    kept = [response[:room] for response in responses]
    removed = len(prompt) - len(kept_prompt) + sum(map(len, responses)) - sum(map(len, kept))
    return TokenRow(kept_prompt, kept, [len(response) <= room for response in responses], removed)


def token_rows(tokenizer: Any, prompts: Sequence[Conversation], responses: Sequence[Sequence[str]], max_length: int) -> list[TokenRow]:
    """Token rows of a batch of preferences; a response's text never becomes a special token, whatever it says."""
    heads = _ids(tokenizer, [prompt_text(tokenizer, prompt) for prompt in prompts], special=True)
    flat = iter(_ids(tokenizer, [text for texts in responses for text in texts], special=False))
    return [cut(head, [next(flat) for _ in texts], max_length) for head, texts in zip(heads, responses, strict=True)]


def _ids(tokenizer: Any, texts: list[str], special: bool) -> list[list[int]]:
    if not texts:  # tokenizers fail on none
        return []
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=not special, verbose=False)["input_ids"]
    return ids


def prompt_text(tokenizer: Any, prompt: Conversation) -> str:
    """The prompt up to where the assistant's answer starts: by the chat template, else as `role: text` lines.

    Templates that know no system role get the system text at the head of the first user turn; what a template refuses
    altogether (two user turns in a row, say) is written as lines.
    """
    if not tokenizer.chat_template:
        return _as_lines(tokenizer, prompt)
    from jinja2 import TemplateError

    for messages in (list(prompt), _fold_system(prompt)):
        try:
            template = _WITHOUT_CLOCK + tokenizer.chat_template
            return str(tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True))
        except TemplateError:
            continue
    return _as_lines(tokenizer, prompt)


def _as_lines(tokenizer: Any, prompt: Conversation) -> str:
    return (tokenizer.bos_token or "") + "".join(f"{message['role']}: {message['content']}\n" for message in prompt) + "assistant:"


def _fold_system(prompt: Conversation) -> list[dict[str, str]]:
    system = "\n\n".join(message["content"] for message in prompt if message["role"] == "system")
    rest = [dict(message) for message in prompt if message["role"] != "system"]
    for message in rest:
        if system and message["role"] == "user":
            message["content"] = f"{system}\n\n{message['content']}"
            break
    return rest


def token_bytes(tokenizer: Any, vocabulary: int) -> list[bytes]:
    """The exact bytes of each token id below `vocabulary`; special and unused ids give their name's bytes."""
    backend = tokenizer.backend_tokenizer
    byte_level = "ByteLevel" in json.dumps(json.loads(backend.to_str()).get("decoder"))
    special = set(tokenizer.all_special_ids)
    table = _byte_table()
    out = []
    for token_id in range(vocabulary):
        token = backend.id_to_token(token_id) or f"<unused {token_id}>"
        if token_id in special:
            out.append(token.encode())
        elif byte_level and all(c in table for c in token):
            out.append(bytes(table[c] for c in token))
        elif len(token) == 6 and token.startswith("<0x") and token.endswith(">"):  # SentencePiece's byte fallback
            out.append(bytes([int(token[3:5], 16)]))
        else:
            out.append(token.replace("▁", " ").encode())
    return out


def _byte_table() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte (Radford et al. 2019, byte-level BPE), turned round."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
