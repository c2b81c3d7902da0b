"""The judge of a run's answers, tried on held-out pairs before it is believed: the base's Bradley-Terry head, or a reward model by name.

What it judges is cut to as many tokens as answers may have, in fitting, in trying and in judging alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deft_core import file_names
from deft_core.intervals import share
from deft_core.lm import reward_models
from deft_core.lm.generation import Answer
from deft_core.lm.heldout import Material, cut_answers, prompts_of
from deft_core.lm.judge import LEAST_ROWS, Judge, Verdict, accuracy, fit, fold_of, read_judge, verdict, write_judge
from deft_core.lm.models import LanguageModel
from deft_core.lm.run_rows import read_rows
from deft_core.lm.scoring import Scorer
from deft_core.lm.shared_readings import shared_folder
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow
from deft_core.runs.spec import Run
from deft_core.status import Say

__all__ = ["Judgement", "judge"]

JUDGE_ROWS = 512  # of the judge split, the first by id: ids are content hashes, so they are a random sample


@dataclass(frozen=True)
class Judgement:
    kind: str  # pooled states of the base | reward model | none
    name: str
    verdict: Verdict
    answers: tuple[list[float], list[float]]  # scores of the base's and the tuned model's answers, by prompt that was answered
    fitted: dict[str, Any]  # how the base's judge was fitted

    def about(self) -> dict[str, Any]:
        """As evaluation.json has it."""
        found = {"kind": self.kind, "name": self.name, "accuracy": self.verdict.accuracy.as_dict()}
        return found | {"can_tell": self.verdict.can_tell, "words": self.verdict.words} | self.fitted


def judge(
    folder: Path,
    run: Run,
    base: LanguageModel,
    d: NDArray[np.float64],
    about: Material,
    pooled: Sequence[Tensor],
    answers: dict[str, list[Answer]],
    reward_model: str | None,
    say: Say,
) -> Judgement:
    """Scores both models' answers, and tries the judge on all held-out pairs.

    `pooled` are the base's states of the rows' own responses, cut as answers are; none where they were not read.
    """
    own = [cut_answers(row.tokens, run.settings.new_tokens) for row in about.rows]
    pairs = [_pair(row.tokens, both) for row, both in zip(about.rows, _by_prompt(answers), strict=False)]
    ranks = [row.ranks for row in about.rows]
    if reward_model:
        say({"phase": f"judging by {reward_model}"})
        scores = _by_reward_model(reward_model, base, [*about.prompts, *about.prompts[: len(pairs)]], [*own, *pairs], say)
        return _judgement("reward model", reward_model, scores[: len(own)], scores[len(own) :], ranks, {})
    scorer = Scorer(base, d, run.layout, own_logits=run.own_logits)
    fitted = _fitted(folder, run, base, scorer, say)
    if isinstance(fitted, str):
        return Judgement("none", run.model, Verdict(share(0, 0), False, fitted), ([], []), {})
    say({"phase": "judging the answers"})
    states = [part.numpy() for part in pooled] or _pooled(scorer, own)
    tried, given = ([fitted.scores(part).tolist() for part in parts] for parts in (states, _pooled(scorer, pairs)))
    given = [_even(two, row) for two, row in zip(given, pairs, strict=True)]
    how = {"ridge": fitted.ridge, "rows": fitted.rows, "fold_accuracy": fitted.fold_accuracy}
    return _judgement("pooled states of the base", run.model, tried, given, ranks, how)


def _by_prompt(answers: dict[str, list[Answer]]) -> list[tuple[Answer, Answer]]:
    return list(zip(answers["base"], answers["tuned"], strict=True))


def _pair(row: TokenRow, answers: tuple[Answer, Answer]) -> TokenRow:
    """The base's and the tuned model's answer to a row's prompt."""
    return replace(row, responses=[answer.ids for answer in answers], ended=[answer.ended for answer in answers])


def _even(scores: list[float], row: TokenRow) -> list[float]:
    """The same answer has the same score: rounding must not break a tie."""
    return [scores[0]] * 2 if row.responses[0] == row.responses[1] else scores


def _judgement(
    kind: str,
    name: str,
    tried: Sequence[Sequence[float]],
    given: Sequence[Sequence[float]],
    ranks: Sequence[Sequence[int]],
    fitted: dict[str, Any],
) -> Judgement:
    """Of the scores of each row's own responses, and of the base's and the tuned model's answer to it."""
    return Judgement(kind, name, verdict(accuracy(tried, ranks)), ([base for base, _ in given], [tuned for _, tuned in given]), fitted)


def _fitted(folder: Path, run: Run, base: LanguageModel, scorer: Scorer, say: Say) -> Judge | str:
    """The judge of the judge split: as it was saved, or fitted now; in words why there is none."""
    path = folder / file_names.JUDGE_ROWS
    rows = (
        [row for row in read_rows(path, base, run.max_length) if row.tokens.prompt and all(row.tokens.responses)] if path.is_file() else []
    )
    rows = sorted(rows, key=lambda row: row.id)[:JUDGE_ROWS]
    if len(rows) < LEAST_ROWS:
        return f"No judge: the judge split has {len(rows)} rows, and at least {LEAST_ROWS} are needed. Name a reward model instead."
    key, own = _key(run, rows), folder / file_names.JUDGE
    place = shared_folder(folder)
    known = read_judge(own, key) or (place and read_judge(place / f"judge-{key}.safetensors", key))
    found = known or _fit(path, rows, run, scorer, say)
    for file in (own, place and place / f"judge-{key}.safetensors"):
        if file and read_judge(file, key) is None:
            file.parent.mkdir(exist_ok=True)
            write_judge(file, found, key)
    return found


def _fit(path: Path, rows: Sequence[TrainRow], run: Run, scorer: Scorer, say: Say) -> Judge:
    say({"phase": f"fitting the judge on {len(rows)} rows"})
    pooled = _pooled(scorer, [cut_answers(row.tokens, run.settings.new_tokens) for row in rows])
    prompts = prompts_of(path)
    return fit(pooled, [row.ranks for row in rows], [fold_of(_first_turn(prompts[row.id])) for row in rows])


def _key(run: Run, rows: Sequence[TrainRow]) -> str:
    about = [run.fingerprints.get("model"), run.fingerprints.get("tokenizer"), run.settings.new_tokens, run.max_length]
    return blake2b(repr((about, [row.id for row in rows])).encode(), digest_size=8).hexdigest()


def _first_turn(prompt: Sequence[dict[str, str]]) -> str:
    return next((message["content"] for message in prompt if message["role"] == "user"), prompt[0]["content"])


def _pooled(scorer: Scorer, rows: Sequence[TokenRow]) -> list[NDArray[np.float32]]:
    """Mean hidden states [n, H] of each row's responses."""
    return [np.stack([score.pooled for score in scores]) for scores in scorer.score(rows)]


def _by_reward_model(
    name: str, base: LanguageModel, prompts: Sequence[list[dict[str, str]]], candidates: Sequence[TokenRow], say: Say
) -> list[list[float]]:
    model = reward_models.load_reward_model(name, lambda words: say({"phase": words}))
    found: list[list[float]] = []
    for prompt, row in zip(prompts, candidates, strict=True):
        texts = [str(base.tokenizer.decode(ids, skip_special_tokens=True)) for ids in row.responses]
        found.append([model.score(prompt, text) for text in texts])
        say({"phase": f"judging by {name}", "done": len(found), "total": len(candidates)})
    return found
