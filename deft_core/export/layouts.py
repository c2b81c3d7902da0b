"""What each trainer reads: a preference as its columns, those columns as a preference again, and what it would misread.

Pairs are the first best response against the worst. What a trainer does with a row was read in its source: TRL 1.16 `data_utils`,
LLaMA-Factory `data/converter.py`, Axolotl `prompt_strategies/dpo/chat_template.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deft_core.flips import swapped
from deft_core.preferences import Message, Preference, Response
from deft_core.readers import fields, ranking, sharegpt, trl_chat
from deft_core.readers.messages import transcript

__all__ = ["LAYOUTS", "TRL_PLAIN", "Layout", "flipped", "is_one_question", "pair"]

Record = dict[str, Any]

_JSON = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


@dataclass(frozen=True)
class Layout:
    name: str
    trainer: str  # who reads it
    endings: tuple[str, ...]  # of file names
    reads: tuple[str, ...]  # the columns the trainer reads
    columns: Callable[[Preference], Record]  # what is to stand in them
    back: Callable[[Record], Preference]  # what those columns say
    meant: Callable[[Preference], Preference]  # what they are to say
    problem: Callable[[Preference], str | None]  # why the trainer would misread the row


def pair(preference: Preference) -> Preference:
    """The first best response against the worst."""
    best, worst = preference.responses[0], preference.responses[-1]
    return replace(preference, responses=(replace(best, rank=1), replace(worst, rank=2)))


def flipped(preference: Preference) -> Preference:
    """The first best and the worst response in each other's place; the ranks stay where they are."""
    ranks = [response.rank for response in preference.responses]
    turned = (replace(response, rank=rank) for response, rank in zip(swapped(preference.responses), ranks, strict=True))
    return replace(preference, responses=tuple(turned))


def is_one_question(preference: Preference) -> bool:
    return [message.role for message in preference.prompt] == ["user"]


def _sides(preference: Preference) -> tuple[str, str]:
    return preference.responses[0].text, preference.responses[-1].text


def _as_pair(prompt: tuple[Message, ...], chosen: str, rejected: str) -> Preference:
    return Preference(prompt, (Response(chosen, 1), Response(rejected, 2)))


def _messages(prompt: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in prompt]


def _no_problem(preference: Preference) -> str | None:
    return None


# trl: three strings


def _question(preference: Preference) -> str:
    return preference.prompt[0].content


def _transcript(preference: Preference) -> str:
    """The conversation as HH writes it, up to where the answer starts; a system text stands before the first turn."""
    speakers = {"user": "Human: ", "assistant": "Assistant: "}
    turns = [speakers.get(message.role, "") + message.content for message in preference.prompt]
    return "\n\n".join([*turns, "Assistant:"])


def _transcript_problem(preference: Preference) -> str | None:
    roles = [message.role for message in preference.prompt]
    if "tool" in roles or "system" in roles[1:]:
        return f"a {'tool' if 'tool' in roles else 'system'} turn has no place in a transcript"
    turns = (Message(message.role, message.content.strip()) for message in preference.prompt)
    said = tuple(turn for turn in turns if turn != Message("system", ""))
    return None if transcript(_transcript(preference)) == said else "a turn holds text that reads as the beginning of another turn"


def _strings(write: Callable[[Preference], str]) -> Callable[[Preference], Record]:
    return lambda row: {"prompt": write(row), "chosen": _sides(row)[0], "rejected": _sides(row)[1]}


def _strings_back(record: Record) -> Preference:
    return _as_pair((Message("user", record["prompt"]),), record["chosen"], record["rejected"])


def _strings_meant(write: Callable[[Preference], str]) -> Callable[[Preference], Preference]:
    return lambda row: _as_pair((Message("user", write(row)),), *_sides(row))


