"""From what the user names (a file, folder, glob, saved dataset or Hub id) to parts that yield rows. Knows nothing of formats.

Files are told apart by what is in them, not by their names: compression, Parquet and UTF-16 have their marks, CSV goes by its ending.
"""

from __future__ import annotations

import codecs
import dataclasses
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa

from deft_core.errors import InputError, first_line
from deft_core.preferences import RowRefused
from deft_core.readers.columns import own_split
from deft_core.readers.csv_rows import csv_rows
from deft_core.readers.json_rows import json_rows
from deft_core.readers.rows import Part, Row
from deft_core.readers.table_rows import arrow_rows, numbered, parquet_rows

__all__ = ["ENDINGS", "hub_parts", "parts"]

Rows = Callable[[], Iterator[Row]]

ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_COMPRESSED = (".gz", ".zst", ".zstd")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_HUB_SECONDS = 20.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def parts(source: str, split: str | None = None) -> list[Part]:
    """The parts of a source, in a fixed order; with `split` only that one where the source is divided into splits."""
    if not source.strip():
        raise InputError("a file, a folder, a glob or a Hub id", "nothing", "Name a source; the current folder is `.`.")
    path = _expanded(source)
    if path.is_file():
        return [_file_part(path, path.parent)]
    if path.is_dir():
        return _folder_parts(path, split)
    if found := _matching(path):
        return _several(found, _fixed_start(path), source)
    if _is_local_name(source):
        raise InputError("a file, a folder, a glob or a Hub id", f"nothing at {source!r}", "Check the path.")
    _check_hub(source)
    return hub_parts(source, split)


def _check_hub(source: str) -> None:
    """One request that fails at once: `datasets` asks six times, half a minute long, and huggingface_hub has no setting for that."""
    import huggingface_hub

    try:
        huggingface_hub.HfApi().dataset_info(source, timeout=_HUB_SECONDS)
    except Exception as error:  # whatever network, authorisation or the name have to say
        tried = f"no file or folder of that name, and the Hub says {type(error).__name__}: {first_line(error)[:300]}"
        raise InputError(f"a dataset {source!r}", tried, "Check the name and the network, or download the files.") from error


def hub_parts(source: str, split: str | None) -> list[Part]:
    """The splits of a dataset on the Hub, streamed. Only data files are read: this library runs no code from a repository."""
    import datasets
    import huggingface_hub

    datasets.logging.set_verbosity_error()  # what it retries is for its developers; what it gives up on comes as an error
    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    datasets.config.STREAMING_OPEN_MAX_RETRIES = 3
    try:
        found = datasets.load_dataset(source, streaming=True)
    except Exception as error:  # whatever network, authorisation or the repository's files have to say
        tried = f"no file or folder of that name, and datasets.load_dataset said {type(error).__name__}: {str(error)[:300]}"
        raise InputError(f"a dataset {source!r}", tried, "Check the name and the network, or download the files.") from error
    streams = cast(dict[str, Any], found)
    return _split_parts({name: partial(_streamed, rows, source) for name, rows in streams.items()}, split, source)


def _streamed(records: Any, source: str) -> Iterator[Row]:
    try:
        yield from numbered(records)
    except Exception as error:  # as above, half way through
        raise InputError(f"all rows of {source}", f"{type(error).__name__}: {str(error)[:300]}", "Try again, or download it.") from error


def _expanded(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError:
        raise InputError("a file, a folder, a glob or a Hub id", f"no home folder for {source!r}", "Write the path in full.") from None


def _matching(pattern: Path) -> list[Path]:
    try:
        return sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))
    except ValueError:  # the only one that pathlib has for a pattern
        raise InputError("a glob whose ** stands alone between slashes", str(pattern), "Write for example data/**/*.jsonl.") from None


