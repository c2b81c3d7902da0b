"""TRL's conversational format: message lists, the prompt in a column of its own or at the start of both answers."""

from __future__ import annotations

from typing import Any

from deft_core.preferences import Preference, ranked
from deft_core.readers.columns import Record, preference, present, side_scores
from deft_core.readers.messages import carried, conversation, is_messages, pair
from deft_core.readers.prompts import system_messages

NAME = "trl-chat"
SUMMARY = "chosen and rejected as message lists; the prompt is a column (text or messages) or opens both conversations."

_PROMPTS = ("prompt", "question", "query")


def matches(record: Record) -> bool:
    if "conversations" in record or not all(_is_side(record.get(column)) for column in ("chosen", "rejected")):
        return False
    return any(is_messages(record.get(column)) for column in (prompt_column(record), "chosen", "rejected"))


def read(record: Record) -> Preference:
    used = (prompt_column(record), "chosen", "rejected", "system")
    asked = system_messages(record.get("system")) + (conversation(record[used[0]]) if record.get(used[0]) else ())
    prompt, chosen, rejected = pair(asked, present(record, "chosen"), present(record, "rejected"))
    responses = ranked((chosen, rejected), (1, 0), side_scores(record))
    return preference(record, used, prompt, responses, carried_columns(record, used))


def prompt_column(record: Record) -> str:
    return next((name for name in _PROMPTS if name in record), _PROMPTS[0])


def carried_columns(record: Record, columns: tuple[str, ...]) -> dict[str, Any]:
    """What the message objects of these columns hold beside role and content, under the column's own name."""
    found = {}
    for column in columns:
        if isinstance(record.get(column), list | dict) and (rest := carried(record[column])) is not None:
            found[column] = rest
    return found


def _is_side(value: Any) -> bool:
    return isinstance(value, str) or is_messages(value)
