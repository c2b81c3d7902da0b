"""Pooled hidden states of a score set, and the rewards of every row under any d from them alone: no model, no torch.

The scorer leaves the mean hidden state of every response. A reward column is a weighted sum over a row's responses (chosen: the first
best; rejected: the mean over all that are not top; margin: their difference; mean: over all), so every row has one vector P with

    R = scale * (P . u + weight * b . d),    u = W^T d,    weight = 0 for the margin, 1 for the others

The files are memory-mapped one part at a time and read in chunks: a million rows (4.6 GB) are never in memory at once, nor as many
files open as there are parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deft_core import file_names
from deft_core.discrepancy import head_vector, rescore
from deft_core.errors import InputError, NotFoundError, first_line
from deft_core.queries import View
from deft_core.workspace import read_json

__all__ = ["REWARDS", "Head", "Part", "Pooled", "direction", "directions", "open_head", "open_pooled", "rewards", "rewards_under"]
__all__ += ["places", "row_vectors", "turned", "vectors_of"]

REWARDS = ("reward_chosen", "reward_rejected", "reward_margin", "reward_mean")

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_CHUNK = 8_192  # responses: 19 MB at a width of 576
_HEAD_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class Head:
    weight: Floats32  # W [V, H], memory-mapped
    bias: Floats32 | None  # b [V]
    scale: float


@dataclass(frozen=True)
class Part:
    first: int  # its first row
    responses: int
    path: Path  # of its vectors

    def vectors(self) -> Floats32:
        """[responses, H], mapped until they are let go."""
        return _array(self.path)[: self.responses]


@dataclass(frozen=True, eq=False)
class Pooled:
    """All scored rows in the order of the files: by part, within a part by row, within a row by response."""

    rows: pa.Table  # [N]: id, split, source, conversation
    starts: Ints  # [N + 1]: where each row's responses begin
    chosen: Ints  # [N]: each row's first best response
    top: Mask  # [responses]: those at rank 1
    empty: Mask  # [responses]: those without a token, which have no reward
    parts: tuple[Part, ...]

    def train(self) -> Mask:
        """Which rows are in the training split [N]."""
        return np.asarray(pc.equal(self.rows["split"], "train"))

    def row_of(self, row_id: str) -> int | None:
        place = int(pc.index(self.rows["id"], row_id).as_py())
        return place if place >= 0 else None


# the files


def open_head(view: View) -> Head:
    """W, b and the scale of a score set whose rewards are linear in d."""
    folder = _folder(view)
    about = read_json(folder / file_names.SCORE, ("linear", "logit_scale", "head_bias"))
    if not about["linear"]:
        remedy = "Rewards under another d need a linear head: score the dataset with another model."
        raise InputError("a score set whose logits are linear in the hidden states", "a model that caps its logits", remedy)
    return Head(
        _array(folder / file_names.HEAD), _array(folder / file_names.HEAD_BIAS) if about["head_bias"] else None, float(about["logit_scale"])
    )


def open_pooled(view: View) -> Pooled:
    """The pooled vectors of the rows scored so far; some 100 bytes a row are read, the vectors themselves stay on disk."""
    folder = _folder(view)
    tables = [_read(part, ["id", "tokens"]) for part in view.parts]
    scored = pa.concat_tables(tables)
    tokens = scored["tokens"].combine_chunks()
    pairs = _read(view.pairs, ["id", "split", "source", "conversation", "ranks"])
    places = pc.index_in(scored["id"], pairs["id"].combine_chunks())
    if places.null_count:
        raise InputError(f"scores of the rows of {view.pairs}", f"{places.null_count:,} rows of others", "Score the dataset again.")
    rows = pairs.take(places)
    counts = pc.list_value_length(tokens).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    top = np.asarray(rows["ranks"].combine_chunks().flatten()) == 1
    if len(top) != starts[-1]:
        raise InputError(f"{len(top):,} scored responses in {folder}", f"{starts[-1]:,}", "Score the dataset again.")
    firsts = np.concatenate([[0], np.cumsum([len(table) for table in tables])])
    bounds = zip(view.parts, firsts[:-1], firsts[1:], strict=True)
    parts = tuple(_part(path, int(first), int(starts[end] - starts[first])) for path, first, end in bounds)
    return Pooled(rows.drop_columns(["ranks"]), starts, starts[:-1], top, np.asarray(tokens.flatten()) == 0, parts)


def _folder(view: View) -> Path:
    if not view.parts:
        raise NotFoundError(f"scores of {view.dataset!r}", "none yet", f"Score it with `deft score {view.dataset}`.")
    return view.parts[0].parent


def _part(scored: Path, first: int, responses: int) -> Part:
    """One about to be scored again for more rows has its longer file of vectors already, with the same rows first."""
    path = scored.with_name(scored.name.replace("part-", "pooled-")).with_suffix(".npy")
    if len(_array(path)) < responses:
        raise InputError(f"{responses:,} pooled vectors in {path}", f"{len(_array(path)):,}", "Remove that part and score again.")
    return Part(first, responses, path)


def _array(path: Path) -> Floats32:
    try:
        array: Floats32 = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        remedy = "Remove the score set's folder and score the dataset again."
        raise InputError(f"an array of numbers in {path}", f"a missing or damaged file ({error})", remedy) from None
    return array


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        found = first_line(error)
        raise InputError(f"readable columns {', '.join(columns)} in {path}", found, "Import or score the dataset again.") from None


def turned(pooled: Pooled, flipped: Collection[str]) -> Pooled:
    """With the first and the last response of some rows in each other's place, as flips.py has them."""
    rows = np.asarray(pc.is_in(pooled.rows["id"], pa.array(list(flipped), pa.string())))
    first, last = pooled.starts[:-1], pooled.starts[1:] - 1
    top = pooled.top.copy()
    top[first[rows]], top[last[rows]] = pooled.top[last[rows]], pooled.top[first[rows]]
    return replace(pooled, chosen=np.where(rows, last, first), top=top)


