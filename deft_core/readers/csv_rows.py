"""CSV as a stream of rows, every cell as text. A quote that is never closed costs its own line, not the rest of the file."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

from deft_core.preferences import RowRefused
from deft_core.readers.rows import Row

__all__ = ["csv_rows"]

ROW_CHARACTERS = 1 << 24  # a longer row is an unclosed quote

csv.field_size_limit(sys.maxsize)  # the module's own limit refuses answers past 131,072 characters


def csv_rows(open_text: Callable[[], TextIO]) -> Iterator[Row]:
    with open_text() as stream:
        lines = _Lines(stream)
        delimiter = max(",;\t", key=lines.peek().count)
        first = lines.cells(delimiter)
        header = _header(first) if isinstance(first, list) else []
        if isinstance(first, RowRefused):
            yield Row(1, None, lines.original(), first)
        while lines.peek():
            line, cells = lines.number, lines.cells(delimiter)
            if isinstance(cells, RowRefused):
                yield Row(line, None, lines.original(), cells)
            elif cells and len(cells) != len(header):
                problem = RowRefused("the row does not fit the header", f"{len(cells)} cells for {len(header)} columns")
                yield Row(line, None, lines.original(), problem)
            elif cells:
                yield Row(line, dict(zip(header, cells, strict=True)), lines.original())


def _header(cells: list[str]) -> list[str]:
    """The column names; one without a name, or named like one before it, gets its position."""
    taken = [not name or name in cells[:place] for place, name in enumerate(cells)]
    return [f"{name or 'column'} {place + 1}" if taken[place] else name for place, name in enumerate(cells)]


class _Lines:
    """The lines of the file, with those of the row at hand remembered and the ones of a broken row put back."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 1  # of the next line

    def peek(self) -> str:
        if not self.waiting:
            self.waiting.append(self.stream.readline())
        return self.waiting[0]

    def original(self) -> str:
        return "".join(self.taken).rstrip("\r\n")

    def cells(self, delimiter: str) -> list[str] | RowRefused:
        self.taken = []
        try:
            return next(csv.reader(self._row_lines(), strict=True, delimiter=delimiter), [])
        except csv.Error as error:
            self._put_back()
            return RowRefused("the row is not valid CSV", str(error))

    def _row_lines(self) -> Iterator[str]:
        characters = 0
        while characters < ROW_CHARACTERS and self.peek():
            line = self.waiting.popleft()
            self.taken.append(line)
            self.number += 1
            characters += len(line)
            yield line

    def _put_back(self) -> None:
        """All lines but the first, from which reading goes on."""
        self.waiting.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        self.taken = self.taken[:1]
