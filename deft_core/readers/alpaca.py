"""Alpaca's columns with two answers: an instruction, perhaps an input, perhaps a system line and earlier turns."""

from __future__ import annotations

from typing import Any

from deft_core.preferences import Message, Preference, RowRefused, ranked
from deft_core.readers.columns import Record, preference, side_scores, text
from deft_core.readers.prompts import joined, system_messages

NAME = "alpaca"
SUMMARY = "instruction, input, chosen and rejected as text; system and history ([[question, answer], ...]) come before."

_USED = ("instruction", "input", "system", "history", "chosen", "rejected")


def matches(record: Record) -> bool:
    return all(isinstance(record.get(column), str) for column in ("instruction", "chosen", "rejected"))


def read(record: Record) -> Preference:
    asked = Message("user", joined(text(record, "instruction"), record.get("input")))
    prompt = (*system_messages(record.get("system")), *_history(record.get("history")), asked)
    responses = ranked((text(record, "chosen"), text(record, "rejected")), (1, 0), side_scores(record))
    return preference(record, _USED, prompt, responses)


def _history(turns: Any) -> list[Message]:
    if not isinstance(turns or [], list):
        raise RowRefused("column 'history' is not a list of [question, answer]")
    return [message for turn in turns or [] for message in _turn(turn)]


def _turn(turn: Any) -> tuple[Message, Message]:
    if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(said, str) for said in turn):
        raise RowRefused("column 'history' is not a list of [question, answer]")
    return Message("user", turn[0]), Message("assistant", turn[1])
