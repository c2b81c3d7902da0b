"""Bringing a source into the workspace: every row is read once, understood or refused with a reason, and written down.

Containers say what a row is, formats what it means, `pair_writer` stores it. Nothing here depends on the size of the source.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.pair_writer import PairWriter, original_text
from deft_core.preferences import SPLITS, Preference, RowRefused, validate
from deft_core.readers.columns import tidy
from deft_core.readers.containers import parts
from deft_core.readers.detection import FORMATS, Reader, choose, columns_of
from deft_core.readers.rows import Part, Row
from deft_core.workspace import Workspace, write_json

__all__ = ["FORMATS", "ImportReport", "Preview", "PreviewRow", "import_source", "preview"]

SAMPLE_ROWS = 100  # that decide on the format
PROGRESS_ROWS = 1_000


@dataclass(frozen=True)
class ImportReport:
    dataset: str
    format: str  # several, where the files of a folder differ
    rows_read: int
    rows_kept: int
    rows_refused: int
    train: int
    heldout: int
    judge: int


@dataclass(frozen=True)
class PreviewRow:
    line: int
    original: str
    preference: Preference | None
    reason: str | None


@dataclass(frozen=True)
class Preview:
    columns: list[str]
    format: str | None
    problem: str | None
    rows: list[PreviewRow]


def import_source(
    workspace: Workspace,
    source: str,
    name: str,
    *,
    format: str | None = None,
    fields: Mapping[str, str] | None = None,
    split: str | None = None,
    heldout: float = 0.1,
    judge: float = 0.1,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Reads the source into `datasets/<name>`; leaves nothing behind when it holds no usable row."""
    folder = workspace.dataset(name)
    _check_fractions(heldout, judge)
    if folder.exists() and not replace:
        raise InputError("a new dataset name", f"{name!r} is taken", "Choose another name, or replace the dataset (--replace).")
    found = parts(source, split)
    with workspace.new_folder(folder, replace) as scratch:
        with PairWriter(scratch, name, heldout, judge) as writer:
            reading = _Reading(writer, format, fields, split, progress)
            for part in found:
                reading.part(part)
        reading.check_usable(source)
        report = _report(name, reading)
        info = _counts(report) | _lineage(source, found, split) | {"heldout_fraction": heldout, "judge_fraction": judge}
        write_json(scratch / file_names.DATASET, info | _contents(writer))
        _keep_overrides(folder, scratch)
    return report


def preview(source: str, *, format: str | None = None, fields: Mapping[str, str] | None = None, rows: int = 3) -> Preview:
    """How the first rows of a source would be read."""
    part = parts(source)[0]
    sample = list(islice(part.rows(), max(SAMPLE_ROWS, rows)))
    records = [row.record for row in sample if row.record is not None]
    chosen, read = choose(records, format, fields)
    shown = [_preview_row(row, read) for row in sample[:rows]]
    return Preview(columns_of(records), chosen, _problem(sample, records, chosen), shown)


def _check_fractions(heldout: float, judge: float) -> None:
    if not (heldout >= 0 and judge >= 0 and heldout + judge < 1):
        raise InputError("fractions of 0 or more that leave rows for training", f"heldout {heldout}, judge {judge}", "Lower them.")


