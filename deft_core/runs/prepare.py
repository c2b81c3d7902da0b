"""From a saved selection to a run folder that holds everything the run needs. Appears whole or not at all; starts nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from deft_core import file_names, selections
from deft_core.errors import InputError, NotFoundError
from deft_core.flips import swapped
from deft_core.preferences import SCHEMA
from deft_core.rule import Rule
from deft_core.runs import margins
from deft_core.runs.control import Pool, control_rule, decisions_of, pool_of
from deft_core.runs.spec import Run, Settings, read_run, write_run
from deft_core.selection import Ids, control
from deft_core.selections import Saved
from deft_core.status import read_status
from deft_core.workspace import Workspace, read_json

__all__ = ["REFERENCE", "ROWS", "Source", "check_enough", "for_all_rows", "held_out"]
__all__ += ["prepare", "prepare_control", "prepare_full", "prepare_unguided", "source"]

ROWS = pa.schema([SCHEMA.field(name) for name in ("id", "split", "source", "prompt", "responses", "ranks", "scores")])
REFERENCE = pa.schema([("id", pa.string()), ("logps", pa.list_(pa.float64()))])  # summed, of each response, best first
_ABOUT = ("model", "max_length", "layout", "own_logits")


@dataclass(frozen=True, eq=False)
class Source:
    """What a run of a selection is made from, checked: it is as it was when the selection was saved, and the model is there."""

    saved: Saved
    score_id: str
    about: dict[str, Any]  # model, max_length, layout, own_logits and the rest of score.json
    fingerprints: dict[str, str | None]


def source(workspace: Workspace, reference: str) -> Source:
    """Of a selection (name, name@2); raises what a run of it would be refused for."""
    saved = selections.read(workspace, *selections.parse(reference))
    return _source(workspace, saved, _score_id(workspace, saved))


def _source(workspace: Workspace, saved: Saved, score_id: str) -> Source:
    about = read_json(workspace.score_set(saved.dataset, score_id) / file_names.SCORE, _ABOUT)
    fingerprints = _fingerprints(workspace, saved, score_id) | {"selection": saved.fingerprint}
    _check_model_folder(about["model"])
    return Source(saved, score_id, about, fingerprints)


def prepare(workspace: Workspace, reference: str, settings: Settings, *, name: str | None = None) -> Run:
    """The run of a selection (name, name@2), ready to be started."""
    made_from = source(workspace, reference)
    saved = made_from.saved
    kept = selections.kept_rows(workspace, saved.name, saved.version)
    named = name or f"{saved.reference} {settings.method}"
    return _written(workspace, made_from, kept, settings, named, f"{saved.name[:50]}-{settings.method}", saved.rule.as_dict())


def prepare_control(workspace: Workspace, parent_id: str, *, seed: int = 0, name: str | None = None) -> Run:
    """The random control of a run: as many rows of the same pool by chance, the same settings, steps and held-out rows, and its omega."""
    parent, made_from = _parent(workspace, parent_id)
    rule, pool = control_rule(made_from.saved, parent.rows, seed), pool_of(workspace, made_from.saved, parent.score_id)
    _check_part(workspace, parent, pool)
    rows = pool.drawn(parent.rows, rule.seed)
    settings = parent.settings
    if len(rows) < parent.rows:  # rows kept by hand are not in the pool
        settings = replace(settings, steps=settings.total_steps(parent.rows))
    named, stem = name or f"random control of {parent.name}", f"{parent.selection[:50]}-control"
    return _written(workspace, made_from, rows, settings, named, stem, rule.as_dict(), parent, "random")


def prepare_full(workspace: Workspace, parent_id: str, *, name: str | None = None) -> Run:
    """All rows that the run's rule drew from, without those dropped by hand: as many epochs, the same settings otherwise, and its omega."""
    parent, made_from = _parent(workspace, parent_id)
    pool = pool_of(workspace, made_from.saved, parent.score_id)
    _check_part(workspace, parent, pool)
    rows = pool.rows()
    settings = for_all_rows(parent.settings, parent.rows, len(rows))
    rule = Rule("random", made_from.saved.rule.by, fraction=1.0, where=made_from.saved.rule.where).as_dict()
    named, stem = name or f"full set for {parent.name}", f"{parent.selection[:50]}-full"
    return _written(workspace, made_from, rows, settings, named, stem, rule, parent, "full")


def for_all_rows(settings: Settings, rows: int, all_rows: int) -> Settings:
    """The settings of a run of so many rows for all of them: steps become epochs, and there are as many evaluations."""
    steps = settings.total_steps(rows)
    epochs = settings.epochs if settings.steps is None else steps / math.ceil(rows / settings.rows_per_step)
    longer = replace(settings, steps=None, epochs=epochs)
    every = settings.eval_steps and math.ceil(longer.total_steps(all_rows) * settings.eval_steps / steps)
    return replace(longer, eval_steps=every)


