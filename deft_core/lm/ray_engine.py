"""Scoring on a Ray cluster, by Ray Data: an actor on every GPU, or every CPU slot, holds the model and scores one part after another.

Every node sees the workspace under the same path. Parts, scorer and files are those of a local run, so either engine goes on with what
the other began. Ray starts an actor that died again, on another node where its own is gone, and gives it the part that it had; parts are
written whole or not at all. A part waits with Ray until an actor is free, so memory does not grow with the dataset.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version as package_version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from deft_core.errors import DeftError, InputError, ModelError, first_line
from deft_core.group_counts import GroupCounts
from deft_core.lm import counting, models, score_parts
from deft_core.lm.counting import Tally
from deft_core.lm.models import LanguageModel
from deft_core.lm.part_scorer import PartScorer
from deft_core.lm.score_job import Job, check_and_write, pace
from deft_core.lm.tokens import TokenRow
from deft_core.status import Status

__all__ = ["RayEngine", "stretches"]

_AGAIN = {"max_restarts": -1, "max_task_retries": -1}  # as Ray Data's actors: started again, with the work it had
_STRETCHES, _MOST_STRETCHES = 4, 128  # of row groups to count: so many a core, so many in all
_REACH_SECONDS = 10.0  # for a first answer of the address named; Ray alone would try for a quarter of an hour
_PATIENCE_SECONDS = 24 * 3600.0  # without a part that ends: one is slow, kills its actor every time, or all nodes are gone


class RayEngine:
    """An Engine on the cluster that RAY_ADDRESS names, else on the one started on this machine, else on one of this machine's cores."""

    def __init__(self, slot_cpus: int = 1) -> None:
        if slot_cpus < 1:
            raise InputError("at least one core a slot", str(slot_cpus), "Give a larger --slot-cpus.")
        self.slot_cpus = slot_cpus
        self.ray = _connected()

    @cached_property
    def device(self) -> str:
        return "cuda" if any(node.get("GPU", 0) >= 1 for node in self._nodes()) else "cpu"

    def begin(self, job: Job, status: Status) -> None:
        status.update(phase="loading the model on the cluster")
        self._slots()  # there is room for one
        idle = self._slot() | {"num_cpus": 0}  # it waits while tokens are counted
        with _in_words():
            beginner = self.ray.remote(**idle, **_AGAIN)(_Beginner).remote(job, _version())
            try:
                vocabulary, longest = self.ray.get(beginner.measures.remote())
                tally = self._count(job, vocabulary, min(longest, job.settings.max_length), status)
                status.update(phase="checking the layout against a plain forward")
                counts = tally.counts(counting.training_conversations(job.pairs))
                self.ray.get(beginner.check_and_write.remote(counts, tally.sample()))
            finally:
                self.ray.kill(beginner)

    def score(self, job: Job, status: Status) -> None:
        missing = job.missing()
        progress = pace(job, status, missing)
        while missing:
            parts = [dict(zip(("part", "start", "end"), part, strict=True)) for part in missing]
            for batch in self._mapped(parts, _PartWorker, (job, _version()), self._slots(), **self._slot()):
                progress.add(*(int(batch[name].sum()) for name in ("pairs", "tokens", "truncated")))
            missing = job.missing()
            if (done := job.done(missing)) != progress.done:
                progress.found(done, score_parts.truncated_rows(job.target))

    def _count(self, job: Job, vocabulary: int, max_length: int, status: Status) -> Tally:
        """On every core of the cluster, a stretch of row groups at a time; what they count is added up here."""
        status.update(phase="counting tokens", done=0, total=job.rows)
        cores, total = sum(int(node.get("CPU", 0)) for node in self._nodes()), Tally(vocabulary)
        items = [{"start": start, "end": end} for start, end in stretches(pq.read_metadata(job.pairs).num_row_groups, cores)]
        for batch in self._mapped(items, _TallyWorker, (job, _version(), vocabulary, max_length), cores, num_cpus=1):
            for tally in batch["tally"]:
                total.absorb(tally)
            status.update(phase="counting tokens", done=total.rows, total=job.rows)
        return total

    def _mapped(
        self, items: list[dict[str, int]], worker: type, given: tuple[Any, ...], slots: int, **resources: float
    ) -> Iterator[dict[str, Any]]:
        """What the workers, one on each slot, make of the items, one at a time, as it comes."""
        mapped = self.ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            worker,
            fn_constructor_args=given,
            batch_size=1,
            compute=self.ray.data.ActorPoolStrategy(size=min(len(items), slots), max_tasks_in_flight_per_actor=1),
            **resources,
        )
        with _in_words():
            yield from mapped.iter_batches(batch_size=None, prefetch_batches=0)

    def _slot(self) -> dict[str, float]:
        return {"num_cpus": float(self.slot_cpus)} | ({"num_gpus": 1.0} if self.device == "cuda" else {})

    def _slots(self) -> int:
        """How many slots there are; refused where no node has room for one."""
        cores = [int(node.get("CPU", 0)) // self.slot_cpus for node in self._nodes()]
        gpus = [int(node.get("GPU", 0)) for node in self._nodes()]
        slots = sum(map(min, cores, gpus)) if self.device == "cuda" else sum(cores)
        if slots < 1:
            wanted = f"a node with {self.slot_cpus} cores" + (" beside its GPU" if self.device == "cuda" else "")
            found = ", ".join(f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} GPUs" for node in self._nodes())
            raise InputError(wanted, found or "no node", "Start `ray start` on such a node, or give a smaller --slot-cpus.")
        return slots

    def _nodes(self) -> list[dict[str, float]]:
        """What each living node has."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]


def stretches(groups: int, cores: int) -> list[tuple[int, int]]:
    """(first, end) of stretches of row groups that are counted at once.

    Few, since one process adds their counts up, and a small stretch's cost as much as a large one's.
    """
    bounds = np.linspace(0, groups, min(groups, _STRETCHES * cores, _MOST_STRETCHES) + 1, dtype=int)
    return list(pairwise(bounds.tolist()))


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


class _TallyWorker:
    """Counts the tokens in one stretch of row groups after another."""

    def __init__(self, job: Job, version: str, vocabulary: int, max_length: int) -> None:
        self.job, self.version, self.vocabulary, self.max_length = job, version, vocabulary, max_length

    @cached_property
    def tokenizer(self) -> Any:
        return models.load_tokenizer(_folder(self.job, self.version))

    def __call__(self, items: dict[str, Any]) -> dict[str, Any]:
        groups = [k for stretch in zip(items["start"], items["end"], strict=True) for k in range(*map(int, stretch))]
        tally = np.empty(1, object)
        tally[0] = counting.count(self.job.pairs, self.tokenizer, self.vocabulary, self.max_length, row_groups=groups)
        return {"tally": tally}


class _PartWorker:
    """Holds the model, and scores part after part."""

    def __init__(self, job: Job, version: str) -> None:
        self.job, self.version = job, version

    @cached_property
    def scorer(self) -> PartScorer:
        return PartScorer(self.job.pairs, self.job.target, _model(self.job, self.version))

    def __call__(self, items: dict[str, Any]) -> dict[str, Any]:
        batches: list[tuple[int, int, int]] = []
        for k, start, end in zip(items["part"], items["start"], items["end"], strict=True):
            self.scorer.score((int(k), int(start), int(end)), lambda *batch: batches.append(batch))
        return dict(zip(("pairs", "tokens", "truncated"), np.array(batches, np.int64).T, strict=True))


def _model(job: Job, version: str) -> LanguageModel:
    """The model as this node has it, on the kind of device that the set is of."""
    device = torch.device(job.about["device"])
    if device.type == "cuda" and not torch.cuda.is_available():
        found = f"torch {torch.__version__}, which sees none"
        raise ModelError("a GPU, as Ray says this node has", found, "Install a torch for its GPU, or start Ray there with --num-gpus 0.")
    return models.load(job.settings.model, _folder(job, version), device)


def _folder(job: Job, version: str) -> Path:
    """The model's files on this node, refused where they or the code are others than where the command runs."""
    if version != _version():
        raise InputError(f"DEFT Studio {version} on every node", _version(), "Install the same version everywhere.")
    named_by_path = Path(job.about["model"]).is_absolute()
    folder = job.folder if named_by_path else models.local_folder(job.settings.model)
    expected = job.about["model_fingerprint"], job.about["tokenizer_fingerprint"]
    if (found := models.fingerprint(folder)) != expected:
        raise ModelError(f"the model of this score set {expected}", f"{found} in {folder}", "Give every node the same files.")
    return folder


def _version() -> str:
    return package_version("deft-studio")


def _connected() -> Any:
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of this calls home
    try:
        import ray
        import ray.data
    except ImportError as error:
        found = "none" if isinstance(error, ModuleNotFoundError) and error.name == "ray" else f"one that fails: {first_line(error)}"
        raise InputError("Ray, for --engine ray", found, "Install it: pip install -r requirements-ray.txt") from None
    if not ray.is_initialized():
        before, address = signal.getsignal(signal.SIGTERM), os.environ.get("RAY_ADDRESS", "")
        try:
            _reach(address)
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            remedy = "Start one with `ray start`, or set RAY_ADDRESS; without either, one of this machine's cores is made."
            raise InputError(f"a Ray cluster at {address or 'an address of this machine'}", first_line(error), remedy) from None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray puts its own in its place
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the progress line is ours
    context.raise_original_map_exception = True
    context.execution_no_progress_timeout_s = _PATIENCE_SECONDS
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _reach(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT; any other form of address (auto, local) is Ray's to find."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()


@contextmanager
def _in_words() -> Iterator[None]:
    """An error that a worker raised, as it was raised; any other of Ray's in three parts."""
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ExecutionTimeoutError) as error:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, DeftError):
            raise type(cause)(*cause.args) from None
        raise DeftError("the cluster to do its work", first_line(cause), "Look into Ray's logs; the same command goes on.") from error
