"""What a run has made of single rows: log p(chosen) - log p(rejected) of each under base and trained model -> row_margins.parquet.

Of the rows trained on and of rows that were not (deft_core.runs.margins says which), so that Explore can show them beside the rewards.
The base's side comes from reference.parquet where that has it; what is missing is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from deft_core import discrepancy, file_names
from deft_core.lm import reference
from deft_core.lm.collator import Batching
from deft_core.lm.losses import Objective
from deft_core.lm.models import LanguageModel
from deft_core.lm.readings import Side, at_rest
from deft_core.lm.run_rows import read_rows
from deft_core.lm.sides import as_side, base_model, tuned_model
from deft_core.lm.train_batch import TrainRow
from deft_core.runs import margins
from deft_core.runs.spec import Run, read_run
from deft_core.status import Say
from deft_core.workspace import replace_atomically

__all__ = ["margin", "measure", "table"]

Logps = dict[str, list[float]]  # row id -> summed log-probability of each response, best first


def measure(folder: Path, say: Say = lambda _: None) -> pd.DataFrame:
    """Margins of a finished run's rows; writes them into its folder. `say` hears how far it is and may raise to stop."""
    run = read_run(folder)
    say({"phase": "margins by row: loading the model"})
    tuned = tuned_model(run, folder)
    kept = _rows(folder / file_names.INPUT, tuned, run)
    path = folder / file_names.DROPPED
    dropped = _rows(path, tuned, run) if path.is_file() else []  # folders of earlier versions have none
    rows, d = [*kept, *dropped], discrepancy.read_table(folder)["d"].to_numpy(np.float64)
    after = _read(as_side(tuned, run, d), rows, run, "margins by row: trained model", say)
    before = reference.read_references(folder)
    missing = [row for row in rows if row.id not in before]
    if missing:
        before |= _read(as_side(base_model(run), run, d), missing, run, "margins by row: base", say)
    found = table(rows, {row.id for row in kept}, before, after, _objective(run).implicit_beta)
    replace_atomically(folder / file_names.ROW_MARGINS, lambda beside: found.to_parquet(beside, index=False))
    return found


def _rows(path: Path, lm: LanguageModel, run: Run) -> list[TrainRow]:
    """The sample of a file's rows; those that have no tokens on a side are left out."""
    rows = read_rows(path, lm, run.max_length, margins.sample(pq.read_table(path, columns=["id"])["id"].to_pylist()))
    return [row for row in rows if row.tokens.prompt and all(row.tokens.responses)]


def _objective(run: Run) -> Objective:
    return Objective(run.settings.method, **run.settings.coefficients())


def _read(side: Side, rows: Sequence[TrainRow], run: Run, phase: str, say: Say) -> Logps:
    batching = Batching(_objective(run), side.end_token, run.layout, side.batch_tokens, side.step.head.weight.dtype)
    with at_rest(side.step):
        return reference.compute_references(side.step, rows, batching, lambda done: say({"phase": phase, "done": done, "total": len(rows)}))


def table(rows: Sequence[TrainRow], kept: set[str], before: Logps, after: Logps, beta: float) -> pd.DataFrame:
    """One line a row: id and the columns of deft_core.runs.margins."""
    pairs = np.array([(margin(before[row.id], row.ranks), margin(after[row.id], row.ranks)) for row in rows]).reshape(-1, 2)
    implicit = beta * (pairs[:, 1] - pairs[:, 0])
    return pd.DataFrame(
        {
            "id": [row.id for row in rows],
            "kept": [row.id in kept for row in rows],
            "logp_margin_before": pairs[:, 0],
            "logp_margin_after": pairs[:, 1],
            "implicit_margin": implicit,
            "learned": implicit > 0,
        }
    )


def margin(logps: Sequence[float], ranks: Sequence[int]) -> float:
    """log p(chosen) - log p(rejected) in nats; in a ranking, rejected is the mean over all that are not top, as everywhere."""
    below = [logp for logp, rank in zip(logps, ranks, strict=True) if rank > 1]
    return logps[0] - sum(below) / len(below)
