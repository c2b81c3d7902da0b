r"""Anthropic's transcripts: whole conversations as text in two columns, split at the *last* assistant turn.

Taking the longest common prefix of both columns as the prompt would swallow openings the two answers share.
"""

from __future__ import annotations

from deft_core.preferences import Preference, RowRefused, ranked
from deft_core.readers.columns import Record, preference, side_scores, text
from deft_core.readers.messages import PROMPTS_DIFFER, is_transcript, transcript

NAME = "hh"
SUMMARY = r'Transcripts in chosen and rejected, turns marked by "\n\nHuman:" and "\n\nAssistant:"; the last assistant turn is the answer.'

_REPLY = "Assistant:"


def matches(record: Record) -> bool:
    return is_transcript(record.get("chosen")) and is_transcript(record.get("rejected"))


def read(record: Record) -> Preference:
    prompt, chosen = _split(text(record, "chosen"))
    prompt_rejected, rejected = _split(text(record, "rejected"))
    if prompt != prompt_rejected:
        raise RowRefused(PROMPTS_DIFFER)
    responses = ranked((chosen, rejected), (1, 0), side_scores(record))
    return preference(record, ("chosen", "rejected"), transcript(prompt), responses)


def _split(conversation: str) -> tuple[str, str]:
    at = conversation.rfind("\n\n" + _REPLY)
    if at < 0 or "\n\nHuman:" in conversation[at:]:
        raise RowRefused("the transcript does not end with an assistant turn")
    return conversation[:at], conversation[at + 2 + len(_REPLY) :].strip()
