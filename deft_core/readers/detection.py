"""Which format a part is in, from its first rows, and the function that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from deft_core.errors import InputError
from deft_core.preferences import Preference, RowRefused
from deft_core.readers import (
    alpaca,
    fields,
    hh,
    kto,
    qa_feedback,
    ranking,
    sharegpt,
    trl,
    trl_chat,
    two_outputs,
    typed_messages,
    ultrafeedback,
)
from deft_core.readers.columns import Record, tidy

__all__ = ["FORMATS", "Reader", "choose", "columns_of"]

Reader = Callable[[Record], Preference]


class Format(Protocol):
    NAME: str
    SUMMARY: str

    def matches(self, record: Record) -> bool: ...
    def read(self, record: Record) -> Preference: ...


_MODULES: tuple[Format, ...] = (
    *(hh, trl, trl_chat, sharegpt, typed_messages, alpaca, ultrafeedback, qa_feedback, ranking),
    *(two_outputs, kto),
)
_FORMATS = {format.NAME: format for format in _MODULES}
FORMATS = {name: format.SUMMARY for name, format in _FORMATS.items()}


def choose(sample: Sequence[Record], format: str | None, named: Mapping[str, str] | None) -> tuple[str | None, Reader]:
    """The format's name and its reader; without one that fits, a reader that refuses every row."""
    if named:
        return fields.NAME, fields.reader(named, sample)
    name = format or detect(sample)
    if name is None:
        return None, _refuse
    if name not in _FORMATS:
        raise InputError(f"one of the formats {', '.join(FORMATS)}", repr(name), "Choose one of these, or none to detect it.")
    return name, two_outputs.reader(sample) if name == two_outputs.NAME else _FORMATS[name].read


def detect(sample: Sequence[Record]) -> str | None:
    """The format most rows match, the first of FORMATS where several do."""
    counts = {name: sum(map(format.matches, sample)) for name, format in _FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def columns_of(sample: Sequence[Record]) -> list[str]:
    return [tidy(column) for column in dict.fromkeys(column for record in sample for column in record)]


def _refuse(record: Record) -> Preference:
    raise RowRefused("no known format has these columns", ", ".join(record)[:200])
