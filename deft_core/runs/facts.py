"""What the files say of a run that could be started: its rows and their lengths, the model's size, how fast scoring went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deft_core import file_names, selections
from deft_core.cost import ModelSize
from deft_core.runs import prepare
from deft_core.runs.control import pool_of
from deft_core.runs.prepare import Source
from deft_core.runs.row_tokens import Lengths, read_lengths
from deft_core.status import read_status
from deft_core.workspace import Workspace

__all__ = ["Facts", "facts", "model_size"]


@dataclass(frozen=True, eq=False)
class Facts:
    """Of a saved selection, or of all rows that its rule drew from."""

    reference: str  # name@version
    dataset: str
    model: str
    max_length: int  # tokens of prompt and one response: as scoring was asked, or what the model has positions for
    layout: str
    own_logits: bool
    rows: int  # that are trained on
    whole: bool  # whether these are just the rows that its rule drew from, so that a control and the full set would be the same ones
    left_out: dict[str, int]  # training rows that are not, by reason
    lengths: Lengths  # of the rows that are scored
    heldout: int  # rows of each of the other splits
    judge: int
    size: ModelSize | None  # None: the score set is older than this figure
    scoring_speed: float | None  # tokens a second of one forward pass
    scoring_seconds: float | None


def facts(workspace: Workspace, made_from: Source, *, full: bool = False) -> Facts:
    """Of a selection, or with `full` of its rule's whole pool; raises what a run of it would be refused for, as prepare.source does."""
    saved, about = made_from.saved, made_from.about
    scores = workspace.score_set(saved.dataset, made_from.score_id)
    pool = pool_of(workspace, saved, made_from.score_id)
    kept = pool.rows() if full else selections.kept_rows(workspace, saved.name, saved.version)
    prepare.check_enough(kept, saved)
    lengths = read_lengths(scores, list(kept["id"]), list(kept["id"][kept["flipped"]]))
    info, status = workspace.dataset_info(saved.dataset), read_status(scores) or {}
    if info["heldout"] < 2:
        prepare.held_out(workspace.pairs(saved.dataset), 2)  # says what is missing
    train = (pool.table["split"] == "train").to_numpy()
    by_hand = pool.table["id"].isin(pool.decisions.dropped).to_numpy()
    mine = pool.table["id"].isin(kept["id"]).to_numpy()
    reasons = {
        "dropped by hand": train & by_hand,
        "outside of the rule's pool": train & ~pool.members & ~by_hand,
        "not kept by the rule": pool.members,
    }
    return Facts(
        reference=saved.reference,
        dataset=saved.dataset,
        **{name: about[name] for name in ("model", "layout", "own_logits")},
        max_length=lengths.limit or about["max_length"],
        rows=len(kept),
        whole=pool.holds_just(kept["id"]),
        left_out={reason: int((rows & ~mine).sum()) for reason, rows in reasons.items()},
        lengths=lengths,
        heldout=info["heldout"],
        judge=info["judge"],
        size=model_size(scores, about),
        scoring_speed=status.get("tokens_per_second"),
        scoring_seconds=status.get("seconds"),
    )


def model_size(scores: Path, about: dict[str, Any]) -> ModelSize | None:
    """Of the model a score set was made with, given what its score.json says; None where an older one does not say it."""
    if not {"parameters", "layers"} <= about.keys() or not (scores / file_names.HEAD).is_file():
        return None
    vocabulary, hidden = np.load(scores / file_names.HEAD, mmap_mode="r").shape
    return ModelSize(about["parameters"], about["layers"], hidden, vocabulary)
