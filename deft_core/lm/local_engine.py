"""Scoring on this machine: one model in this process. Others may share the work, each taking parts that nobody has."""

from __future__ import annotations

import time
from functools import cached_property

from deft_core.lm import counting, models, score_parts
from deft_core.lm.models import LanguageModel
from deft_core.lm.part_scorer import PartScorer
from deft_core.lm.score_job import Job, check_and_write, pace
from deft_core.status import Status

__all__ = ["LocalEngine"]

_POLL_SECONDS = 0.5


class LocalEngine:
    """An Engine; it loads the model once."""

    def __init__(self) -> None:
        self._lm: LanguageModel | None = None

    @cached_property
    def device(self) -> str:
        return models.pick_device().type

    def begin(self, job: Job, status: Status) -> None:
        lm = self._model(job, status)

        def counted(done: int, total: int) -> None:
            status.update(phase="counting tokens", done=done, total=total)

        longest = min(job.settings.max_length, lm.longest)
        tally = counting.count(job.pairs, lm.tokenizer, lm.head.weight.shape[0], longest, counted)
        status.update(phase="checking the layout against a plain forward")
        check_and_write(job, lm, tally.counts(counting.training_conversations(job.pairs)), tally.sample())

    def score(self, job: Job, status: Status) -> None:
        scorer = PartScorer(job.pairs, job.target, self._model(job, status))
        missing = job.missing()
        progress = pace(job, status, missing)
        while missing:
            for part in score_parts.taken(job.target, job.rows, job.wanted):
                scorer.score(part, progress.add)
            missing = job.missing()
            if (done := job.done(missing)) != progress.done:
                progress.found(done, score_parts.truncated_rows(job.target))
            if missing:  # others work on them
                time.sleep(_POLL_SECONDS)

    def _model(self, job: Job, status: Status) -> LanguageModel:
        if self._lm is None:
            status.update(phase="loading the model")
            self._lm = models.load(job.settings.model, job.folder)
        return self._lm
