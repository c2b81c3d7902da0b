"""TRL's standard format: three columns of text."""

from __future__ import annotations

from deft_core.preferences import Preference
from deft_core.readers import trl_chat
from deft_core.readers.columns import Record

NAME = "trl"
SUMMARY = "prompt (or question, query), chosen and rejected as text; system may be a column."


def matches(record: Record) -> bool:
    prompt = trl_chat.prompt_column(record)
    return all(isinstance(record.get(column), str) for column in (prompt, "chosen", "rejected"))


def read(record: Record) -> Preference:
    return trl_chat.read(record)
