"""What an evaluation is made on: a run's held-out rows, the prompts to answer, and the neutral text shipped with the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from deft_core import file_names
from deft_core.errors import NotFoundError
from deft_core.lm.models import LanguageModel
from deft_core.lm.run_rows import read_rows
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow
from deft_core.runs.spec import Run

__all__ = ["Material", "cut_answers", "material", "neutral_rows", "prompts_of"]

NEUTRAL = Path(__file__).parents[2] / "data" / "neutral" / "paragraphs.txt"


@dataclass(frozen=True)
class Material:
    """Lists over the held-out rows, by id; `neutral` apart."""

    rows: list[TrainRow]
    prompts: list[list[dict[str, str]]]  # as messages
    starts: list[list[int]]  # prompts as tokens, cut from the left so that an answer fits behind them
    references: list[str]  # the chosen answers, cut to as many tokens as an answer may have
    neutral: list[TokenRow]  # a paragraph each, its first token (or the start token) as prompt

    @property
    def questions(self) -> list[str]:
        """The last turn of each prompt, for people."""
        return [prompt[-1]["content"] for prompt in self.prompts]


def material(folder: Path, run: Run, lm: LanguageModel) -> Material:
    """Of a run folder; rows that have no tokens on a side are left out."""
    path, new_tokens = folder / file_names.HELDOUT, run.settings.new_tokens
    rows = [row for row in read_rows(path, lm, run.max_length) if row.tokens.prompt and all(row.tokens.responses)]
    prompts = prompts_of(path)
    room = max(1, lm.longest - new_tokens)
    return Material(
        rows=rows,
        prompts=[prompts[row.id] for row in rows],
        starts=[row.tokens.prompt[-room:] for row in rows],
        references=[str(lm.tokenizer.decode(row.tokens.responses[0][:new_tokens], skip_special_tokens=True)) for row in rows],
        neutral=neutral_rows(lm.tokenizer, lm.longest),
    )


def prompts_of(path: Path) -> dict[str, list[dict[str, str]]]:
    """id -> prompt as messages of a file that read_rows can read."""
    columns = pq.read_table(path, columns=["id", "prompt"]).to_pydict()
    return dict(zip(columns["id"], columns["prompt"], strict=True))


def cut_answers(row: TokenRow, new_tokens: int) -> TokenRow:
    """The row with responses of at most so many tokens, as answers have them."""
    kept = [response[:new_tokens] for response in row.responses]
    ended = [end and len(response) <= new_tokens for end, response in zip(row.ended, row.responses, strict=True)]
    return TokenRow(row.prompt, kept, ended, row.removed)


def neutral_rows(tokenizer: Any, longest: int) -> list[TokenRow]:
    """The shipped paragraphs, one a line, each a text of its own; the tokenizer's start token stands in front where it has one."""
    if not NEUTRAL.is_file():
        raise NotFoundError(f"neutral text in {NEUTRAL}", "no such file", "Restore it from the project's repository.")
    texts = [line for line in NEUTRAL.read_text(encoding="utf-8").splitlines() if line]
    found = []
    for text in texts:
        ids = tokenizer(text, verbose=False)["input_ids"][:longest]
        if ids and ids[-1] == tokenizer.eos_token_id:  # some tokenizers close every text
            ids = ids[:-1]
        found.append(TokenRow(ids[:1], [ids[1:]], [False]))
    return [row for row in found if row.responses[0]]
