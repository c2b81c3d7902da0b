"""The part files of a score set: which rows a part holds, its columns, and its atomic writing.

Rows are taken in the order of their ids, which are content hashes, so every part is a random sample and early histograms
are representative; while a set is scored they lie in that order in a file of its own, so that a part is one stretch of it.
Parts start small and double; their bounds depend on the number of rows alone. A part counts when
its Parquet file is there; its pooled vectors are written before it. Whoever works on a part holds its lock, so any number of
processes may work on one set; a process that is killed lets go of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.lm.scoring import ResponseScore
from deft_core.lm.tokens import TokenRow
from deft_core.queries.in_order import write_in_order
from deft_core.workspace import read_json, replace_atomically

__all__ = ["Part", "check_unchanged", "missing_parts", "part_bounds", "put_in_order", "rows_done", "rows_in_order", "rows_of"]
__all__ += ["save_array", "score_columns", "taken", "tidy", "truncated_rows", "write_part"]

Part = tuple[int, int, int]  # its number, and its rows in the order of ids: from, to (not included)
_FIRST, _LARGE, _LARGEST = 16, 256, 8192
_LOCK, _LOCKS = ".part-{:05d}.lock", ".part-*.lock"

_LIGHT = [(name, pa.float64()) for name in ("reward_chosen", "reward_rejected", "reward_margin", "reward_mean")]
_LIGHT += [(f"{prefix}logp_{side}", pa.float64()) for prefix in ("", "mean_") for side in ("chosen", "rejected", "margin")]
_LIGHT += [("perplexity_chosen", pa.float64()), ("perplexity_rejected", pa.float64())]
_LIGHT += [("tokens_prompt", pa.int32()), ("tokens_chosen", pa.int32()), ("tokens_rejected", pa.float64())]
_LIGHT += [("truncated_tokens", pa.int32())]
_LISTS = [("rewards", pa.list_(pa.float64())), ("logps", pa.list_(pa.float64())), ("tokens", pa.list_(pa.int32()))]
_LISTS += [("token_ids", pa.list_(pa.list_(pa.int32())))]
_LISTS += [("token_rewards", pa.list_(pa.list_(pa.float32()))), ("token_logps", pa.list_(pa.list_(pa.float32())))]
_SCHEMA = pa.schema([("id", pa.string()), *_LIGHT, *_LISTS])


def part_bounds(rows: int) -> list[tuple[int, int]]:
    """[start, end) of each part over the rows in id order: 16, 32, 64, ... up to 256 rows, or 1/256 of a large set, 8,192 at most."""
    largest = min(_LARGEST, max(_LARGE, rows // 256))
    bounds, start, size = [], 0, _FIRST
    while start < rows:
        end = min(start + size, rows)
        bounds.append((start, end))
        start, size = end, min(size * 2, largest)
    return bounds


def check_unchanged(pairs: Path, fingerprint: str) -> None:
    """Refuses a dataset that another import has taken the place of."""
    if read_json(pairs.with_name(file_names.DATASET))["fingerprint"] != fingerprint:
        raise InputError("the dataset as it was when scoring began", "another import in its place", "Start scoring again.")


def put_in_order(folder: Path, pairs: Path, wanted: int) -> None:
    """Lays the first `wanted` rows by id ready for scoring; what a killed process left of that goes."""
    if rows_in_order(folder) < wanted:
        for path in folder.glob(f".{file_names.IN_ORDER}.*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        replace_atomically(folder / file_names.IN_ORDER, lambda path: write_in_order(pairs, path, wanted))


def rows_in_order(folder: Path) -> int:
    """How many rows lie ready."""
    return _rows_in(folder / file_names.IN_ORDER)


def _part(folder: Path, k: int) -> Path:
    return folder / file_names.PART.format(k)


def _rows_in(part: Path) -> int:
    try:
        return int(pq.read_metadata(part).num_rows)
    except FileNotFoundError:
        return 0


def rows_done(folder: Path) -> int:
    return sum(_rows_in(part) for part in folder.glob(file_names.PARTS))


def truncated_rows(folder: Path, without: Collection[int] = ()) -> int:
    """How many rows lost tokens to the length limit, over the parts there are but for those about to be scored again."""
    again = {_part(folder, k) for k in without}
    parts = [part for part in folder.glob(file_names.PARTS) if part not in again]
    columns = (pq.read_table(part, columns=["truncated_tokens"])["truncated_tokens"] for part in parts)
    return sum(int(pc.sum(pc.greater(column, 0)).as_py() or 0) for column in columns)


def missing_parts(folder: Path, all_rows: int, wanted: int) -> list[Part]:
    """(part, start, end) still to be scored for the first `wanted` rows; one that a limit cut short is scored again whole."""
    bounds = [(k, start, min(end, wanted)) for k, (start, end) in enumerate(part_bounds(all_rows)) if start < wanted]
    return [(k, start, end) for k, start, end in bounds if _rows_in(_part(folder, k)) < end - start]


def taken(folder: Path, all_rows: int, wanted: int) -> Iterator[Part]:
    """The missing parts that nobody works on, each held while the caller does; those of others are passed over."""
    for k, start, end in missing_parts(folder, all_rows, wanted):
        lock = FileLock(folder / _LOCK.format(k))
        try:
            held = lock.acquire(blocking=False)
        except Timeout:
            continue
        with held:
            if _rows_in(_part(folder, k)) < end - start:  # nobody was quicker
                yield k, start, end


def tidy(folder: Path, all_rows: int) -> None:
    """What only scoring needs goes, once nothing that lies ready is missing."""
    if missing_parts(folder, all_rows, rows_in_order(folder)):
        return
    for path in (*folder.glob(_LOCKS), folder / file_names.IN_ORDER):
        path.unlink(missing_ok=True)


def rows_of(folder: Path, start: int, end: int) -> dict[str, list[Any]]:
    """The rows from `start` to before `end` in the order of ids, as columns; nothing else is read but the ends of their row groups."""
    with pq.ParquetFile(folder / file_names.IN_ORDER) as file:
        ends = np.cumsum([file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)])
        first, last = np.searchsorted(ends, [start, end - 1], side="right")
        before = int(ends[first - 1]) if first else 0
        rows: dict[str, list[Any]] = file.read_row_groups(range(first, last + 1)).slice(start - before, end - start).to_pydict()
        return rows


def score_columns(ranks: list[int], row: TokenRow, scores: list[ResponseScore]) -> dict[str, Any]:
    """One row's light columns. Chosen is the first best response, *_rejected the mean over all that are not top."""
    others = [k for k, rank in enumerate(ranks) if rank > 1]
    tokens = [float(len(response)) for response in row.responses]
    columns: dict[str, float | None] = {}
    for name, values in (
        ("reward", [s.reward for s in scores]),
        ("logp", [s.logp for s in scores]),
        ("mean_logp", [s.logp / max(1, len(s.token_logps)) for s in scores]),
    ):
        chosen, rejected = values[0], float(np.mean([values[k] for k in others]))
        columns |= {f"{name}_chosen": chosen, f"{name}_rejected": rejected, f"{name}_margin": chosen - rejected}
    columns["reward_mean"] = float(np.mean([s.reward for s in scores]))
    columns |= {f"perplexity_{side}": float(np.exp(-np.float64(columns[f"mean_logp_{side}"]))) for side in ("chosen", "rejected")}
    known = {name: None if value != value else value for name, value in columns.items()}  # noqa: PLR0124  a response without tokens has no reward
    counts = {"tokens_prompt": len(row.prompt), "tokens_chosen": int(tokens[0]), "truncated_tokens": row.removed}
    return known | counts | {"tokens_rejected": float(np.mean([tokens[k] for k in others]))}


def write_part(folder: Path, k: int, rows: dict[str, list[Any]], row_tokens: list[TokenRow], scores: list[list[ResponseScore]]) -> None:
    records = [
        {
            "id": row_id,
            **score_columns(ranks, row, found),
            "rewards": [s.reward for s in found],
            "logps": [s.logp for s in found],
            "tokens": [len(ids) for ids in row.responses],
            "token_ids": row.responses,
            "token_rewards": [s.token_rewards for s in found],
            "token_logps": [s.token_logps for s in found],
        }
        for row_id, ranks, row, found in zip(rows["id"], rows["ranks"], row_tokens, scores, strict=True)
    ]
    table = pa.Table.from_pylist(records, schema=_SCHEMA)
    save_array(folder / file_names.POOLED.format(k), np.stack([s.pooled for found in scores for s in found]))  # [responses, H]
    replace_atomically(_part(folder, k), lambda path: pq.write_table(table, path, compression="zstd"))


def save_array(path: Path, values: NDArray[np.float32]) -> None:
    def write(beside: Path) -> None:
        with beside.open("wb") as handle:  # a handle: np.save would add its own suffix to a path
            np.save(handle, values)

    replace_atomically(path, write)
