"""One export under way: the rows looked through, written, and read back."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from deft_core.errors import InputError
from deft_core.export import check
from deft_core.export.columns import Census, beside, schema
from deft_core.export.files import write_json_rows, write_parquet
from deft_core.export.layouts import TRL_PLAIN, Layout, is_one_question
from deft_core.export.rows import Row, rows
from deft_core.preferences import SCHEMA
from deft_core.queries import View

__all__ = ["Job", "Progress"]

PROGRESS_ROWS = 1_000
IDS_SHOWN = 3  # in an error
ARRAY_BYTES = 1 << 28  # `datasets` takes about eight times as much to read it

Progress = Callable[[dict[str, Any]], None]  # hears phase, done and total


@dataclass
class Job:
    view: View
    beside: pd.DataFrame  # by id: which rows, and what is known of them
    layout: Layout
    progress: Progress
    notes: list[str]  # what is good to know about the file
    census: Census = field(default_factory=Census)
    leading: dict[int, Row] = field(default_factory=dict)  # written first, by their place in the dataset's order
    left_out: list[str] = field(default_factory=list)  # ids

    def look_through(self, leave_out: bool = False) -> None:
        """Kinds of values, the rows to write first, and every row that the trainer would misread: an InputError, or left out."""
        problems: dict[str, str] = {}
        one_question = True
        for row in self._rows("looking through the rows"):
            self.census.add(self._named(row))
            one_question = one_question and is_one_question(row.preference)
            if problem := self.layout.problem(row.preference):
                problems[row.id] = problem
        self._check_complete()
        if self.layout.name == "trl" and one_question:
            self.layout, problems = TRL_PLAIN, {}
        if problems:
            if not leave_out or len(problems) == len(self.beside):
                raise self._misread(problems)
            self._without(problems)
            return
        self.notes += self._words(one_question)
        wanted = self.census.leading() if self.layout.name != "parquet" else set()
        self.leading = {place: row for place, row in enumerate(rows(self.view, self.beside)) if place in wanted} if wanted else {}

    def _check_complete(self) -> None:
        if self.census.rows != len(self.beside):
            expected = f"the selection's {len(self.beside):,} rows in {self.view.pairs}"
            raise InputError(expected, f"{self.census.rows:,} of them", "Save a new version with `deft select`.")

    def _words(self, one_question: bool) -> list[str]:
        if self.layout.name == "axolotl":
            return ["Answers stand without the space around them."]
        if self.layout.name != "trl":
            return []
        if one_question:
            return ["Each prompt is the question as it is: all of them are a single user turn."]
        return ["Prompts are transcripts (Human: …, Assistant: …) that end where the answer begins."]

    def _misread(self, problems: dict[str, str]) -> InputError:
        first = next(iter(problems))
        more = f" (and {len(problems) - 1:,} more of {self.census.rows:,} rows)" if len(problems) > 1 else ""
        ids = " ".join(f"--id {row}" for row in list(problems)[:IDS_SHOWN]) + " …" * (len(problems) > IDS_SHOWN)
        return InputError(
            f"rows that {self.layout.trainer} reads as they are meant",
            f"row {first}: {problems[first]}{more}",
            "Leave such rows out (--leave-out), choose another layout (parquet takes any row), "
            f"or decide on them: `deft decide {self.view.dataset} drop {ids}`.",
        )

    def _without(self, problems: dict[str, str]) -> None:
        """Looks through the others."""
        self.left_out = list(problems)
        self.beside, self.census = self.beside.drop(index=self.left_out), Census()
        first = self.left_out[0]
        self.notes.append(
            f"Left out, since {self.layout.trainer} would misread them: {len(problems):,}, the first {first}: {problems[first]}."
        )
        self.look_through()

    def write(self, path: Path, ending: str) -> array[int]:
        """What each row is to say when it is read back, in the order of the file."""
        digests = array("Q")
        columns = self.census.columns()

        def records() -> Iterator[dict[str, Any]]:
            for row in self._in_order():
                digests.append(check.digest(self.layout.meant(row.preference)))
                yield self.layout.columns(row.preference) | beside(self._named(row), columns)

        if ending == ".parquet":
            write_parquet(path, records(), _schema(columns))
        else:
            write_json_rows(path, records(), ending)
            self._check_array(path, ending)
        return digests

    def _check_array(self, path: Path, ending: str) -> None:
        if ending.startswith(".json") and not ending.startswith(".jsonl") and path.stat().st_size > ARRAY_BYTES:
            expected = f"a JSON array of at most {ARRAY_BYTES >> 20} MB, since its readers hold all of it in memory"
            raise InputError(expected, f"{path.stat().st_size >> 20:,} MB", "Write JSON lines: a file name that ends in .jsonl.")

    def read_back(self, path: Path, ending: str, digests: array[int], model: str | None) -> list[str]:
        """Who read it, with versions."""
        with tempfile.TemporaryDirectory(prefix="deft-export-") as scratch:
            link = Path(scratch) / f"rows{ending}"  # `datasets` takes [ and * in a path for a pattern, and a dot in front for hidden
            link.symlink_to(path.resolve())
            self._seen(0)
            readers = [check.read_back(link, self.layout, digests, self._name("id"), self._seen)]
            if self.layout.trainer == "TRL" and check.has_trl():
                self.progress({"phase": "TRL's own formatting", "done": 0, "total": len(digests)})
                readers.append(check.trl_reads(link, model))
            elif self.layout.trainer == "TRL":
                self.notes.append("TRL is not installed: its formatting was not checked.")
            return readers

    def _seen(self, count: int) -> None:
        self.progress({"phase": "reading back", "done": count, "total": len(self.beside)})

    def _in_order(self) -> Iterator[Row]:
        yield from self.leading.values()
        yield from (row for place, row in enumerate(self._rows("writing")) if place not in self.leading)

    def _rows(self, phase: str) -> Iterator[Row]:
        for place, row in enumerate(rows(self.view, self.beside)):
            if place % PROGRESS_ROWS == 0:
                self.progress({"phase": phase, "done": place, "total": len(self.beside)})
            yield row

    def _named(self, row: Row) -> dict[str, Any]:
        return {self._name(name): value for name, value in row.beside.items()}

    def _name(self, name: str) -> str:
        """Ours are prefixed where a trainer reads the file; in Parquet only where they would take the place of a column that is read."""
        free = name not in self.layout.reads if self.layout.name == "parquet" else name.startswith("extra_")
        return name if free else f"deft_{name}"


def _schema(columns: dict[str, str]) -> pa.Schema:
    texts, numbers = pa.list_(pa.string()), pa.list_(pa.float64())
    types = {"prompt": SCHEMA.field("prompt").type, "responses": texts, "ranks": SCHEMA.field("ranks").type, "response_scores": numbers}
    return pa.schema([*(pa.field(name, kind) for name, kind in types.items()), *schema(columns)])