def prepare_unguided(workspace: Workspace, parent_id: str, *, name: str | None = None) -> Run:
    """The same rows and settings without guidance."""
    parent, made_from = _parent(workspace, parent_id)
    if parent.settings.guidance == 0:
        raise InputError(f"guidance that is on in {parent.name}", "none", "Leave out the run without guidance: it would be the same.")
    rows = selections.kept_rows(workspace, parent.selection, parent.version)
    named, stem = name or f"{parent.name} without guidance", f"{parent.selection[:50]}-unguided"
    return _written(workspace, made_from, rows, replace(parent.settings, guidance=0.0), named, stem, parent.rule, parent, "unguided")


def _check_part(workspace: Workspace, parent: Run, pool: Pool) -> None:
    """There have to be rows to draw from beside the run's own."""
    if pool.holds_just(selections.kept_rows(workspace, parent.selection, parent.version)["id"]):
        found = f"all {parent.rows:,} of them in {parent.selection}@{parent.version}"
        expected = "a selection that leaves rows of its pool out"
        raise InputError(expected, found, "Leave out the random control and the full set: they would be the same rows.")


def _parent(workspace: Workspace, run_id: str) -> tuple[Run, Source]:
    """A run that others are to be held against, and what it was made from."""
    parent = read_run(workspace.existing_run(run_id))
    return parent, _source(workspace, selections.read(workspace, parent.selection, parent.version), parent.score_id)


def _score_id(workspace: Workspace, saved: Saved) -> str:
    """The score set a selection was made with, else the newest of its dataset: it says which model is trained, and has d."""
    known = workspace.score_ids(saved.dataset)
    if not known:
        expected = f"scores of {saved.dataset!r}, which name the model and have d"
        raise NotFoundError(expected, "none", f"Score it with `deft score {saved.dataset}`.")
    if saved.score_id and saved.score_id not in known:
        expected = f"the score set {saved.score_id!r} of {saved.dataset!r} as it is now"
        raise NotFoundError(expected, f"only {', '.join(known)}", "Save the selection again with `deft select`.")
    return saved.score_id or known[0]


def _written(
    workspace: Workspace,
    made_from: Source,
    kept: pd.DataFrame,
    settings: Settings,
    name: str,
    stem: str,
    rule: dict[str, Any],
    parent: Run | None = None,
    role: str = "run",
) -> Run:
    """The folder, with run.json as the last file of it."""
    saved, score_id, about = made_from.saved, made_from.score_id, made_from.about
    scores = workspace.score_set(saved.dataset, score_id)
    check_enough(kept, saved)
    run_id = f"{stem}-{uuid4().hex[:6]}"
    with workspace.new_folder(workspace.run(run_id)) as folder:
        flipped = decisions_of(workspace, saved).flipped | set(kept["id"][kept["flipped"]])
        pairs = workspace.pairs(saved.dataset)
        _copy_rows(pairs, folder / file_names.INPUT, set(kept["id"]), flipped, saved)
        heldout, judge = held_out(pairs, settings.eval_rows)
        _copy_rows(pairs, folder / file_names.HELDOUT, heldout, flipped, saved, by_id=True)
        _copy_rows(pairs, folder / file_names.JUDGE_ROWS, judge, flipped, saved)
        dropped = margins.dropped_ids(pairs, kept["id"])
        _copy_rows(pairs, folder / file_names.DROPPED, dropped, flipped, saved)
        shutil.copyfile(scores / file_names.DISCREPANCY, folder / file_names.DISCREPANCY)
        truncated = _copy_reference(scores, folder, list(kept["id"]), [*heldout, *dropped], flipped, settings, about)
        run = Run(
            run_id=run_id,
            name=name,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            dataset=saved.dataset,
            selection=saved.name,
            version=saved.version,
            score_id=score_id,
            **{key: about[key] for key in _ABOUT},
            fingerprints=made_from.fingerprints,
            rule=rule,
            rows=len(kept),
            heldout_rows=len(heldout),
            judge_rows=len(judge),
            truncated_rows=truncated,
            settings=settings,
            control_of=parent.run_id if parent and role == "random" else None,
            scoring_seconds=(read_status(scores) or {}).get("seconds") if _asks_for_scores(rule) else None,
            code=package_version("deft-studio"),
            omega=settings.guidance,
            role=role,
            group=parent.group if parent else run_id,
        )
        write_run(folder, run)
    return run


def _asks_for_scores(rule: dict[str, Any]) -> bool:
    """Whether rows are chosen by what scoring found out; a condition is taken to, random rows without one do without."""
    return rule["keep"] != "random" or bool(rule["where"])


