"""JSON of any layout as a stream of rows: one object a line, an array, or objects one after the other.

Knows nothing of formats. A row that is no JSON object is yielded with the reason, and reading goes on at the next row;
memory holds one row and a chunk of text, whatever the size of the file. docs/decisions/0002-reading-json.md says why this
is not a library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from deft_core.preferences import RowRefused
from deft_core.readers.columns import kind_of
from deft_core.readers.rows import Row

__all__ = ["ORIGINAL_CHARACTERS", "json_rows"]

ORIGINAL_CHARACTERS = 100_000  # of a row's text that are kept when it is refused

_HEAD_CHARACTERS = 1 << 20
_OVERLAP = 1_000  # longer than the start of any row we look for
_BLANK = re.compile(r"[\s,]*")
_FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,200}")\s*:')
_DECODER = json.JSONDecoder()


def json_rows(open_text: Callable[[], TextIO]) -> Iterator[Row]:
    with open_text() as stream:
        head = stream.read(_HEAD_CHARACTERS)
    layout = _layout(head)
    with open_text() as stream:
        yield from _line_rows(stream) if layout == "lines" else _Window(stream).rows(array=layout == "array")


def _layout(head: str) -> str:
    """lines, array or values, from the beginning of the text."""
    start = head.lstrip()
    first, _, rest = start.partition("\n")
    if _parses(first):
        return "array" if first.startswith("[") and not rest.strip() else "lines"
    if start.startswith("["):
        return "array"
    if any(line.startswith("{") and _parses(line) for line in rest.split("\n", 100)[:100]):
        return "lines"
    return "values" if start.startswith("{") else "lines"


def _parses(line: str) -> bool:
    try:
        _DECODER.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _line_rows(stream: TextIO) -> Iterator[Row]:
    decode = _DECODER.decode
    for number, line in enumerate(stream, start=1):
        if line.isspace():
            continue
        try:
            value = decode(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, None, line.rstrip("\n"), _not_json(error))
        else:
            yield _row(number, value, line.rstrip("\n"))


def _row(line: int, value: Any, original: str) -> Row:
    if isinstance(value, dict):
        return Row(line, value, original)
    return Row(line, None, original, RowRefused("the row is not an object", kind_of(value)))


def _not_json(error: Exception) -> RowRefused:
    if isinstance(error, RecursionError):
        return RowRefused("the row is nested too deeply")
    if isinstance(error, json.JSONDecodeError):
        return RowRefused("the row is not valid JSON", f"{error.msg} at column {error.colno}")
    return RowRefused("the row is not valid JSON", str(error)[:200])


class _Window:
    """The text that is read but not consumed; `at` is where the next row begins, on line `line`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.text = ""
        self.at = 0
        self.line = 1

    def rows(self, array: bool) -> Iterator[Row]:
        is_open = array and self._skip_blank()
        self.at += is_open
        row = None
        while self._skip_blank():
            if is_open and self.text[self.at] == "]":
                self.at += 1
                is_open = False
            else:
                yield (row := self._next())
        if is_open and (row is None or row.problem is None):
            yield Row(self.line, None, "", RowRefused("the file ends before its array is closed"))

    def _more(self) -> bool:
        """Drops what is consumed and reads on, twice as much as is waiting: reparsing a long row stays linear."""
        self.text = self.text[self.at :]
        self.at = 0
        chunk = self.stream.read(max(_HEAD_CHARACTERS, 2 * len(self.text)))
        self.text += chunk
        return bool(chunk)

    def _skip_blank(self) -> bool:
        """Moves to the next row's first character; False at the end of the text."""
        while True:
            found = _BLANK.match(self.text, self.at)
            assert found
            self._take(found.end())
            if self.at < len(self.text):
                return True
            if not self._more():
                return False

    def _take(self, end: int) -> str:
        taken = self.text[self.at : end]
        self.line += taken.count("\n")
        self.at = end
        return taken

    def _next(self) -> Row:
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                if self._is_cut_off(error) and self._more():
                    continue
                return self._broken(error)
            if end == len(self.text) and not isinstance(value, dict) and self._more():
                continue  # 12 may become 123
            line = self.line
            return _row(line, value, self._take(end))

    def _is_cut_off(self, error: Exception) -> bool:
        """Whether more text could mend it. A string cannot run past a line break, so an unterminated one ends at the window."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated string") or error.pos >= len(self.text) - 16

    def _broken(self, error: Exception) -> Row:
        """Refuses everything up to where the next row begins: with the same first key as this one, else after a comma or line."""
        line = self.line
        if isinstance(error, json.JSONDecodeError):
            error = json.JSONDecodeError(error.msg, self.text[self.at :], error.pos - self.at)
        key = _FIRST_KEY.match(self.text, self.at)
        following = re.compile(r"\{\s*" + re.escape(key[1]) + r"\s*:") if key else re.compile(r"[,\]\n]")
        original = self._take(self.at + 1)
        while (found := following.search(self.text, self.at)) is None:
            original = (original + self._take(max(self.at, len(self.text) - _OVERLAP)))[: ORIGINAL_CHARACTERS + 1]
            if not self._more():
                return Row(line, None, original + self._take(len(self.text)), _not_json(error))
        return Row(line, None, (original + self._take(found.start())).rstrip(" \t\r\n,"), _not_json(error))
