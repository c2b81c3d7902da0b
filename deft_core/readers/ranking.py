"""Several answers to one prompt with scores, ranks or pairwise comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deft_core.preferences import Preference, RowRefused, ranked
from deft_core.readers.columns import Record, kind_of, number, preference
from deft_core.readers.messages import conversation, is_messages, split_last
from deft_core.readers.orders import weak_order
from deft_core.readers.prompts import has_prompt, prompt_columns, prompt_messages

NAME = "ranking"
SUMMARY = "A prompt and a list of responses with scores (higher is better), ranks (1 is best) or pairwise comparisons."

_ANSWERS = ("responses", "completions", "answers", "candidates", "outputs")
_TEXTS = ("text", "response", "content", "answer", "completion", "output")
_SCORES = ("scores", "ratings", "rewards", "score", "rating", "reward")
_RANKS = ("ranks", "rankings", "ranking", "rank")
_OBJECT_SCORES = ("score", "rating", "reward", "overall_score")
_OUTCOMES = {"first": 1, "second": -1, "tie": 0}

Order = tuple[list[float], list[float | None]]  # goodness for ranking, scores where the source has them


def matches(record: Record) -> bool:
    answers = _answers_column(record)
    if answers is None or not has_prompt(record):
        return False
    first = record[answers][0]
    ordered = any(isinstance(record.get(name), list) for name in (*_SCORES, *_RANKS, "comparisons"))
    return ordered or (isinstance(first, dict) and any(name in first for name in (*_OBJECT_SCORES, "rank")))


def read(record: Record) -> Preference:
    column = _answers_column(record)
    if column is None:
        raise RowRefused("there is no list of responses", f"expected one of the columns {', '.join(_ANSWERS)}")
    asked = prompt_columns(record)
    answers = record[column]
    texts = [_text(answer) for answer in answers]
    goodness, scores = _order(record, answers)
    responses = ranked(texts, goodness, scores)
    added = in_order(column, answers, goodness, _TEXTS)
    return preference(record, (*asked, column), prompt_messages(record, asked), responses, added)


def in_order(column: str, answers: list[Any], goodness: Sequence[float], texts: Sequence[str] = ()) -> dict[str, Any]:
    """What answer objects hold beside their text (under the first of `texts` they have), best first as the responses are, and where
    each stood in the source."""
    order = sorted(range(len(answers)), key=lambda i: -goodness[i])
    added: dict[str, Any] = {"response_order": order}
    rest = [_beside_text(answers[i], texts) for i in order]
    return added | {column: rest} if any(rest) else added


def _answers_column(record: Record) -> str | None:
    return next((name for name in _ANSWERS if isinstance(record.get(name), list) and record[name]), None)


def _beside_text(answer: Any, texts: Sequence[str]) -> dict[str, Any]:
    if not isinstance(answer, dict):
        return {}
    used = _text_key(answer, texts)
    return {key: value for key, value in answer.items() if key != used}


def _text_key(answer: dict[str, Any], texts: Sequence[str]) -> str | None:
    return next((name for name in texts if name in answer), None)


def _text(answer: Any) -> str:
    if isinstance(answer, dict):
        key = _text_key(answer, _TEXTS)
        answer = None if key is None else answer[key]
    if is_messages(answer):
        before, answer = split_last(conversation(answer))
        if before:
            raise RowRefused("a response is more than one message")
    if not isinstance(answer, str):
        raise RowRefused("a response is not text", kind_of(answer))
    return answer


def _order(record: Record, answers: list[Any]) -> Order:
    """From the first of scores, ranks and comparisons that the row has, in columns or in the answer objects."""
    for names, sign in ((_SCORES, 1), (_RANKS, -1)):
        column = next((name for name in names if isinstance(record.get(name), list)), None)
        if column is not None:
            return _numbers(record[column], len(answers), sign, column)
    if isinstance(record.get("comparisons"), list):
        comparisons = [_comparison(item, len(answers)) for item in record["comparisons"]]
        return [float(value) for value in weak_order(len(answers), comparisons)], [None] * len(answers)
    for name in (*_OBJECT_SCORES, "rank"):
        if all(isinstance(answer, dict) and name in answer for answer in answers):
            return _numbers([answer[name] for answer in answers], len(answers), -1 if name == "rank" else 1, name)
    raise RowRefused("the responses have no scores, ranks or comparisons")


def _numbers(values: list[Any], answers: int, sign: int, column: str) -> Order:
    found = [number(value) for value in values]
    if len(found) != answers:
        raise RowRefused(f"column {column!r} is not as long as the responses", f"{len(found)} against {answers}")
    goodness = [sign * value for value in found if value is not None]
    if len(goodness) != answers:
        raise RowRefused(f"a value of {column!r} is not a number")
    return goodness, list(found) if sign > 0 else [None] * answers


def _comparison(item: Any, answers: int) -> tuple[int, int, int]:
    if not isinstance(item, list) or len(item) != 3:
        raise RowRefused("a comparison is not [i, j, outcome]", repr(item)[:80])
    i, j, outcome = item  # answers counted from 0
    if not all(type(index) is int and 0 <= index < answers for index in (i, j)) or i == j:
        raise RowRefused("a comparison names answers that are not there", f"{i!r} and {j!r} of {answers}, counted from 0"[:120])
    if not isinstance(outcome, str) or outcome not in _OUTCOMES:
        raise RowRefused("a comparison's outcome is none of first, second, tie", repr(outcome)[:80])
    return i, j, _OUTCOMES[outcome]