def _fingerprints(workspace: Workspace, saved: Saved, score_id: str) -> dict[str, str | None]:
    """Of what the run is made from, which must be what the selection was made from."""
    found = selections.fingerprints_of(workspace, saved.dataset, score_id)
    changed = [key for key, value in saved.fingerprints.items() if value is not None and found[key] != value]
    if changed:
        expected = f"the same {', '.join(changed)} as when {saved.reference} was saved"
        remedy = f"Save it again: `deft select {saved.dataset} --as {saved.name} ...`."
        raise InputError(expected, ", ".join(f"another {key}" for key in changed), remedy)
    return found


def _check_model_folder(model: str) -> None:
    if Path(model).is_absolute() and not Path(model).is_dir():
        raise InputError(f"the model in {model}, as it was scored", "no such folder", "Put the model back, or score with the one you have.")


def check_enough(kept: pd.DataFrame, saved: Saved) -> None:
    """One row gives no mean to follow: its loss falls to nothing, and nothing can be told from that."""
    if len(kept) < 2:
        found = f"{len(kept)} row{'s' if len(kept) != 1 else ''} in {saved.reference}"
        raise InputError("a selection of at least 2 rows to train on", found, "Widen its rule or its condition, and save it again.")


def held_out(pairs: Path, most: int) -> tuple[set[str], set[str]]:
    """(a sample of the rows held out, all rows of the judge split).

    The sample is the same for every run on the dataset, whatever its seed, so that runs can be compared prompt by prompt; a larger one
    has the rows of a smaller one.
    """
    table = pq.read_table(pairs, columns=["id", "split"]).to_pandas()
    ids, split = table["id"], table["split"].to_numpy()
    drawn = control(split == "heldout", Ids(ids), most)
    if drawn.sum() < 2:
        found = f"{int(drawn.sum())} in {pairs}"
        raise InputError("at least 2 rows held out, to see what is learned", found, "Import again with --heldout 0.1.")
    return set(ids[drawn]), set(ids[split == "judge"])


def _copy_rows(pairs: Path, target: Path, ids: Collection[str], flipped: Collection[str], saved: Saved, by_id: bool = False) -> None:
    """These rows, turned round where they are flipped; in the order of the dataset, or by id."""
    wanted, written = pa.array(ids, pa.string()), 0
    data = pads.dataset(pairs).scanner(columns=ROWS.names, filter=pc.field("id").isin(wanted))
    batches = [pa.Table.from_batches(data.to_batches()).sort_by("id")] if by_id else data.to_batches()
    with pq.ParquetWriter(target, ROWS, compression="zstd") as writer:
        for batch in batches:
            writer.write(_turned(batch, flipped))
            written += len(batch)
    if written != len(ids):
        raise InputError(f"the {len(ids):,} rows of {saved.reference} in {pairs}", f"{written:,} of them", "Save the selection again.")


def _turned(batch: pa.RecordBatch | pa.Table, flipped: Collection[str]) -> pa.RecordBatch | pa.Table:
    """Texts and scores of flipped rows in their new order; ranks belong to the places."""
    flags = [row in flipped for row in batch.column("id").to_pylist()]
    if not any(flags):
        return batch
    for name in ("responses", "scores"):
        values = [swapped(value) if flag else value for value, flag in zip(batch.column(name).to_pylist(), flags, strict=True)]
        batch = batch.set_column(batch.schema.get_field_index(name), ROWS.field(name), pa.array(values, ROWS.field(name).type))
    return batch


def _copy_reference(
    scores: Path, folder: Path, kept: list[str], others: list[str], flipped: Collection[str], settings: Settings, about: dict[str, Any]
) -> int | None:
    """How many of the kept rows lost tokens to the length limit, None where not all of them are scored.

    Where all are, the base model's log-probabilities, of the others too as far as they are there, need no second forward; unless
    training is to run in another precision than scoring did: log-ratios would not begin at 0.
    """
    wanted = pc.field("id").isin(pa.array([*kept, *others], pa.string()))
    parts = pads.dataset([str(part) for part in sorted(scores.glob(file_names.PARTS))], schema=_SCORED)
    table = parts.to_table(columns=_SCORED.names, filter=wanted).to_pandas().set_index("id")
    if not set(kept) <= set(table.index):
        return None
    if settings.dtype in (None, about.get("dtype")):
        logps = [swapped(value) if row in flipped else list(value) for row, value in table["logps"].items()]
        pq.write_table(pa.table({"id": table.index.to_numpy(), "logps": logps}, REFERENCE), folder / file_names.REFERENCE)
    return int(np.sum(table.loc[kept, "truncated_tokens"] > 0))


_SCORED = pa.schema([*REFERENCE, ("truncated_tokens", pa.int32())])
