"""The column that holds the question, in formats that agree on everything but its name."""

from __future__ import annotations

from deft_core.preferences import Message, RowRefused
from deft_core.readers.columns import Record, kind_of, text
from deft_core.readers.messages import conversation

__all__ = ["has_prompt", "joined", "prompt_columns", "prompt_messages", "system_messages"]

_NAMES = ("prompt", "instruction", "question", "query", "context", "history", "post", "input", "messages", "conversations")


def has_prompt(record: Record) -> bool:
    return any(record.get(name) for name in _NAMES)


def prompt_columns(record: Record) -> tuple[str, ...]:
    """The column of the question; an `input` belongs to its `instruction`."""
    name = next((name for name in _NAMES if record.get(name)), None)
    if name is None:
        raise RowRefused("there is no prompt", f"expected one of the columns {', '.join(_NAMES)}")
    return (name, "input", "system") if name == "instruction" else (name, "system")


def prompt_messages(record: Record, columns: tuple[str, ...]) -> tuple[Message, ...]:
    """What these columns ask, after the system column; nothing where there are none."""
    if not columns:
        return ()
    asked = record[columns[0]]
    if columns[0] == "instruction" and record.get("input") not in (None, ""):
        asked = joined(text(record, "instruction"), record["input"])
    return system_messages(record.get("system")) + conversation(asked)


def joined(instruction: str, given: object) -> str:
    """Instruction, a blank line, input: as Alpaca's training code puts them into one user turn."""
    if not isinstance(given, str | None):
        raise RowRefused("column 'input' is not text", kind_of(given))
    return "\n\n".join(part for part in (instruction, given or "") if part.strip())


def system_messages(value: object) -> tuple[Message, ...]:
    """A system column as a message, none where it is empty."""
    if value is None or value == "":
        return ()
    if not isinstance(value, str):
        raise RowRefused("column 'system' is not text")
    return (Message("system", value),)
