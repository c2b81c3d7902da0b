"""Writing a dataset's rows as they come: kept ones to pairs.parquet in row groups, refused ones to refused.jsonl.

Memory holds one row group and eight bytes for every row written, which is what telling duplicates apart takes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from deft_core import file_names
from deft_core.preferences import SCHEMA, Preference, RowRefused
from deft_core.readers.columns import tidy
from deft_core.readers.json_rows import ORIGINAL_CHARACTERS
from deft_core.readers.rows import Row

__all__ = ["PairWriter", "original_text", "split_of"]

GROUP_ROWS = 10_000
GROUP_CHARACTERS = 1 << 26  # rows of unusual length close a group early


def split_of(conversation: str, heldout: float, judge: float) -> str:
    """By where the conversation's hash lies in the hash space, so that the fractions are exact and no row order matters."""
    place = int(conversation, 16) / 2**64
    if place < heldout:
        return "heldout"
    return "judge" if place < heldout + judge else "train"


def original_text(row: Row) -> str:
    """What a refused row looked like, cut where it is very long."""
    text = row.original if row.original is not None else as_json(row.record)
    if len(text) > ORIGINAL_CHARACTERS:
        return tidy(text[:ORIGINAL_CHARACTERS]) + f" [cut here: the first {ORIGINAL_CHARACTERS:,} characters of the row]"
    return tidy(text)


def as_json(value: Any) -> str:
    """Any row as JSON that every reader takes: numbers that are not finite become null, bytes base64, dates text, halves of
    surrogate pairs the replacement character."""
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        text = _ENCODER.encode(_finite(value))
    except RecursionError:
        raise RowRefused("the row is nested too deeply") from None
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _plain(value: Any) -> str:
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}  # that some readers of lines break at
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


class PairWriter:
    def __init__(self, folder: Path, source: str, heldout: float, judge: float) -> None:
        self.source = source
        self.fractions = heldout, judge
        self.counts: Counter[str] = Counter()  # rows by split
        self.kept = 0
        self.refused = 0
        self.reasons: Counter[str] = Counter()
        self.kinds: dict[str, set[str]] = {}  # of the values in each extra column
        self._fingerprint = blake2b(digest_size=16)
        self._occurrences = _Occurrences()
        self._rows: list[tuple[Any, ...]] = []
        self._characters = 0
        self._pairs = pq.ParquetWriter(folder / file_names.PAIRS, SCHEMA, compression="zstd")
        self._refused_file = (folder / file_names.REFUSED).open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._pairs.close()
        self._refused_file.close()

    @property
    def fingerprint(self) -> str:
        """Over ids and splits in file order; complete once the writer is closed."""
        return self._fingerprint.hexdigest()

    def extra_columns(self) -> dict[str, str]:
        return {_SURROGATES.sub("\ufffd", column): _column_kind(kinds) for column, kinds in sorted(self.kinds.items())}

    def refuse(self, file: str, row: Row, problem: RowRefused) -> None:
        reason = tidy(problem.reason)
        self.refused += 1
        self.reasons[reason] += 1
        detail = {"detail": tidy(problem.detail)} if problem.detail else {}
        line = {"file": tidy(file), "line": row.line, "reason": reason, **detail, "original": original_text(row)}
        self._refused_file.write(_ENCODER.encode(line).translate(_LINE_ENDS) + "\n")

    def keep(self, preference: Preference, source: str | None, split: str | None) -> None:
        """Raises RowRefused, before anything is written, for a text that no file can hold."""
        row = self._row(preference, source or self.source, split)
        self._rows.append(row)
        self.kept += 1
        self.counts[row[1]] += 1
        self._note_kinds(preference.extra)
        self._characters += row[10] + sum(map(len, row[5])) + len(row[13])
        if len(self._rows) >= GROUP_ROWS or self._characters >= GROUP_CHARACTERS:
            self._flush()

    def _row(self, preference: Preference, source: str, split: str | None) -> tuple[Any, ...]:
        """The values of SCHEMA in its order, with the content hash where the id will be."""
        content, conversation = preference.content_hash(), preference.conversation()
        responses = preference.responses
        return (
            content,
            split or split_of(conversation, *self.fractions),
            tidy(preference.source or source),
            conversation,
            preference.prompt,
            [response.text for response in responses],
            [response.rank for response in responses],
            [response.score for response in responses],
            len(responses),
            sum(message.role == "user" for message in preference.prompt),
            sum(len(message.content) for message in preference.prompt),
            len(responses[0].text),
            len(responses[-1].text),
            as_json(preference.extra),
        )

    def _note_kinds(self, extra: dict[str, Any]) -> None:
        for column, value in extra.items():
            kinds = self.kinds.get(column)
            if kinds is None:
                kinds = self.kinds[column] = set()
            if value is not None:
                kinds.add(_KINDS.get(type(value), "text"))

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        occurrences = self._occurrences.number(np.array([int(content, 16) for content in columns[0]], dtype=np.uint64))
        columns[0] = [f"{content}-{occurrence}" for content, occurrence in zip(columns[0], occurrences, strict=True)]
        self._fingerprint.update("".join(f"{row} {split}\n" for row, split in zip(columns[0], columns[1], strict=True)).encode())
        arrays = [_array(field, column) for field, column in zip(SCHEMA, columns, strict=True)]
        self._pairs.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        self._rows, self._characters = [], 0


_KINDS = {bool: "boolean", int: "number", float: "number", dict: "other", list: "other"}


def _column_kind(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "text" if "text" in kinds and "other" not in kinds else "other"


def _array(field: pa.Field, column: list[Any]) -> pa.Array:
    return _prompt_array(column) if field.name == "prompt" else pa.array(column, field.type)


def _prompt_array(prompts: list[Any]) -> pa.ListArray:
    """Built from flat columns, as Arrow's own conversion wants a dict for every message."""
    kind = SCHEMA.field("prompt").type
    offsets = np.cumsum([0, *map(len, prompts)], dtype=np.int32)
    flat = [message for prompt in prompts for message in prompt]
    columns = [pa.array([message.role for message in flat], pa.string()), pa.array([message.content for message in flat], pa.string())]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(columns, fields=list(kind.value_type)), kind)


class _Occurrences:
    """How often each hash came before, in sorted arrays that double in size (a set of Python numbers takes ten times as much)."""

    def __init__(self) -> None:
        self.levels: list[npt.NDArray[np.uint64]] = []
        self.repeated: dict[int, int] = {}  # hashes that came more than once, and how often

    def number(self, hashes: npt.NDArray[np.uint64]) -> list[int]:
        """For each hash how many equal ones came before it."""
        unique, first = np.unique(hashes, return_index=True)
        seen = np.zeros(len(unique), dtype=bool)
        for level in self.levels:
            seen |= level[np.minimum(np.searchsorted(level, unique), len(level) - 1)] == unique
        numbers = np.zeros(len(hashes), dtype=np.int64)
        again = np.ones(len(hashes), dtype=bool)
        again[first[~seen]] = False
        for place in np.flatnonzero(again):
            value = int(hashes[place])
            self.repeated[value] = numbers[place] = self.repeated.get(value, 0) + 1
        self._add(unique[~seen])
        return [int(number) for number in numbers]

    def _add(self, fresh: npt.NDArray[np.uint64]) -> None:
        if not len(fresh):
            return
        while self.levels and len(self.levels[-1]) <= len(fresh):
            fresh = np.union1d(fresh, self.levels.pop())
        self.levels.append(fresh)
