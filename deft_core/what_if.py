"""Another d from counts, and what it makes of every row's reward; no model takes part.

    masked       some tokens are left out of both sides
    smoothed     add A: every token counted on either side gets A more on both, so that rare tokens weigh less
    one source   only that source's training rows are counted
    kept rows    only the training rows a selection keeps are counted

What is left on a side is made to sum to 1 again, so d = q+ - q- sums to 0, which rewards from pooled states rest on (pooled.py).
A what-if can be saved: a file of reward columns in the score set's folder that every view of it has from then on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deft_core import discrepancy, file_names, selections, token_masks
from deft_core.errors import InputError
from deft_core.pooled import REWARDS, Head, Pooled, rewards, turned
from deft_core.queries import View
from deft_core.queries.relation import column_names, what_if_columns
from deft_core.relations import agreement
from deft_core.runs import margins
from deft_core.tables import as_json
from deft_core.workspace import Workspace, replace_atomically

__all__ = [
    "Answer",
    "Change",
    "answer",
    "changed_d",
    "checked_column",
    "counted",
    "kept_by",
    "save",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# columns that rows carry on the pages, and the texts of a query
_RESERVED = ("decision", "flipped", "noted", "tags", "place", "kept_probability", "prompt", "chosen", "rejected", "conversation")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")  # so that SQL takes it without quotes


@dataclass(frozen=True)
class Change:
    """What makes d another one."""

    mask: tuple[str, ...] = ()  # kinds of tokens, tokens or token ids, see token_masks
    smooth: float = 0.0  # A, in tokens
    source: str | None = None  # only this source's training rows are counted
    kept: str | None = None  # the name of the selection whose kept rows alone are counted

    def __post_init__(self) -> None:
        if not 0 <= self.smooth < float("inf"):
            raise InputError("a count of at least 0 to add to every token", f"{self.smooth:g}", "Give a number such as 1.")


@dataclass(frozen=True, eq=False)
class Answer:
    d: Floats  # [V]
    masked_tokens: int  # of those that occur
    rewards: dict[str, Floats]  # every reward column [N] in the order of the pooled rows
    rank_correlation: float  # Spearman, of reward_chosen with the score set's own over the training rows
    kept_overlap: float  # of the highest rows by it: which share is among the score set's own highest


def answer(
    view: View, pooled: Pooled, head: Head, change: Change, kept: Collection[str] | None = None, flipped: Collection[str] = ()
) -> Answer:
    """Every row's rewards under the changed d, and how far they agree with the score set's own.

    `kept`: the ids `change.kept` stands for; of those, `flipped` are counted turned round.
    """
    table = discrepancy.read_table(view.parts[0].parent)
    sides = table["count_chosen"].to_numpy(), table["count_rejected"].to_numpy()
    if change.source is not None or kept is not None:
        sides = counted(view, turned(pooled, flipped), _concerned(view, pooled, change.source, kept), len(table))
    masked = token_masks.masked(table, change.mask)
    d = changed_d(*sides, masked, change.smooth)
    found = rewards(pooled, head, d)
    train = pooled.train()
    before, after = _own_rewards(view)[train], found["reward_chosen"][train]
    occurring = masked & (sides[0] + sides[1] > 0)
    return Answer(d, int(occurring.sum()), found, *agreement(before, after))


def changed_d(chosen: Ints, rejected: Ints, masked: Mask, smooth: float = 0.0) -> Floats:
    """d [V] from counts [V] without the masked tokens and with `smooth` more of every other token that occurs; sums to 0."""
    occurs = ~masked & (chosen + rejected > 0)
    sides = [np.where(occurs, counts + smooth, 0.0) for counts in (chosen, rejected)]
    for name, side in zip(("chosen", "rejected"), sides, strict=True):
        if not side.any():
            raise InputError(f"a token left among the {name} responses", "none", "Mask fewer tokens, or count more rows.")
    d: Floats = sides[0] / sides[0].sum() - sides[1] / sides[1].sum()
    return d


def kept_by(workspace: Workspace, dataset: str, selection: str) -> tuple[list[str], list[str]]:
    """(kept ids, those of them that are flipped) of a selection of this dataset, as name, name@2 or name@v2."""
    name, number = selections.parse(selection)
    of = selections.read(workspace, name, number).dataset
    if of != dataset:
        raise InputError(f"a selection of {dataset!r}", f"{selection!r}, one of {of!r}", "Name another; `deft selections` lists them.")
    rows = selections.kept_rows(workspace, name, number)
    return list(rows["id"]), list(rows["id"][rows["flipped"]])


# counting again


def _concerned(view: View, pooled: Pooled, source: str | None, kept: Collection[str] | None) -> Mask:
    """Which scored rows [N] are counted: training rows of that source, among `kept`. All there are have to be scored."""
    pairs = pq.read_table(view.pairs, columns=["id", "split", "source"])
    wanted = pc.equal(pairs["split"], "train")
    if source is not None:
        wanted = pc.and_(wanted, pc.fill_null(pc.equal(pairs["source"], source), False))
    if kept is not None:
        wanted = pc.and_(wanted, pc.is_in(pairs["id"], pa.array(list(kept), pa.string())))
    ids = pairs["id"].filter(wanted)
    if not len(ids):
        sources = ", ".join(sorted(str(name) for name in pc.unique(pairs["source"]).to_pylist()))
        found = "none" + (f" of the source {source!r} (there: {sources})" if source is not None else "")
        raise InputError("training rows to count tokens in", found, "Name another source or selection.")
    rows: Mask = np.asarray(pc.is_in(pooled.rows["id"], ids.combine_chunks()))
    if rows.sum() < len(ids):
        found = f"{int(rows.sum()):,} of {len(ids):,}"
        remedy = f"Score the rest with `deft score {view.dataset}`: tokens are counted as they were scored."
        raise InputError("scores of every training row that is to be counted", found, remedy)
    return rows


def counted(view: View, pooled: Pooled, rows: Mask, vocabulary: int) -> tuple[Ints, Ints]:
    """Token counts [V] of the top-ranked responses and of all others, over some of the scored rows [N]."""
    chosen, rejected = np.zeros(vocabulary, np.int64), np.zeros(vocabulary, np.int64)
    of_responses = np.repeat(rows, np.diff(pooled.starts))
    for path, part in zip(view.parts, pooled.parts, strict=True):
        begin = pooled.starts[part.first]
        here = slice(begin, begin + part.responses)
        responses = pq.read_table(path, columns=["token_ids"])["token_ids"].combine_chunks().flatten()
        lengths = pc.list_value_length(responses).to_numpy(zero_copy_only=False)
        tokens = responses.flatten().to_numpy(zero_copy_only=False)
        for counts, side in ((chosen, pooled.top[here]), (rejected, ~pooled.top[here])):
            np.add(counts, np.bincount(tokens[np.repeat(side & of_responses[here], lengths)], minlength=vocabulary), out=counts)
    return chosen, rejected


def _own_rewards(view: View) -> Floats:
    """reward_chosen [N] as it was scored, in the order of the files."""
    parts = [pq.read_table(part, columns=["reward_chosen"])["reward_chosen"].to_numpy() for part in view.parts]
    return np.concatenate(parts)


# saving


def save(view: View, pooled: Pooled, name: str, change: Change, found: Answer, *, replace: bool = False) -> Path:
    """The what-if's reward columns as a file of the score set, with what they are in its metadata."""
    checked_column(view, name, replace)
    columns = dict(zip(what_if_columns(Path(name)), (found.rewards[column] for column in REWARDS), strict=True))
    table = pa.table({"id": pooled.rows["id"]} | {column: pa.array(values, from_pandas=True) for column, values in columns.items()})
    agreement = {"rank_correlation": found.rank_correlation, "kept_overlap": found.kept_overlap}
    about = {"created": datetime.now(UTC).isoformat(), **asdict(change), **agreement}
    path = view.parts[0].parent / file_names.COLUMNS / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    described = table.replace_schema_metadata({"what_if": as_json(about)})
    replace_atomically(path, lambda beside: pq.write_table(described, beside, compression="zstd"))
    return path


def checked_column(view: View, name: str, replace: bool = False) -> None:
    """Whether a what-if may have this name; an existing one is replaced only where that is asked for."""
    if not _NAME.fullmatch(name):
        expected = "a column name of letters, digits and underscore, starting with a letter, 40 at most"
        raise InputError(expected, repr(name), "Choose such a name.")
    if name in [path.stem for path in view.what_ifs]:
        if not replace:
            found = f"{name!r}, which is a what-if already"
            raise InputError("a new name for the column", found, "Choose another name, or replace it (--replace).")
        return
    taken = {column.casefold() for column in column_names(view)} | set(_RESERVED) | set(margins.COLUMNS)
    for column in what_if_columns(Path(name)):
        if column.casefold() in taken or column.casefold().startswith("noise_"):
            raise InputError("a name whose columns are not there yet", f"{column!r}, which is", "Choose another name.")
