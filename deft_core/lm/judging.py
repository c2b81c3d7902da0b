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

from deft_core import file_names
from deft_core.intervals import share
from deft_core.lm import reward_models
from deft_core.lm.generation import Answer
from deft_core.lm.heldout import Material, cut_answers, prompts_of
from deft_core.lm.judge import LEAST_ROWS, Judge, Verdict, accuracy, fit, fold_of, read_judge, verdict, write_judge
from deft_core.lm.models import LanguageModel
from deft_core.lm.run_rows import read_rows
from deft_core.lm.scoring import Scorer
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
    answers: tuple[list[float], list[float]]  # scores of the base's and the tuned model's answers, by prompt
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
    answers: dict[str, list[Answer]],
    reward_model: str | None,
    say: Say,
) -> Judgement:
    """Scores both models' answers, and tries the judge on the held-out pairs."""
    candidates = [_candidates(row, own, run.settings.new_tokens) for row, own in zip(about.rows, _by_prompt(answers), strict=True)]
    ranks = [row.ranks for row in about.rows]
    if reward_model:
        say({"phase": f"judging by {reward_model}"})
        scores = _by_reward_model(reward_model, base, about, candidates, say)
        return _judgement("reward model", reward_model, scores, ranks, {})
    scorer = Scorer(base, d, run.layout, own_logits=run.own_logits)
    fitted = _fitted(folder, run, base, scorer, say)
    if isinstance(fitted, str):
        return Judgement("none", run.model, Verdict(share(0, 0), False, fitted), ([], []), {})
    say({"phase": "judging the answers"})
    scores = [fitted.scores(pooled).tolist() for pooled in _pooled(scorer, candidates)]
    for own, row in zip(scores, candidates, strict=True):
        if row.responses[-1] == row.responses[-2]:  # rounding must not break a tie
            own[-1] = own[-2]
    how = {"ridge": fitted.ridge, "rows": fitted.rows, "fold_accuracy": fitted.fold_accuracy}
    return _judgement("pooled states of the base", run.model, scores, ranks, how)


def _by_prompt(answers: dict[str, list[Answer]]) -> list[tuple[Answer, Answer]]:
    return list(zip(answers["base"], answers["tuned"], strict=True))


def _candidates(row: TrainRow, answers: tuple[Answer, Answer], new_tokens: int) -> TokenRow:
    """The row's own responses, and behind them the base's and the tuned model's answer."""
    own = cut_answers(row.tokens, new_tokens)
    return replace(
        own, responses=own.responses + [answer.ids for answer in answers], ended=own.ended + [answer.ended for answer in answers]
    )


def _judgement(
    kind: str, name: str, scores: Sequence[Sequence[float]], ranks: Sequence[Sequence[int]], fitted: dict[str, Any]
) -> Judgement:
    """Of scores [n + 2] a row: its own responses, the base's answer, the tuned model's."""
    tried = accuracy([own[:-2] for own in scores], ranks)
    return Judgement(kind, name, verdict(tried), ([own[-2] for own in scores], [own[-1] for own in scores]), fitted)


def _fitted(folder: Path, run: Run, base: LanguageModel, scorer: Scorer, say: Say) -> Judge | str:
    """The judge of the judge split: as it was saved, or fitted now; in words why there is none."""
    path = folder / file_names.JUDGE_ROWS
    rows = (
        [row for row in read_rows(path, base, run.max_length) if row.tokens.prompt and all(row.tokens.responses)] if path.is_file() else []
    )
    rows = sorted(rows, key=lambda row: row.id)[:JUDGE_ROWS]
    if len(rows) < LEAST_ROWS:
        return f"No judge: the judge split has {len(rows)} rows, and at least {LEAST_ROWS} are needed. Name a reward model instead."
    key = _key(run, rows)
    known = read_judge(folder / file_names.JUDGE, key)
    if known is not None:
        return known
    say({"phase": f"fitting the judge on {len(rows)} rows"})
    pooled = _pooled(scorer, [cut_answers(row.tokens, run.settings.new_tokens) for row in rows])
    prompts = prompts_of(path)
    found = fit(pooled, [row.ranks for row in rows], [fold_of(_first_turn(prompts[row.id])) for row in rows])
    write_judge(folder / file_names.JUDGE, found, key)
    return found


def _key(run: Run, rows: Sequence[TrainRow]) -> str:
    about = [run.fingerprints.get("model"), run.fingerprints.get("tokenizer"), run.settings.new_tokens, run.max_length]
    return blake2b(repr((about, [row.id for row in rows])).encode(), digest_size=8).hexdigest()


def _first_turn(prompt: Sequence[dict[str, str]]) -> str:
    return next((message["content"] for message in prompt if message["role"] == "user"), prompt[0]["content"])


def _pooled(scorer: Scorer, rows: Sequence[TokenRow]) -> list[NDArray[np.float32]]:
    """Mean hidden states [n, H] of each row's responses."""
    return [np.stack([score.pooled for score in scores]) for scores in scorer.score(rows)]


def _by_reward_model(name: str, base: LanguageModel, about: Material, candidates: Sequence[TokenRow], say: Say) -> list[list[float]]:
    model = reward_models.load_reward_model(name, lambda words: say({"phase": words}))
    found: list[list[float]] = []
    for prompt, row in zip(about.prompts, candidates, strict=True):
        texts = [str(base.tokenizer.decode(ids, skip_special_tokens=True)) for ids in row.responses]
        found.append([model.score(prompt, text) for text in texts])
        say({"phase": f"judging by {name}", "done": len(found), "total": len(candidates)})
    return found
