"""Turning what sources write as prompts and answers (text, transcripts, message lists) into our messages."""

from __future__ import annotations

import re
from typing import Any

from deft_core.preferences import Message, RowRefused
from deft_core.readers.columns import kind_of

__all__ = ["carried", "content_text", "conversation", "is_messages", "is_transcript", "pair", "split_last", "transcript"]

PROMPTS_DIFFER = "the two prompts differ"

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
_USED = ("role", "content", "from", "value")
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_OPENING = re.compile(r"\s*(Human|Assistant):")


def is_messages(value: Any) -> bool:
    """A list that begins with a message object."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and ("role" in value[0] or "from" in value[0])


def is_transcript(value: Any) -> bool:
    r"""Text of turns as HH writes them: "\n\nHuman: ...\n\nAssistant: ..."."""
    return isinstance(value, str) and _OPENING.match(value) is not None and "Assistant:" in value


def conversation(value: Any) -> tuple[Message, ...]:
    """A message list, one message object, a transcript, or plain text, which is what a user says."""
    if isinstance(value, str):
        return transcript(value) if is_transcript(value) else (Message("user", value),)
    if isinstance(value, dict):
        return (_message(value),)
    if not isinstance(value, list):
        raise RowRefused("a conversation is neither text nor a list of messages", kind_of(value))
    return tuple(_message(item) for item in value)


def split_last(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str]:
    """Everything before the last message, and the text of that one, which must be the assistant's."""
    if not messages or messages[-1].role != "assistant":
        raise RowRefused("the conversation does not end with an assistant turn")
    return messages[:-1], messages[-1].content


def pair(asked: tuple[Message, ...], chosen: Any, rejected: Any) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, chosen and rejected where answers are text or messages; without a prompt of its own (`asked`) they carry it."""
    before, best = _answer(chosen)
    before_rejected, worst = _answer(rejected)
    if before != before_rejected:
        raise RowRefused(PROMPTS_DIFFER)
    if asked and before and not _repeats(before, asked):
        return asked + before, best, worst
    return before or asked, best, worst


def transcript(value: str) -> tuple[Message, ...]:
    """The turns of an HH transcript; what stands before the first turn is a system message. An empty last turn is left out."""
    opening, *turns = _TURN.split(value)
    messages = [Message("system", opening.strip())] if opening.strip() else []
    for speaker, said in zip(turns[::2], turns[1::2], strict=True):
        messages.append(Message("user" if speaker == "Human" else "assistant", said.strip()))
    if messages and messages[-1] == Message("assistant", ""):
        messages.pop()
    return tuple(messages)


def content_text(content: Any) -> str:
    """The text of a message: a string, or typed parts that are all text."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise RowRefused("a message's content is not text", kind_of(content))
    return "".join(_part_text(part) for part in content)


def carried(value: Any) -> list[dict[str, Any]] | None:
    """What message objects hold beside role and content, one object a message; None where they hold nothing more."""
    objects = value if isinstance(value, list) else [value]
    rest = [
        {key: held for key, held in item.items() if key not in _USED and held is not None} for item in objects if isinstance(item, dict)
    ]
    return rest if any(rest) else None


def _answer(value: Any) -> tuple[tuple[Message, ...], str]:
    if isinstance(value, str):
        return (), value
    return split_last(conversation(value))


def _repeats(before: tuple[Message, ...], asked: tuple[Message, ...]) -> bool:
    """Whether the conversation in the answers already holds the prompt column, as it does where both are given."""
    said = {message.content.strip() for message in before}
    return all(message.content.strip() in said for message in asked)


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise RowRefused("a message is not an object", kind_of(item))
    role = item.get("role") or item.get("from")
    if not isinstance(role, str) or role.strip().lower() not in _ROLES:
        raise RowRefused("a message has an unknown role", repr(role)[:80])
    if item.get("tool_calls"):
        raise RowRefused("a message calls a tool outside its text", "tool_calls")
    return Message(_ROLES[role.strip().lower()], content_text(item["content"] if "content" in item else item.get("value")))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise RowRefused("a part of a message is not an object", kind_of(part))
    if part.get("type") != "text":
        raise RowRefused("a part of a message is not text", repr(part.get("type"))[:80])
    found = part.get("text") if part.get("text") is not None else part.get("value")
    if not isinstance(found, str):
        raise RowRefused("a part of a message is not text", kind_of(found))
    return found