def places(pooled: Pooled, ids: Sequence[str] | pa.Array) -> Ints:
    """Where rows stand among the pooled ones, by id; -1 for one that is not scored."""
    found = pc.index_in(pa.array(ids, pa.string()), pooled.rows["id"].combine_chunks())
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


# directions


def direction(head: Head, d: Floats) -> tuple[Floats, float]:
    """(u = W^T d [H], offset = b . d) for one d [V]."""
    return head_vector(head.weight, d), 0.0 if head.bias is None else float(head.bias.astype(np.float64) @ d)


def directions(head: Head, token_ids: NDArray[np.integer], ds: Floats) -> tuple[Floats, Floats]:
    """(U [B, H], offsets [B]) for many d given over some tokens alone: ds [B, K] over token_ids [K], zero elsewhere."""
    us, offsets = np.zeros((len(ds), head.weight.shape[1])), np.zeros(len(ds))
    for start in range(0, len(token_ids), _HEAD_ROWS):
        here = slice(start, start + _HEAD_ROWS)
        us += ds[:, here] @ head.weight[token_ids[here]].astype(np.float64)
        if head.bias is not None:
            offsets += ds[:, here] @ head.bias[token_ids[here]].astype(np.float64)
    return us, offsets


# rewards


def rewards(pooled: Pooled, head: Head, d: Floats) -> dict[str, Floats]:
    """Every reward column [N] of every row under d [V]; NaN where a response that counts has no token."""
    u, offset = direction(head, d)
    of_responses = np.empty(len(pooled.top))
    for part in pooled.parts:
        begin, vectors = pooled.starts[part.first], part.vectors()
        for start in range(0, len(vectors), _CHUNK):
            scores = rescore(vectors[start : start + _CHUNK], u, offset, head.scale)  # [chunk]
            of_responses[begin + start : begin + start + len(scores)] = scores
    of_responses[pooled.empty] = np.nan
    chosen = of_responses[pooled.chosen]
    others = np.add.reduceat(np.where(pooled.top, 0.0, of_responses), pooled.starts[:-1]) / _per_row(pooled, ~pooled.top)
    mean = np.add.reduceat(of_responses, pooled.starts[:-1]) / np.diff(pooled.starts)
    return dict(zip(REWARDS, (chosen, others, chosen - others, mean), strict=True))


def vectors_of(pooled: Pooled, row: int) -> Floats32:
    """The vectors [responses, H] of one row's responses; NaN where one has no token."""
    part = next(part for part in reversed(pooled.parts) if part.first <= row)
    low, high = pooled.starts[row : row + 2]
    begin = pooled.starts[part.first]
    found: Floats32 = np.where(pooled.empty[low:high, None], np.float32(np.nan), part.vectors()[low - begin : high - begin])
    return found


def row_vectors(pooled: Pooled, column: str) -> Iterator[tuple[slice, Floats32]]:
    """(rows, their P [rows, H]) for one reward column, chunk by chunk in the order of the files; NaN where a row has no reward."""
    weights = _weights(pooled, column)
    for part in pooled.parts:
        begin, vectors = pooled.starts[part.first], part.vectors()
        last = int(np.searchsorted(pooled.starts, begin + len(vectors)))
        start = part.first
        while start < last:
            end = min(last, max(start + 1, int(np.searchsorted(pooled.starts, pooled.starts[start] + _CHUNK, side="right")) - 1))
            low, high = pooled.starts[start], pooled.starts[end]
            used = np.flatnonzero(weights[low:high])
            weighted = vectors[low - begin : high - begin][used] * weights[low:high][used, None]
            yield slice(start, end), np.add.reduceat(weighted, np.searchsorted(used, pooled.starts[start:end] - low), axis=0)
            start = end


def rewards_under(pooled: Pooled, column: str, us: Floats, offsets: Floats, scale: float = 1.0) -> Iterator[tuple[slice, Floats32]]:
    """(rows, one reward column of theirs under each of B directions [rows, B]), chunk by chunk."""
    turned = np.ascontiguousarray((scale * us).T, dtype=np.float32)  # [H, B]
    constants = (0.0 if column == "reward_margin" else scale) * offsets.astype(np.float32)
    for rows, vectors in row_vectors(pooled, column):
        yield rows, vectors @ turned + constants


def _weights(pooled: Pooled, column: str) -> Floats32:
    """What each response [responses] adds to its row's vector; NaN for one that counts and has no token."""
    counts = np.diff(pooled.starts)
    chosen = np.zeros(len(pooled.top), np.float32)
    chosen[pooled.chosen] = 1
    rejected = np.where(pooled.top, 0, 1 / np.repeat(_per_row(pooled, ~pooled.top), counts))
    known = {"reward_chosen": chosen, "reward_rejected": rejected, "reward_margin": chosen - rejected}
    weights = known[column] if column in known else 1 / np.repeat(counts, counts)
    return np.where(pooled.empty & (weights != 0), np.nan, weights).astype(np.float32)


def _per_row(pooled: Pooled, of_responses: Mask) -> Ints:
    """How many of a row's responses are so [N]."""
    return np.add.reduceat(of_responses.astype(np.int64), pooled.starts[:-1])
