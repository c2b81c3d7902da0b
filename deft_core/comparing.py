"""Evaluated runs side by side: every figure with its interval, and its difference to the first run's, paired by prompt.

Reads what evaluations left in the run folders; runs no model. All runs on a dataset are evaluated on the same held-out rows or a larger
sample that contains them, so differences are over the prompts that both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deft_core import file_names, measures
from deft_core.errors import InputError, NotFoundError, first_line
from deft_core.intervals import Figure, difference
from deft_core.runs.spec import ROLES, Run, read_run
from deft_core.workspace import read_json

__all__ = ["BASE", "COSTS", "JUDGE", "Comparison", "Evaluated", "Line", "compare", "in_order", "read_evaluated"]

BASE = "base"  # stands for a run in the table where all runs have the same base model
JUDGE = "judge_accuracy"  # of each run's judge on held-out pairs: stands beside what it judged
COSTS = (
    *("scoring_seconds", "training_seconds", "evaluation_seconds", "total_seconds"),
    *("training_tokens", "training_peak_bytes", "evaluation_peak_bytes"),
)
_KEYS = ("alignment", "generalisation", "judge", "cost")


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A run with what its evaluation measured."""

    run: Run
    about: dict[str, Any]  # evaluation.json
    rows: pd.DataFrame
    neutral: pd.DataFrame

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """name -> base, tuned, difference; see measures.figures."""
        return self.about["alignment"] | self.about["generalisation"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Line:
    """A figure of a run; `difference` is that to the first run, over the `prompts` that both have."""

    measure: str
    section: str  # alignment | generalisation | cost
    run: str
    value: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    prompts: int | None
    better: str | None  # higher | lower; None: it depends


@dataclass(frozen=True)
class Comparison:
    runs: tuple[str, ...]  # the columns, the base last where it is one
    table: tuple[Line, ...]
    notes: tuple[str, ...]  # what to bear in mind

    def as_dict(self) -> dict[str, Any]:
        return {"table": [asdict(line) for line in self.table], "notes": list(self.notes), "runs": list(self.runs)}


def read_evaluated(folder: Path) -> Evaluated:
    """A run that was evaluated."""
    run = read_run(folder)
    paths = [folder / name for name in (file_names.EVALUATION, file_names.EVALUATION_ROWS, file_names.EVALUATION_NEUTRAL)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        remedy = f"Evaluate it: deft evaluate {run.run_id}."
        raise NotFoundError(f"an evaluation of {run.run_id}", f"no {', '.join(missing)} in {folder}", remedy)
    try:
        rows, neutral = (pd.read_parquet(path) for path in paths[1:])
    except (OSError, ValueError) as error:
        found = first_line(error)
        raise InputError(f"the tables of an evaluation in {folder}", found, f"Evaluate it again: deft evaluate {run.run_id}.") from None
    return Evaluated(run, read_json(paths[0], _KEYS), rows, neutral)


def in_order(runs: Sequence[Run]) -> list[Run]:
    """As they are put side by side: the first that is no control of another, those it is held against by role, then the others."""
    first = next((run for run in runs if run.role == "run"), runs[0])

    def place(run: Run) -> tuple[bool, bool, int]:
        beside = run.group == first.group
        return run is not first, not beside, ROLES.index(run.role) if beside else 0

    return sorted(runs, key=place)


def compare(folders: Sequence[Path]) -> Comparison:
    """Of at least two run folders."""
    if len(set(folders)) < 2:
        raise InputError("at least two runs", f"{len(set(folders))}", "Name another one; `deft runs` lists them.")
    found = [read_evaluated(folder) for folder in dict.fromkeys(folders)]
    first = found[0]
    sides = [(one.run.run_id, one, "tuned") for one in found]
    if len({one.run.fingerprints.get("model") for one in found}) == 1:
        sides.append((BASE, first, "base"))
    columns = [_column(column, one, side, first) for column, one, side in sides]
    names = [name for one in measures.MEASURES for name in ((one, JUDGE) if one == "win_rate" else (one,))]
    lines = [column[name] for name in names for column in columns if name in column]
    costs = [_cost(name, one) for name in COSTS for one in found]
    return Comparison(tuple(column for column, _, _ in sides), (*lines, *costs), tuple(_notes(found)))


def _column(column: str, one: Evaluated, side: str, first: Evaluated) -> dict[str, Line]:
    """Every figure of a run, by name."""
    figures = one.figures
    gained = {} if one is first and side == "tuned" else _gained(first, one, side)
    lines = {name: _line(name, column, Figure(**known[side]), gained.get(name)) for name, known in figures.items() if known[side]}
    if side == "tuned":
        own = Figure(**one.about["judge"]["accuracy"])
        lines[JUDGE] = Line(JUDGE, "alignment", column, own.value, own.low, own.high, None, None, None, own.prompts, "higher")
    return lines


def _line(name: str, column: str, own: Figure, gained: Figure | None) -> Line:
    described, to_first = measures.MEASURES[name], gained or Figure(None, None, None, own.prompts)
    values = own.value, own.low, own.high, to_first.value, to_first.low, to_first.high, to_first.prompts
    return Line(name, described.section, column, *values, described.better)


def _gained(first: Evaluated, other: Evaluated, side: str) -> dict[str, Figure]:
    """other's figures minus first's."""
    before = measures.measures(*_paired(first, other), "tuned")
    after = measures.measures(*_paired(other, first), side)
    return {name: difference(before[name], after[name]) for name in after if name in before}


def _paired(own: Evaluated, other: Evaluated) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Own tables with the lines that the other has too, in the order of ids."""
    tables = ((own.rows, other.rows), (own.neutral, other.neutral))
    rows, neutral = (mine[mine["id"].isin(theirs["id"])].sort_values("id", ignore_index=True) for mine, theirs in tables)
    return rows, neutral


def _cost(name: str, one: Evaluated) -> Line:
    value = one.about["cost"].get(name)
    return Line(name, "cost", one.run.run_id, value, None, None, None, None, None, None, "lower")


def _notes(found: Sequence[Evaluated]) -> list[str]:
    first, notes = found[0], []
    for other in found[1:]:
        common = int(other.rows["id"].isin(first.rows["id"]).sum())
        if common < len(other.rows) or common < len(first.rows):
            counts = f"{len(first.rows)} and {len(other.rows)}"
            notes.append(f"{first.run.run_id} and {other.run.run_id} have {common} held-out prompts in common, of {counts}.")
    if len({one.run.fingerprints.get("tokenizer") for one in found}) > 1:
        notes.append("The runs' tokenizers differ: perplexity, KL and lengths by token cannot be compared.")
    elif len({one.run.fingerprints.get("model") for one in found}) > 1:
        notes.append("The runs' base models differ: KL, margin and win rate are each to another base.")
    if len({one.about["new_tokens"] for one in found}) > 1:
        notes.append("Answers were cut at different lengths, so figures of answers cannot be compared.")
    if len({one.about["judge"].get("name") for one in found if one.about["judge"].get("can_tell")}) > 1:
        notes.append("The win rates are by different judges.")
    notes += [f"{one.run.run_id}: {one.about['judge']['words']}" for one in found]
    return list(dict.fromkeys(notes))
