"""Two whole conversations whose messages hold a list of typed parts, as LLaMA-Factory 1.0 writes them."""

from __future__ import annotations

from deft_core.preferences import Preference, ranked
from deft_core.readers.columns import Record, preference, present, side_scores
from deft_core.readers.messages import pair
from deft_core.readers.trl_chat import carried_columns

NAME = "typed-messages"
SUMMARY = "chosen_messages and rejected_messages, content as a list of {type, text} or {type, value} parts, all of them text."

_USED = ("chosen_messages", "rejected_messages")


def matches(record: Record) -> bool:
    return all(isinstance(record.get(column), list) for column in _USED)


def read(record: Record) -> Preference:
    prompt, chosen, rejected = pair((), present(record, "chosen_messages"), present(record, "rejected_messages"))
    responses = ranked((chosen, rejected), (1, 0), side_scores(record))
    return preference(record, _USED, prompt, responses, carried_columns(record, _USED))
