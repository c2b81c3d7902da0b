"""Scoring on a Ray cluster, by Ray Data: an actor on every GPU, or every CPU slot, holds the model and scores one part after another.

Every node sees the workspace under the same path. Parts, scorer and files are those of a local run, so either engine goes on with what
the other began. Ray starts an actor that died again, on another node where its own is gone, and gives it the part that it had; parts are
written whole or not at all. A part waits with Ray until an actor is free, so memory does not grow with the dataset.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from deft_core.errors import DeftError, InputError, ModelError, first_line
from deft_core.group_counts import GroupCounts
from deft_core.lm import counting, models
from deft_core.lm.counting import Tally
from deft_core.lm.models import LanguageModel
from deft_core.lm.part_scorer import PartScorer
from deft_core.lm.score_job import Job, check_and_write, pace
from deft_core.lm.tokens import TokenRow
from deft_core.status import Status

__all__ = ["RayEngine"]

_FOREVER = {"max_restarts": -1, "max_task_retries": -1}  # an actor whose process or node is gone is started again, with the work it had


class RayEngine:
    """An Engine on the cluster that RAY_ADDRESS names, else on the one started on this machine, else on one of this machine's cores."""

    def __init__(self, slot_cpus: int = 1) -> None:
        if slot_cpus < 1:
            raise InputError("at least one core a slot", str(slot_cpus), "Give a larger --slot-cpus.")
        self.slot_cpus = slot_cpus
        self.ray = _connected()

    @cached_property
    def device(self) -> str:
        return "cuda" if self._has("GPU") >= 1 else "cpu"

    def begin(self, job: Job, status: Status) -> None:
        status.update(phase="loading the model on the cluster")
        with _in_words():
            idle = self._slot() | {"num_cpus": 0}  # it waits while tokens are counted
            beginner = self.ray.remote(**idle, **_FOREVER)(_Beginner).remote(job, _version())
            vocabulary, longest = self.ray.get(beginner.measures.remote())
            tally = self._count(job, vocabulary, min(longest, job.settings.max_length), status)
            status.update(phase="checking the layout against a plain forward")
            counts = tally.counts(counting.training_conversations(job.pairs))
            self.ray.get(beginner.check_and_write.remote(counts, tally.sample()))
            self.ray.kill(beginner)

    def score(self, job: Job, status: Status) -> None:
        missing = job.missing()
        progress = pace(job, status, missing)
        while missing:
            parts = [dict(zip(("part", "start", "end"), part, strict=True)) for part in missing]
            for done in self._mapped(parts, _PartWorker, (job, _version()), self._slots(), **self._slot()):
                progress.add(*map(int, done))  # an array, after its way through Arrow
            missing = job.missing()

    def _count(self, job: Job, vocabulary: int, max_length: int, status: Status) -> Tally:
        """On every core of the cluster, a row group at a time; what they count is added up here."""
        groups = [{"group": k} for k in range(pq.read_metadata(job.pairs).num_row_groups)]
        total = Tally(vocabulary)
        for tally in self._mapped(groups, _TallyWorker, (job, vocabulary, max_length), int(self._has("CPU")), num_cpus=1):
            total.absorb(tally)
            status.update(phase="counting tokens", done=total.rows, total=job.rows)
        return total

    def _mapped(self, items: list[dict[str, int]], worker: type, given: tuple[Any, ...], slots: int, **resources: float) -> Iterator[Any]:
        """What the workers, one on each slot, make of the items, as it comes; an error of theirs is raised here."""
        slots = max(1, min(len(items), slots))
        mapped = self.ray.data.from_items(items, override_num_blocks=max(1, len(items))).map_batches(
            worker,
            fn_constructor_args=given,
            batch_size=1,
            compute=self.ray.data.ActorPoolStrategy(size=slots, max_tasks_in_flight_per_actor=1),
            **resources,
        )
        with _in_words():
            for batch in mapped.iter_batches(batch_size=None, prefetch_batches=0):
                for outcome in batch["outcome"]:
                    if isinstance(outcome, DeftError):
                        raise outcome
                    yield outcome

    def _slot(self) -> dict[str, float]:
        return {"num_cpus": float(self.slot_cpus)} | ({"num_gpus": 1.0} if self.device == "cuda" else {})

    def _slots(self) -> int:
        return max(1, int(self._has("GPU")) if self.device == "cuda" else int(self._has("CPU")) // self.slot_cpus)

    def _has(self, resource: str) -> float:
        return float(self.ray.cluster_resources().get(resource, 0))


class _Beginner:
    """Holds the model while a set is begun."""

    def __init__(self, job: Job, version: str) -> None:
        self.job, self.version = job, version

    @cached_property
    def lm(self) -> LanguageModel:
        return _model(self.job, self.version)

    def measures(self) -> tuple[int, int]:
        """Size of the vocabulary, and the most tokens the model has positions for."""
        return self.lm.head.weight.shape[0], self.lm.longest

    def check_and_write(self, counts: GroupCounts, sample: list[TokenRow]) -> None:
        check_and_write(self.job, self.lm, counts, sample)


class _Worker:
    """One of Ray Data's actors: of each item a result, or the error in words that ended it."""

    def __call__(self, items: dict[str, Any]) -> dict[str, Any]:
        outcomes = np.empty(1, object)
        try:
            outcomes[0] = self.work({name: int(values[0]) for name, values in items.items()})
        except DeftError as error:
            outcomes[0] = error
        return {"outcome": outcomes}

    def work(self, item: dict[str, int]) -> Any:
        raise NotImplementedError


class _TallyWorker(_Worker):
    """Counts tokens in a row group."""

    def __init__(self, job: Job, vocabulary: int, max_length: int) -> None:
        self.job, self.vocabulary, self.max_length = job, vocabulary, max_length

    @cached_property
    def tokenizer(self) -> Any:
        return models.load_tokenizer(_folder(self.job))

    def work(self, item: dict[str, int]) -> Tally:
        return counting.count(self.job.pairs, self.tokenizer, self.vocabulary, self.max_length, row_groups=[item["group"]])


class _PartWorker(_Worker):
    """Holds the model, and scores part after part."""

    def __init__(self, job: Job, version: str) -> None:
        self.job, self.version = job, version

    @cached_property
    def scorer(self) -> PartScorer:
        return PartScorer(self.job.pairs, self.job.target, _model(self.job, self.version))

    def work(self, item: dict[str, int]) -> tuple[int, ...]:
        """Preferences, input tokens, preferences that lost tokens."""
        batches: list[tuple[int, int, int]] = []
        self.scorer.score((item["part"], item["start"], item["end"]), lambda *batch: batches.append(batch))
        return tuple(map(sum, zip(*batches, strict=True)))


def _model(job: Job, version: str) -> LanguageModel:
    """The model as this node has it, refused where it is another than the set's, or the code is."""
    if version != _version():
        raise InputError(f"DEFT Studio {version} on every node", _version(), "Install the same version everywhere.")
    folder = _folder(job)
    expected = job.about["model_fingerprint"], job.about["tokenizer_fingerprint"]
    if (found := models.fingerprint(folder)) != expected:
        raise ModelError(f"the model of this score set {expected}", f"{found} in {folder}", "Give every node the same files.")
    return models.load(job.settings.model, folder)


def _version() -> str:
    return package_version("deft-studio")


def _folder(job: Job) -> Path:
    return job.folder if job.folder.is_dir() else models.local_folder(job.settings.model)


def _connected() -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of this calls home
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("Ray, for --engine ray", "none", "Install it: pip install -r requirements-ray.txt") from None
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            address = os.environ.get("RAY_ADDRESS", "a cluster of this machine")
            raise InputError(f"a Ray cluster at {address}", first_line(error), "Start one with `ray start`, or set RAY_ADDRESS.") from None
    ray.data.DataContext.get_current().enable_progress_bars = False  # the progress line is ours
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextmanager
def _in_words() -> Iterator[None]:
    """An error that an actor raised, as it was raised; any other of Ray's in three parts."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        cause = _cause(error)
        if isinstance(cause, DeftError):
            raise type(cause)(*cause.args) from None
        raise DeftError("the cluster to do its work", first_line(cause), "Look into Ray's logs; the same command goes on.") from error


def _cause(error: BaseException) -> BaseException:
    """What was raised first, or the project's own error where that came between."""
    inner = getattr(error, "cause", None) or error.__cause__
    own = isinstance(error, DeftError) and inner is None
    return error if own or inner is None else _cause(inner)
