"""Two answers in two columns and a label, or annotators' votes, that say which is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deft_core.preferences import Preference, RowRefused, ranked
from deft_core.readers.columns import Record, preference, present
from deft_core.readers.labels import Labels, meanings, tokens
from deft_core.readers.messages import pair
from deft_core.readers.prompts import has_prompt, prompt_columns, prompt_messages
from deft_core.readers.trl_chat import carried_columns

NAME = "two-outputs"
SUMMARY = "Two answers (output_1/output_2, response_a/response_b, answer_0/answer_1, ...) and a label or votes."

_STEMS = ("output", "response", "answer", "completion", "conversation", "human_ref")
_ENDINGS = (("1", "2"), ("0", "1"), ("a", "b"), ("A", "B"))
_COLUMNS = tuple(tuple(f"{stem}{joint}{end}" for end in ends) for stem in _STEMS for joint in ("_", "") for ends in _ENDINGS)
_LABELS = (
    *("label", "labels", "better_response_id", "preferred", "preference", "winner", "better", "best", "choice", "votes"),
    *("overall_preference", "preference_strength", "human_preference", "preferred_output", "chosen"),
)


def matches(record: Record) -> bool:
    return _columns([record]) is not None


def read(record: Record) -> Preference:
    return reader([record])(record)


def reader(sample: Sequence[Record]) -> Callable[[Record], Preference]:
    """The reader of rows like these; what their labels mean is decided over all of them."""
    found = _columns(sample)
    if found is None:
        return _refuse
    first, second, label = found
    labels = labels_of(sample, first, second, label)
    return lambda record: _read(record, first, second, labels)


def labels_of(sample: Sequence[Record], first: str, second: str, label: str) -> Labels:
    seen = {token for record in sample for token in tokens(record.get(label))}
    return Labels(label, meanings(first, second, label, seen))


def _read(record: Record, first: str, second: str, labels: Labels) -> Preference:
    outcome = labels.outcome(record.get(labels.column))
    asked = prompt_columns(record) if has_prompt(record) else ()
    prompt, *texts = pair(prompt_messages(record, asked), present(record, first), present(record, second))
    responses = ranked(texts, (outcome, -outcome))
    return preference(record, (*asked, first, second), prompt, responses, carried_columns(record, (first, second)))


def _refuse(record: Record) -> Preference:
    raise RowRefused("there are no two answers with a label")


def _columns(sample: Sequence[Record]) -> tuple[str, str, str] | None:
    """Answer columns and label column that a row has, None where no row has all three."""
    for record in sample:
        label = next((name for name in _LABELS if name in record), None)
        for first, second in _COLUMNS:
            if label and first in record and second in record:
                return first, second, label
    return None
