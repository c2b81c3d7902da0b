"""A score set that is being made, and what makes it: this machine (local_engine.py) or a Ray cluster (ray_engine.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from deft_core import discrepancy, file_names
from deft_core.group_counts import GroupCounts, write_counts
from deft_core.lm import score_parts, selfcheck
from deft_core.lm.models import LanguageModel
from deft_core.lm.score_settings import ScoreSettings
from deft_core.lm.tokens import TokenRow, token_bytes
from deft_core.status import Pace, Status
from deft_core.workspace import replace_atomically, write_json

__all__ = ["Engine", "Job", "check_and_write", "pace"]


@dataclass(frozen=True)
class Job:
    pairs: Path
    target: Path  # the score set's folder
    folder: Path  # the model's
    settings: ScoreSettings
    about: dict[str, Any]  # of the set, as far as it is known before anything is read
    rows: int  # of the dataset
    wanted: int  # of those, how many are to be scored

    def missing(self) -> list[score_parts.Part]:
        return score_parts.missing_parts(self.target, self.rows, self.wanted)

    def done(self, missing: list[score_parts.Part]) -> int:
        return self.wanted - sum(end - start for _, start, end in missing)


class Engine(Protocol):
    @property
    def device(self) -> str:
        """The kind of device that scores, cpu or cuda; it decides the precision, and with it the set."""

    def begin(self, job: Job, status: Status) -> None:
        """Count the training split, check the layouts, and leave the counts, d, the head and, last of all, score.json."""

    def score(self, job: Job, status: Status) -> None:
        """Score every part that is missing; the rows lie ready in order."""


def check_and_write(job: Job, lm: LanguageModel, counts: GroupCounts, sample: list[TokenRow]) -> None:
    """What begins a score set, from the tokens counted: the layout is chosen by a sample of rows, d formed, all of it written."""
    chosen, rejected = counts.totals()
    d = discrepancy.discrepancy(chosen, rejected)
    batch_tokens = job.settings.batch_tokens or lm.batch_tokens
    layout = selfcheck.choose_layout(lm, d, sample, batch_tokens)
    write_counts(job.target, counts)
    table = discrepancy.table(token_bytes(lm.tokenizer, len(d)), chosen, rejected)
    replace_atomically(job.target / file_names.DISCREPANCY, lambda path: table.to_parquet(path, index=False))
    score_parts.save_array(job.target / file_names.HEAD, lm.head.weight.float().cpu().numpy())
    if lm.head.bias is not None:
        score_parts.save_array(job.target / file_names.HEAD_BIAS, lm.head.bias.float().cpu().numpy())
    about = job.about | {"created": datetime.now(UTC).isoformat(), "dtype": str(lm.dtype).removeprefix("torch.")}
    about |= {"batch_tokens": batch_tokens, "pairs": job.rows}
    about |= {"layout": layout.layout, "own_logits": layout.own_logits, "layout_reason": layout.reason}
    about |= {"selfcheck_reward_difference": layout.reward_difference}
    about |= {"linear": lm.head.linear and not layout.own_logits, "logit_scale": lm.head.scale, "head_bias": lm.head.bias is not None}
    about |= {"parameters": lm.model.num_parameters(), "layers": lm.model.config.get_text_config().num_hidden_layers}
    score_parts.check_unchanged(job.pairs, job.about["dataset_fingerprint"])
    write_json(job.target / file_names.SCORE, about)


def pace(job: Job, status: Status, missing: list[score_parts.Part]) -> Pace:
    """From what is scored already."""
    truncated = score_parts.truncated_rows(job.target, [k for k, _, _ in missing])
    return Pace(status, job.done(missing), job.wanted, truncated, int(status.before.get("tokens", 0)))
