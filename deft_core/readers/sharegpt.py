"""LLaMA-Factory's ShareGPT preference format: the conversation in one column, the two last replies in two others."""

from __future__ import annotations

from deft_core.preferences import Preference, ranked
from deft_core.readers.columns import Record, preference, present, side_scores
from deft_core.readers.messages import conversation, pair
from deft_core.readers.prompts import system_messages
from deft_core.readers.trl_chat import carried_columns

NAME = "sharegpt"
SUMMARY = "conversations of {from, value} messages, chosen and rejected as one such message each; system may be a column."

_USED = ("conversations", "chosen", "rejected", "system")


def matches(record: Record) -> bool:
    return isinstance(record.get("conversations"), list) and "chosen" in record and "rejected" in record


def read(record: Record) -> Preference:
    asked = system_messages(record.get("system")) + conversation(present(record, "conversations"))
    prompt, chosen, rejected = pair(asked, present(record, "chosen"), present(record, "rejected"))
    responses = ranked((chosen, rejected), (1, 0), side_scores(record))
    return preference(record, _USED, prompt, responses, carried_columns(record, _USED))