_TRL = Layout(
    "trl",
    "TRL",
    _JSON,
    ("prompt", "chosen", "rejected"),
    _strings(_transcript),
    _strings_back,
    _strings_meant(_transcript),
    _transcript_problem,
)
TRL_PLAIN = replace(_TRL, columns=_strings(_question), meant=_strings_meant(_question), problem=_no_problem)


# trl-chat: message lists


def _chat(preference: Preference) -> Record:
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in _sides(preference))
    return {"prompt": _messages(preference.prompt), "chosen": chosen, "rejected": rejected}


def _chat_problem(preference: Preference) -> str | None:
    return "the prompt ends with a system turn" if preference.prompt[-1].role == "system" else None


# llamafactory: ShareGPT's preference layout

_FROM = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}


def _sharegpt(preference: Preference) -> Record:
    chosen, rejected = ({"from": "gpt", "value": text} for text in _sides(preference))
    conversation = [{"from": _FROM[message.role], "value": message.content} for message in preference.prompt]
    return {"conversations": conversation, "chosen": chosen, "rejected": rejected}


def _sharegpt_problem(preference: Preference) -> str | None:
    """The converter skips, with a warning in the log, a conversation whose turns do not alternate or do not end with the user's."""
    roles = [message.role for message in preference.prompt]
    roles = roles[1:] if roles[0] == "system" else roles
    for place, role in enumerate(roles):
        wanted = ("assistant",) if place % 2 else ("user", "tool")
        if role not in wanted:
            return f"turn {place + 1} is {role!r} where it skips all but {' or '.join(wanted)}"
    return None if len(roles) % 2 else "the prompt does not end with a user turn, which it skips"


# axolotl: chat_template.default

_HEADS = (
    "<|im_start|>user\n[[dummy_message]]<|im_end|>\n<|im_start|>assistant\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n[[dummy_message]]<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
)


def _stripped(preference: Preference) -> Preference:
    """Without space around the answers: Axolotl cuts it off behind, and many templates before, which it then stumbles over."""
    return _as_pair(preference.prompt, *(text.strip() for text in _sides(preference)))


def _axolotl(preference: Preference) -> Record:
    chosen, rejected = ({"role": "assistant", "content": text} for text in _sides(_stripped(preference)))
    return {"messages": _messages(preference.prompt), "chosen": chosen, "rejected": rejected}


def _axolotl_problem(preference: Preference) -> str | None:
    """It renders each answer behind a stand-in user turn and looks for where its text begins, from the left."""
    for text in _sides(_stripped(preference)):
        if any(text in head for head in _HEADS):
            return f"it would take the answer {text!r} to begin in the head of its turn"
    return None


_axolotl_back = fields.reader({"prompt": "messages", "chosen": "chosen", "rejected": "rejected"}, [])


# parquet: everything


def _everything(preference: Preference) -> Record:
    responses = preference.responses
    scores = [response.score for response in responses]
    return {
        "prompt": _messages(preference.prompt),
        "responses": [response.text for response in responses],
        "ranks": [response.rank for response in responses],
        "response_scores": scores if any(score is not None for score in scores) else None,  # `scores` would be taken for the order
    }


def _itself(preference: Preference) -> Preference:
    return preference


_OTHERS = (
    Layout("trl-chat", "TRL", _JSON, ("prompt", "chosen", "rejected"), _chat, trl_chat.read, pair, _chat_problem),
    Layout(
        *("llamafactory", "LLaMA-Factory", (".jsonl", ".json"), ("conversations", "chosen", "rejected")),
        *(_sharegpt, sharegpt.read, pair, _sharegpt_problem),
    ),
    Layout("axolotl", "Axolotl", _JSON, ("messages", "chosen", "rejected"), _axolotl, _axolotl_back, _stripped, _axolotl_problem),
    Layout(
        *("parquet", "DEFT", (".parquet",), ("prompt", "responses", "ranks", "response_scores")),
        *(_everything, ranking.read, _itself, _no_problem),
    ),
)
LAYOUTS = {layout.name: layout for layout in (_TRL, *_OTHERS)}