def _fixed_start(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    fixed = list(takewhile(lambda name: not set(name) & set("*?["), pattern.parts))
    return Path(*fixed)


def _is_local_name(source: str) -> bool:
    ends = Path(source).suffix.lower() in (*ENDINGS, *_COMPRESSED)
    return ends or not _HUB_ID.fullmatch(source)


def _folder_parts(folder: Path, split: str | None) -> list[Part]:
    if (folder / "dataset_dict.json").is_file():
        names = _saved_info(folder / "dataset_dict.json", "splits")
        return _split_parts({name: _saved(folder / Path(name).name) for name in names}, split, str(folder))
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return [Part(folder.name, _saved(folder))]
    return _several(sorted(folder.rglob("*")), folder, str(folder))


def _several(paths: list[Path], root: Path, source: str) -> list[Part]:
    files = [path for path in paths if path.is_file() and _is_data(path) and not _is_hidden(path, root)]
    if not files:
        raise InputError(f"data files ({', '.join(ENDINGS)}, plain or compressed) in {source}", "none", "Name the file itself.")
    named = [_file_part(path, root) for path in files]
    return named if len(named) == 1 else [_with_source(part, _stem(path)) for part, path in zip(named, files, strict=True)]


def _split_parts(splits: dict[str, Rows], split: str | None, source: str) -> list[Part]:
    """One part a split. A split chosen alone, or the only one there is, divides nothing: its rows are split by our own rule."""
    if not splits or (split is not None and split not in splits):
        raise InputError(f"a split {split or ''!r} in {source}", f"the splits {', '.join(splits) or 'none'}", "Choose one of these.")
    if split is not None or len(splits) == 1:
        return [Part(name, rows, is_split=True) for name, rows in splits.items() if split in (None, name)]
    return [Part(name, rows, None if own_split(name) else name, own_split(name), is_split=True) for name, rows in splits.items()]


def _saved(folder: Path) -> Rows:
    names = [entry["filename"] for entry in _saved_info(folder / "state.json", "_data_files")]
    return lambda: _until_broken(arrow_rows([folder / Path(name).name for name in names]))


def _saved_info(file: Path, key: str) -> list[Any]:
    """One entry of what `datasets` notes beside the data. Names in it are only used as names, never as paths."""
    try:
        return list(json.loads(file.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{key!r} in {file}", f"{type(error).__name__}: {error}", "Save the dataset again.") from error


def _with_source(part: Part, source: str) -> Part:
    return dataclasses.replace(part, source=source)


def _file_part(path: Path, root: Path) -> Part:
    name = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    return Part(name, lambda: _until_broken(_content_rows(path)))


def _is_data(path: Path) -> bool:
    return any(path.name.lower().endswith(ending + packed) for ending in ENDINGS for packed in ("", *_COMPRESSED))


def _is_hidden(path: Path, root: Path) -> bool:
    inside = path.relative_to(root).parts if path.is_relative_to(root) else path.parts[-1:]
    return any(name.startswith(".") for name in inside)


def _stem(path: Path) -> str:
    return re.sub(r"(\.(jsonl?|ndjson|csv|tsv|parquet|gz|zstd?))+$", "", path.name, flags=re.IGNORECASE)


def _until_broken(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows of one file; where the file itself breaks off, one last row that says so."""
    line = 1
    try:
        for row in rows:
            yield row
            line = row.line + 1
    except (OSError, EOFError, pa.ArrowException) as error:
        yield Row(line, None, "", RowRefused("the file cannot be read on", str(error)[:200]))


def _content_rows(path: Path) -> Iterator[Row]:
    with _open_bytes(path) as stream:
        start = stream.read(4)
    if start == b"PAR1":
        yield from _parquet(path)
    elif re.search(r"\.[ct]sv(\.|$)", path.name.lower()):
        yield from csv_rows(lambda: _open_text(path, start))
    else:
        yield from json_rows(lambda: _open_text(path, start))


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    """As Python's own "surrogateescape", which cannot hold the bytes below 128 that UTF-16 is full of."""
    assert isinstance(error, UnicodeDecodeError)
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


_DAMAGED = "deft_core.damaged"
codecs.register_error(_DAMAGED, _as_surrogates)


def _open_text(path: Path, start: bytes) -> TextIO:
    """Text whose damaged bytes become lone surrogates, which no row is kept with."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return io.TextIOWrapper(_open_bytes(path), encoding="utf-16", errors=_DAMAGED, newline="\n")
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _open_bytes(path: Path) -> BinaryIO:
    packing = _packing(path)
    if packing is None:
        return path.open("rb")
    return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), packing), 1 << 20))


def _packing(path: Path) -> str | None:
    with path.open("rb") as stream:
        start = stream.read(4)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def _parquet(path: Path) -> Iterator[Row]:
    if _packing(path) is None:
        yield from parquet_rows(path)
        return
    with tempfile.TemporaryFile() as unpacked, _open_bytes(path) as stream:  # Parquet is read from its end
        shutil.copyfileobj(stream, unpacked, 1 << 20)
        yield from parquet_rows(cast(BinaryIO, unpacked))