@dataclass
class _Reading:
    """One import under way: what is asked for, where rows go, and what came by for the report or the refusal of it all."""

    writer: PairWriter
    format: str | None
    fields: Mapping[str, str] | None
    split: str | None
    progress: Callable[[int], None] | None
    formats: dict[str, None] = field(default_factory=dict)
    columns: dict[str, None] = field(default_factory=dict)
    splits: dict[str, None] = field(default_factory=dict)

    @property
    def rows_read(self) -> int:
        return self.writer.kept + self.writer.refused

    def part(self, part: Part) -> None:
        rows = part.rows() if self.split is None or part.is_split else self._of_split(part.rows(), self.split)
        head = list(islice(rows, SAMPLE_ROWS))
        records = [row.record for row in head if row.record is not None]
        name, read = choose(records, self.format, self.fields)
        self.formats |= {name: None} if name and records else {}
        self.columns |= dict.fromkeys(columns_of(records))
        for row in chain(head, rows):
            self._row(part, row, read)
            if self.rows_read % PROGRESS_ROWS == 0:
                self._report_progress()
        self._report_progress()

    def _report_progress(self) -> None:
        if self.progress:
            self.progress(self.rows_read)

    def _row(self, part: Part, row: Row, read: Reader) -> None:
        try:
            understood = _understand(row, read)
            own_split = None if self.split else understood.split or part.split
            self.writer.keep(understood, part.source, own_split)
        except RowRefused as problem:
            self.writer.refuse(part.name, row, problem)

    def _of_split(self, rows: Iterator[Row], split: str) -> Iterator[Row]:
        """Rows whose own column names this split; those that are no object cannot say, and pass on to be refused."""
        column = (self.fields or {}).get("split", "split")
        for row in rows:
            word = row.record.get(column) if row.record is not None else split
            if isinstance(word, str):
                self.splits[word] = None
            if word == split:
                yield row

    def check_usable(self, source: str) -> None:
        if self.writer.kept:
            return
        if self.split is not None and self.columns == {}:
            column = (self.fields or {}).get("split", "split")
            found = ", ".join(self.splits) or f"no column {column!r} that names the splits of its rows"
            remedy = "Choose one of the splits that are there." if self.splits else "Leave --split out: the source is not divided."
            raise InputError(f"rows of a split {self.split!r} in {source}", found, remedy)
        if not self.rows_read:
            raise InputError(f"rows in {source}", "none", "Check that this is the data file and that it is complete.")
        raise InputError(
            f"preference pairs in {source}",
            f"no usable row among {self.rows_read:,}; {self._why()}",
            "Name the columns with fields (prompt, chosen, rejected), or choose the format.",
        )

    def _why(self) -> str:
        reasons = "; ".join(f"{reason} ({count:,} rows)" for reason, count in self.writer.reasons.most_common(3))
        tried = ", ".join(self.formats) or ", ".join(FORMATS)
        return f"columns seen: {', '.join(self.columns)[:400] or 'none'}; formats tried: {tried}; reasons: {reasons}"


def _understand(row: Row, read: Reader) -> Preference:
    if row.record is None:
        raise row.problem or RowRefused("the row is not an object")
    try:
        return validate(read(row.record))
    except RecursionError:
        raise RowRefused("the row is nested too deeply") from None


def _report(name: str, reading: _Reading) -> ImportReport:
    writer, formats = reading.writer, ", ".join(reading.formats)
    return ImportReport(name, formats, reading.rows_read, writer.kept, writer.refused, *(writer.counts[split] for split in SPLITS))


def _counts(report: ImportReport) -> dict[str, Any]:
    counts = asdict(report)
    return {"name": counts.pop("dataset")} | counts


def _lineage(source: str, found: list[Part], split: str | None) -> dict[str, Any]:
    return {
        "source": tidy(source),
        "files": [tidy(part.name) for part in found],
        "split": split,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _contents(writer: PairWriter) -> dict[str, Any]:
    return {
        "fingerprint": writer.fingerprint,
        "extra_columns": writer.extra_columns(),
        "reasons": dict(writer.reasons.most_common()),
    }


def _keep_overrides(folder: Path, scratch: Path) -> None:
    """The same file under both names: a decision written while the folders change places is in both."""
    overrides = folder / file_names.OVERRIDES
    if not overrides.exists():
        return
    try:
        os.link(overrides, scratch / overrides.name)
    except OSError:  # a file system without links
        shutil.copy2(overrides, scratch / overrides.name)


def _preview_row(row: Row, read: Reader) -> PreviewRow:
    try:
        understood = _understand(row, read)
        understood.content_hash()  # refuses what no file can hold
    except RowRefused as problem:
        return PreviewRow(row.line, original_text(row), None, tidy(str(problem)))
    return PreviewRow(row.line, original_text(row), understood, None)


def _problem(sample: list[Row], records: list[dict[str, Any]], format: str | None) -> str | None:
    if not sample:
        return "The source holds no rows."
    if not records:
        return "None of the first rows is an object with columns."
    return None if format else f"No known format has these columns: {', '.join(columns_of(records))[:400]}."
