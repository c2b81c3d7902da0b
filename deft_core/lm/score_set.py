"""A score set: begun once (count tokens, form d, check the layout), then scored part by part, resumed wherever it stopped.

A resumed set runs the same batches as an uninterrupted one, of its own `batch_tokens`, so its scores are the same bits.
One process leads: it begins the set, says how far it is, and ends it. A second one follows its progress and then finds the work done; or,
where it is asked to share the work, scores parts that nobody has, and takes the lead where the first one is gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.lm import models, score_parts
from deft_core.lm.local_engine import LocalEngine
from deft_core.lm.part_scorer import PartScorer
from deft_core.lm.score_job import Engine, Job
from deft_core.lm.score_settings import ScoreSettings
from deft_core.status import Say, Status, read_status
from deft_core.workspace import Workspace, read_json

__all__ = ["ScoreReport", "ScoreSettings", "score"]

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class ScoreReport:
    """What `deft score --json` prints. Seconds, and rates over them, are of all the processes the set has taken."""

    dataset: str
    model: str
    score_id: str
    pairs: int
    seconds: float
    pairs_per_second: float
    tokens_per_second: float
    layout: str


def score(
    workspace: Workspace,
    name: str,
    settings: ScoreSettings,
    say: Say = lambda _: None,
    *,
    engine: Engine | None = None,
    share: bool = False,
) -> ScoreReport:
    """Score a dataset, or what is left of it, on this machine or by another engine; with `share` beside a process that does so already.

    What happens before the score set is known (finding the model) stands in the status of the dataset's scores folder.
    """
    engine = engine or LocalEngine()
    info = workspace.dataset_info(name)
    scores = workspace.scores(name)
    scores.mkdir(parents=True, exist_ok=True)
    with Status(scores, lambda status: say(status) if status["state"] != "finished" else None) as finding:  # the scoring is not
        folder = models.local_folder(settings.model, lambda words: finding.update(phase=words))
        fingerprints = models.fingerprint(folder)
    model = str(folder.resolve()) if Path(settings.model).is_dir() else settings.model  # whoever goes on may stand elsewhere
    about = {"dataset": name, "dataset_fingerprint": info["fingerprint"], "model": model, "max_length": settings.max_length}
    about |= {"model_fingerprint": fingerprints[0], "tokenizer_fingerprint": fingerprints[1], "device": engine.device}
    identity = " ".join(str(about[key]) for key in sorted(about) if key not in ("dataset", "model"))
    about["score_id"] = f"{models.short_name(settings.model)}-{blake2b(identity.encode(), digest_size=4).hexdigest()}"
    target = workspace.score_set(name, about["score_id"])
    target.mkdir(exist_ok=True)
    rows = int(info["rows_kept"])
    wanted = min(settings.limit or rows, rows)
    job = Job(workspace.pairs(name).absolute(), target.absolute(), folder.absolute(), settings, about, rows, wanted)
    if share:
        _help(job, say)
    with _writer_lock(target, say):
        score_parts.check_unchanged(job.pairs, info["fingerprint"])
        if job.missing():
            _check_batches(target, settings)
            with Status(target, say, total=job.wanted, phase="putting the rows in order") as status:
                _run(job, engine, status)
        elif (read_status(target) or {}).get("state") != "finished":  # killed between the last part and the last word
            with Status(target, say, total=job.wanted, done=job.wanted, truncated=score_parts.truncated_rows(target)):
                pass
        score_parts.tidy(target, rows)
        return _report(target)


def _run(job: Job, engine: Engine, status: Status) -> None:
    score_parts.put_in_order(job.target, job.pairs, job.wanted)
    score_parts.check_unchanged(job.pairs, job.about["dataset_fingerprint"])
    if not (job.target / file_names.SCORE).is_file():
        engine.begin(job, status)
    engine.score(job, status)


def _writer_lock(target: Path, say: Say) -> AcquireReturnProxy[FileLock]:
    """The lock of this score set, held; while another process holds it, its progress is said once a second."""
    lock = FileLock(target / ".lock")
    while True:
        try:
            return lock.acquire(timeout=1)
        except Timeout:
            _say_of_leader(target, say, "is at work on this score set")


def _say_of_leader(target: Path, say: Say, doing: str) -> None:
    status = read_status(target) or {}
    phase = status.get("phase", "starting")
    words = f"process {status.get('pid', '?')} {doing}: {phase}"
    say(status | {"phase": words, "counted": words if status.get("counted", phase) == phase else None})


def _help(job: Job, say: Say) -> None:
    """While another process leads: scores parts that nobody has, until there is none to be had. Returns at once where nobody leads."""
    lock = FileLock(job.target / ".lock")
    while not _ready(job) and not _free(lock):
        _say_of_leader(job.target, say, "begins this score set")
        time.sleep(_POLL_SECONDS)
    if _free(lock):
        return
    scorer = PartScorer(job.pairs, job.target, models.load(job.settings.model, job.folder))
    for part in score_parts.taken(job.target, job.rows, job.wanted):
        scorer.score(part, lambda *_: _say_of_leader(job.target, say, "leads, this one helps"))


def _ready(job: Job) -> bool:
    return (job.target / file_names.SCORE).is_file() and score_parts.rows_in_order(job.target) >= job.wanted


def _free(lock: FileLock) -> bool:
    try:
        with lock.acquire(blocking=False):
            return True
    except Timeout:
        return False


def _check_batches(target: Path, settings: ScoreSettings) -> None:
    """A set goes on with the batches it began with: sums depend on them in the last bits."""
    asked = settings.batch_tokens
    if asked is None or not (target / file_names.SCORE).is_file():
        return
    own = read_json(target / file_names.SCORE)["batch_tokens"]
    if asked != own:
        raise InputError(
            f"--batch-tokens {own}, with which {target.name} began", str(asked), "Leave --batch-tokens out: it goes on with its own."
        )


def _report(target: Path) -> ScoreReport:
    about, status = read_json(target / file_names.SCORE), read_json(target / file_names.STATUS)
    pairs, seconds = score_parts.rows_done(target), float(status["seconds"])
    rates = round(pairs / seconds, 3), round(status.get("tokens", 0) / seconds, 1)
    return ScoreReport(about["dataset"], about["model"], about["score_id"], pairs, round(seconds, 2), *rates, about["layout"])
