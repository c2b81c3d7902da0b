"""A score set: begun once (count tokens, form d, check the layout), then scored part by part, resumed wherever it stopped.

A resumed set runs the same batches as an uninterrupted one, of its own `batch_tokens`, so its scores are the same bits.
One process leads: it begins the set, says how far it is, and ends it. A second one follows its progress and then finds the work done; or,
where it is asked to share the work, scores parts that nobody has, and takes the lead where the first one is gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from deft_core import discrepancy, file_names
from deft_core.errors import InputError
from deft_core.group_counts import write_counts
from deft_core.lm import counting, models, score_parts, selfcheck
from deft_core.lm.models import LanguageModel
from deft_core.lm.part_scorer import PartScorer
from deft_core.lm.score_parts import Part
from deft_core.lm.score_settings import ScoreSettings
from deft_core.lm.tokens import token_bytes
from deft_core.status import Pace, Say, Status, read_status
from deft_core.workspace import Workspace, read_json, replace_atomically, write_json

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


def score(workspace: Workspace, name: str, settings: ScoreSettings, say: Say = lambda _: None, *, share: bool = False) -> ScoreReport:
    """Score a dataset, or what is left of it; with `share` beside a process that does so already.

    What happens before the score set is known (finding the model) stands in the status of the dataset's scores folder.
    """
    info = workspace.dataset_info(name)
    scores = workspace.scores(name)
    scores.mkdir(parents=True, exist_ok=True)
    with Status(scores, lambda status: say(status) if status["state"] != "finished" else None) as finding:  # the scoring is not
        folder = models.local_folder(settings.model, lambda words: finding.update(phase=words))
        fingerprints = models.fingerprint(folder)
    model = str(folder.resolve()) if Path(settings.model).is_dir() else settings.model  # whoever goes on may stand elsewhere
    about = {"dataset": name, "dataset_fingerprint": info["fingerprint"], "model": model, "max_length": settings.max_length}
    about |= {"model_fingerprint": fingerprints[0], "tokenizer_fingerprint": fingerprints[1], "device": models.pick_device().type}
    identity = " ".join(str(about[key]) for key in sorted(about) if key not in ("dataset", "model"))
    about["score_id"] = f"{models.short_name(settings.model)}-{blake2b(identity.encode(), digest_size=4).hexdigest()}"
    target = workspace.score_set(name, about["score_id"])
    target.mkdir(exist_ok=True)
    rows = int(info["rows_kept"])
    wanted = min(settings.limit or rows, rows)
    if share:
        _help(workspace.pairs(name), target, folder, settings, rows, wanted, say)
    with _writer_lock(target, say):
        if workspace.dataset_info(name)["fingerprint"] != info["fingerprint"]:
            raise InputError(f"{name} as it was when scoring was asked for", "another import in its place", "Start scoring again.")
        if score_parts.missing_parts(target, rows, wanted):
            _check_batches(target, settings)
            with Status(target, say, total=wanted, phase="loading the model") as status:
                _run(workspace.pairs(name), target, folder, settings, about, wanted, status)
        elif (read_status(target) or {}).get("state") != "finished":  # killed between the last part and the last word
            with Status(target, say, total=wanted, done=wanted, truncated=score_parts.truncated_rows(target)):
                pass
        score_parts.tidy(target)
        return _report(target)


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


def _help(pairs: Path, target: Path, folder: Path, settings: ScoreSettings, rows: int, wanted: int, say: Say) -> None:
    """While another process leads: scores parts that nobody has, until there is none to be had. Returns at once where nobody leads."""
    lock = FileLock(target / ".lock")
    while not ((target / file_names.SCORE).is_file() and score_parts.rows_in_order(target) >= wanted) and not _free(lock):
        _say_of_leader(target, say, "begins this score set")
        time.sleep(_POLL_SECONDS)
    if _free(lock):
        return
    scorer = PartScorer(pairs, target, models.load(settings.model, folder))
    for part in score_parts.taken(target, rows, wanted):
        scorer.score(part, lambda *_: _say_of_leader(target, say, "leads, this one helps"))


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


def _run(pairs: Path, target: Path, folder: Path, settings: ScoreSettings, about: dict[str, Any], wanted: int, status: Status) -> None:
    lm = models.load(settings.model, folder)
    status.update(phase="putting the rows in order")
    score_parts.put_in_order(target, pairs, wanted)
    if not (target / file_names.SCORE).is_file():
        _begin(pairs, target, lm, settings, about, status)
    _score_parts(pairs, target, lm, wanted, status)


def _begin(pairs: Path, target: Path, lm: LanguageModel, settings: ScoreSettings, about: dict[str, Any], status: Status) -> None:
    """Count the training split, check the layouts, and leave the counts, d, the head and, last of all, score.json."""
    tally = counting.count(
        pairs,
        lm.tokenizer,
        lm.head.weight.shape[0],
        min(settings.max_length, lm.longest),
        lambda done, total: status.update(phase="counting tokens", done=done, total=total),
    )
    counts = tally.counts(counting.training_conversations(pairs))
    chosen, rejected = counts.totals()
    d = discrepancy.discrepancy(chosen, rejected)
    status.update(phase="checking the layout against a plain forward")
    batch_tokens = settings.batch_tokens or lm.batch_tokens
    layout = selfcheck.choose_layout(lm, d, tally.sample(), batch_tokens)
    write_counts(target, counts)
    table = discrepancy.table(token_bytes(lm.tokenizer, len(d)), chosen, rejected)
    replace_atomically(target / file_names.DISCREPANCY, lambda path: table.to_parquet(path, index=False))
    score_parts.save_array(target / file_names.HEAD, lm.head.weight.float().cpu().numpy())
    if lm.head.bias is not None:
        score_parts.save_array(target / file_names.HEAD_BIAS, lm.head.bias.float().cpu().numpy())
    about |= {"created": datetime.now(UTC).isoformat(), "dtype": str(lm.dtype).removeprefix("torch.")}
    about |= {"batch_tokens": batch_tokens, "pairs": tally.rows}
    about |= {"layout": layout.layout, "own_logits": layout.own_logits, "layout_reason": layout.reason}
    about |= {"selfcheck_reward_difference": layout.reward_difference}
    about |= {"linear": lm.head.linear and not layout.own_logits, "logit_scale": lm.head.scale, "head_bias": lm.head.bias is not None}
    about |= {"parameters": lm.model.num_parameters(), "layers": lm.model.config.get_text_config().num_hidden_layers}
    write_json(target / file_names.SCORE, about)


def _score_parts(pairs: Path, target: Path, lm: LanguageModel, wanted: int, status: Status) -> None:
    scorer, rows = PartScorer(pairs, target, lm), int(read_json(target / file_names.SCORE)["pairs"])
    missing = score_parts.missing_parts(target, rows, wanted)
    truncated = score_parts.truncated_rows(target, [k for k, _, _ in missing])
    pace = Pace(status, _scored(wanted, missing), wanted, truncated, int(status.before.get("tokens", 0)))
    while missing:
        for part in score_parts.taken(target, rows, wanted):
            scorer.score(part, pace.add)
        missing = score_parts.missing_parts(target, rows, wanted)
        if (done := _scored(wanted, missing)) != pace.done:
            pace.found(done, score_parts.truncated_rows(target))
        if missing:  # others work on them
            time.sleep(_POLL_SECONDS)


def _scored(wanted: int, missing: list[Part]) -> int:
    return wanted - sum(end - start for _, start, end in missing)


def _report(target: Path) -> ScoreReport:
    about, status = read_json(target / file_names.SCORE), read_json(target / file_names.STATUS)
    pairs, seconds = score_parts.rows_done(target), float(status["seconds"])
    rates = round(pairs / seconds, 3), round(status.get("tokens", 0) / seconds, 1)
    return ScoreReport(about["dataset"], about["model"], about["score_id"], pairs, round(seconds, 2), *rates, about["layout"])
