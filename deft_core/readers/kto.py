"""KTO's single-label rows, recognised so that the refusal can say what they are."""

from __future__ import annotations

from deft_core.preferences import Preference, RowRefused
from deft_core.readers.columns import Record

NAME = "kto"
SUMMARY = "One answer with a yes-or-no label. Recognised and refused: a single answer is no preference."


def matches(record: Record) -> bool:
    labelled = isinstance(record.get("label"), bool) or isinstance(record.get("kto_tag"), bool)
    return labelled and "rejected" not in record and ("messages" in record or "completion" in record or "conversations" in record)


def read(record: Record) -> Preference:
    raise RowRefused("single-label rows (KTO) are no pairs")
