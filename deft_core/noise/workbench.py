"""Computing the stored noise columns of a dataset: one pass over its texts, then one file that takes the old one's place.

Memory holds a few dozen bytes a row; sketches and shingle sets lie in a folder beside the dataset while it runs (about 3 kB a row).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from deft_core import file_names, processes
from deft_core.errors import InputError, first_line
from deft_core.noise import stored
from deft_core.noise.batch import COLUMNS, Batch
from deft_core.noise.signals import gatherers
from deft_core.status import Say, Status
from deft_core.workspace import Workspace

__all__ = ["columns", "compute", "start"]

BATCH_ROWS = 1_000


def compute(workspace: Workspace, dataset: str, say: Say = lambda _: None) -> None:
    """Compute the columns and put them in the place of any that are there."""
    info = workspace.dataset_info(dataset)
    folder = workspace.noise_work(dataset)
    folder.mkdir(exist_ok=True)
    with _only_one(folder):
        (folder / file_names.STATUS).unlink(missing_ok=True)  # a computation begins anew: its seconds are its own
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
        try:
            with Status(folder, say, dataset=dataset, done=0, total=info["rows_kept"]) as status:
                _compute(workspace, dataset, info, scratch, status)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _compute(workspace: Workspace, dataset: str, info: dict[str, Any], scratch: Path, status: Status) -> None:
    began = time.monotonic()
    try:
        with pq.ParquetFile(workspace.pairs(dataset)) as pairs:
            found, notes = columns(_batches(pairs), scratch, lambda phase, rows: _tell(status, phase, rows, info["rows_kept"]))
            ids = pairs.read(columns=["id"])
    except pa.ArrowException as error:
        raise InputError(f"readable texts of {dataset!r}", first_line(error), f"Import {dataset!r} again.") from error
    table = pa.table({"id": ids.column("id").combine_chunks()} | found)
    about = {"fingerprint": info["fingerprint"], "notes": notes, "seconds": round(time.monotonic() - began, 3)}
    stored.write(workspace.noise(dataset), table, about | {"created": datetime.now(UTC).isoformat(timespec="seconds")})


def _batches(pairs: pq.ParquetFile) -> Iterator[Batch]:
    """Row group by row group: one iteration over all of them keeps some of each in memory (seen with pyarrow 26)."""
    for group in range(pairs.num_row_groups):
        yield from map(Batch.of, pairs.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=list(COLUMNS)))


def _tell(status: Status, phase: str, rows: int, total: int) -> None:
    seconds = max(time.monotonic() - status.began, 1e-9)
    pace = {"pairs_per_second": round(rows / seconds, 1), "seconds_left": round((total - rows) * seconds / rows, 1)} if rows else {}
    status.update(phase=phase, done=rows, **pace)


def columns(
    batches: Iterable[Batch], scratch: Path, tell: Callable[[str, int], None] = lambda phase, rows: None
) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """The stored columns by name, and what was found out about the whole set, by signal; `tell` hears of the phase and the rows read."""
    signals = gatherers(scratch)
    rows = 0
    for batch in batches:
        for gatherer in signals.values():
            gatherer.add(batch)
        rows += len(batch)
        tell("reading the texts", rows)
    found = {}
    for signal, gatherer in signals.items():
        tell(signal.title.lower(), rows)
        found[signal.column] = gatherer.column()
    return found, {signal.name: gatherer.note for signal, gatherer in signals.items() if gatherer.note}


def _only_one(folder: Path) -> Any:
    try:
        return FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise InputError("one computation of noise columns at a time", "another one at work", "Wait until it has finished.") from None


def start(root: Path, dataset: str) -> int:
    """Compute the columns in a detached process; returns its pid."""
    arguments = ["-m", "deft_core", "--workspace", str(root.resolve()), "noise", dataset]
    return processes.start_detached(arguments, Workspace(root).noise_work(dataset) / file_names.LOG)
