"""The vocabulary: a prompt, its responses best first, and the table they are stored in.

Readers build `Preference` objects, `importing` writes them as rows of `SCHEMA`, everything after that reads columns.
A row that is no preference raises `RowRefused` with the reason in words; the import writes that reason down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import pyarrow as pa

__all__ = ["ROLES", "SCHEMA", "SPLITS", "Message", "Preference", "Response", "RowRefused", "ranked", "validate"]

ROLES = ("system", "user", "assistant", "tool")
SPLITS = ("train", "heldout", "judge")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # content hash "-" occurrence, see Preference.content_hash
        ("split", pa.string()),  # one of SPLITS
        ("source", pa.string()),  # where the row says it comes from, else the file
        ("conversation", pa.string()),  # hash of the first user turn: what splits and the bootstrap keep together
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("responses", pa.list_(pa.string())),  # best first
        ("ranks", pa.list_(pa.int32())),  # dense, 1 is best, ties share a rank
        ("scores", pa.list_(pa.float64())),  # the source's own, null where it has none
        ("n_responses", pa.int32()),
        ("turns", pa.int32()),  # user turns in the prompt
        ("characters_prompt", pa.int32()),
        ("characters_chosen", pa.int32()),  # of the first best response
        ("characters_rejected", pa.int32()),  # of the worst response
        ("extra", pa.string()),  # the source's other columns, one JSON object
    ]
)


class RowRefused(Exception):  # noqa: N818  (a refusal, not a failure)
    """This row is no preference. `reason` is one of few sentences that can be counted, `detail` is what this row had."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Message:
    role: str  # one of ROLES
    content: str


@dataclass(frozen=True, slots=True)
class Response:
    text: str
    rank: int  # dense, 1 is best
    score: float | None = None  # as the source has it


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt and at least two ranked responses, best first."""

    prompt: tuple[Message, ...]
    responses: tuple[Response, ...]
    source: str | None = None  # the source's own word for where the row comes from
    split: str | None = None  # the source's own split, already one of SPLITS
    extra: dict[str, Any] = field(default_factory=dict)  # every other column of the source

    def content_hash(self) -> str:
        """16 hex digits over roles, texts and ranks; extras and scores do not count."""
        parts = [part for message in self.prompt for part in (message.role, message.content)]
        parts += [part for response in self.responses for part in (str(response.rank), response.text)]
        return _digest("\x1f".join(parts))

    def conversation(self) -> str:
        """16 hex digits of the first user turn (of the whole prompt where no user speaks)."""
        first = next((message.content for message in self.prompt if message.role == "user"), None)
        return _digest(first if first is not None else "\x1f".join(m.content for m in self.prompt))


def ranked(texts: Sequence[str], goodness: Sequence[float], scores: Sequence[float | None] | None = None) -> tuple[Response, ...]:
    """Responses best first with dense ranks; a higher `goodness` is better, equal ones tie and keep the source's order."""
    order = sorted(range(len(texts)), key=goodness.__getitem__, reverse=True)
    responses, rank = [], 0
    for place, i in enumerate(order):
        rank += place == 0 or goodness[i] != goodness[order[place - 1]]
        responses.append(Response(texts[i], rank, scores[i] if scores else None))
    return tuple(responses)


def validate(preference: Preference) -> Preference:
    """The preference itself, or `RowRefused` with the reason."""
    if not any(message.content.strip() for message in preference.prompt):
        raise RowRefused("the prompt is empty")
    for message in preference.prompt:
        if message.role not in ROLES:
            raise RowRefused("unknown role in the prompt", f"{message.role!r}; expected one of {', '.join(ROLES)}")
    if len(preference.responses) < 2:
        raise RowRefused("fewer than two responses", str(len(preference.responses)))
    for response in preference.responses:
        if not response.text.strip():
            raise RowRefused("an answer is empty")
    if len({response.text.strip() for response in preference.responses}) == 1:
        raise RowRefused("chosen and rejected are identical" if len(preference.responses) == 2 else "all answers are identical")
    if len({response.rank for response in preference.responses}) == 1:
        raise RowRefused("all answers are tied: nothing is preferred")
    return preference


def _digest(text: str) -> str:
    try:
        return blake2b(text.encode(), digest_size=8).hexdigest()
    except UnicodeEncodeError:
        raise RowRefused("the text holds bytes that are not UTF-8, or half of a surrogate pair; save the file as UTF-8") from None
