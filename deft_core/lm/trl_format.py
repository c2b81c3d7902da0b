"""TRL's own formatting over an exported file: `python -m deft_core.lm.trl_format FILE CACHE [MODEL]` prints one JSON object.

Every row goes through `maybe_extract_prompt` and `maybe_apply_chat_template` with all its columns, as TRL's trainers see them. The chat
template is the model's, where it has one and its files are on this machine, else ChatML. Keys: rows, and of the first row with a
problem its place (row, from 1), id and problem; nulls without one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deft_core import DEFAULT_MODEL
from deft_core.lm import default_model

__all__ = ["ChatML", "first_problem", "problem_of"]

_SIDES = ("prompt", "chosen", "rejected")


class ChatML:
    """As much of a tokenizer as TRL asks for, with the commonest template."""

    def apply_chat_template(
        self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool = False, continue_final_message: bool = False, **_: Any
    ) -> str:
        turns = [f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages]
        if continue_final_message:
            return "".join(turns).removesuffix("<|im_end|>\n")
        return "".join(turns) + "<|im_start|>assistant\n" * add_generation_prompt


def problem_of(row: dict[str, Any], tokenizer: Any) -> str | None:
    """What TRL would make of a row, where that is not the row."""
    from trl.data_utils import is_conversational, maybe_apply_chat_template, maybe_extract_prompt

    extracted = maybe_extract_prompt(row)
    if any(extracted[side] != row[side] for side in _SIDES):
        return "it takes the prompt from the answers"
    if not isinstance(row["prompt"], list):
        return "it takes a text for a conversation" if is_conversational(row) else None
    if not is_conversational(row):
        return "it takes the conversation for texts"
    try:
        formatted = maybe_apply_chat_template(row, tokenizer)
    except Exception as error:  # a template refuses in its own words
        return f"the chat template refuses the conversation: {str(error)[:200] or type(error).__name__}"
    if not formatted["prompt"].strip() or formatted["chosen"] == formatted["rejected"]:
        return "the chat template leaves the prompt empty, or the same text of both answers"
    return None


def first_problem(path: Path, cache: Path, model: str | None) -> dict[str, Any]:
    import datasets

    rows = datasets.Dataset.from_json(str(path), cache_dir=str(cache), split="train")
    tokenizer = _tokenizer(model) if model else ChatML()
    for place, row in enumerate(rows, start=1):
        if problem := problem_of(row, tokenizer):
            return {"rows": len(rows), "row": place, "id": row.get("deft_id"), "problem": problem}
    return {"rows": len(rows), "row": None, "id": None, "problem": None}


def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    folder = default_model.converted() if model == DEFAULT_MODEL else model
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError):
        return ChatML()
    return tokenizer if tokenizer.chat_template else ChatML()


if __name__ == "__main__":
    file, own_cache, *scored_with = sys.argv[1:]
    found = first_problem(Path(file), Path(own_cache), scored_with[0] if scored_with else None)
    sys.stdout.write(json.dumps(found) + "\n")
