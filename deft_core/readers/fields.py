"""A source whose columns the user has named: which one is the prompt, which the better answer, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from deft_core.errors import InputError
from deft_core.preferences import Message, Preference, Response, ranked
from deft_core.readers.columns import Record, number, preference, present
from deft_core.readers.messages import conversation, pair
from deft_core.readers.prompts import system_messages
from deft_core.readers.trl_chat import carried_columns
from deft_core.readers.two_outputs import labels_of

__all__ = ["FIELDS", "NAME", "reader"]

NAME = "fields"
FIELDS = {
    "prompt": "the question: text, a transcript or messages; without it both answers are whole conversations",
    "system": "the system message",
    "chosen": "the better answer: text or messages",
    "rejected": "the worse answer",
    "score_chosen": "the better answer's score",
    "score_rejected": "the worse answer's score",
    "response_1": "one answer, where a label says which is better",
    "response_2": "the other answer",
    "label": "which answer is better: a label, or a list or object of votes",
    "source": "where the row comes from",
    "split": "the row's split",
}
_PAIR = ("chosen", "rejected")
_LABELLED = ("response_1", "response_2", "label")


def reader(fields: Mapping[str, str], sample: Sequence[Record]) -> Callable[[Record], Preference]:
    """Raises InputError for a field there is not, or a column that no row of the sample has."""
    _check(fields, sample)
    if _PAIR[0] in fields:
        return lambda record: _read(record, fields, (1, 0), _PAIR)
    labels = labels_of(sample, *(fields[name] for name in _LABELLED))

    def read(record: Record) -> Preference:
        outcome = labels.outcome(record.get(labels.column))
        return _read(record, fields, (outcome, -outcome), _LABELLED[:2])

    return read


def _check(fields: Mapping[str, str], sample: Sequence[Record]) -> None:
    allowed = ", ".join(FIELDS)
    if unknown := [name for name in fields if name not in FIELDS]:
        raise InputError(f"fields among {allowed}", ", ".join(map(repr, unknown)), "Write fields as field=column.")
    if sum(all(name in fields for name in names) for names in (_PAIR, _LABELLED)) != 1:
        remedy = "Name columns for chosen and rejected, or for response_1, response_2 and label."
        raise InputError("the columns of two answers", f"the fields {', '.join(fields)}", remedy)
    columns = dict.fromkeys(column for record in sample for column in record)
    if columns and (missing := [column for column in fields.values() if column not in columns]):
        raise InputError(f"a column {missing[0]!r}", f"the columns {', '.join(columns)}", "Name columns that are there.")


def _read(record: Record, fields: Mapping[str, str], goodness: tuple[int, int], sides: tuple[str, ...]) -> Preference:
    columns = tuple(fields[name] for name in sides)
    prompt, *texts = pair(_asked(record, fields), present(record, columns[0]), present(record, columns[1]))
    used = (*columns, *(fields[name] for name in ("prompt", "system") if name in fields))
    origin, part = fields.get("source", "source"), fields.get("split", "split")
    responses = _responses(record, fields, texts, goodness)
    return preference(record, used, prompt, responses, carried_columns(record, used), source=origin, split=part)


def _asked(record: Record, fields: Mapping[str, str]) -> tuple[Message, ...]:
    system = system_messages(record.get(fields["system"])) if "system" in fields else ()
    return system + (conversation(present(record, fields["prompt"])) if "prompt" in fields else ())


def _responses(record: Record, fields: Mapping[str, str], texts: list[str], goodness: tuple[int, int]) -> tuple[Response, ...]:
    columns = [fields.get(name) for name in ("score_chosen", "score_rejected")]
    return ranked(texts, goodness, [number(record.get(column)) if column else None for column in columns])
