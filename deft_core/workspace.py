"""Every path and every atomic write of a workspace; what files are called there is in file_names.py.

Bulk data is immutable Parquet, histories are append-only JSON lines, all other files are replaced atomically
(written beside, flushed to disk, renamed), so that a process killed at any moment leaves the old or the new file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

import psutil

from deft_core import file_names
from deft_core.errors import InputError, NotFoundError

__all__ = ["Workspace", "append_line", "checked_name", "default_root", "read_json", "read_lines", "read_lines_from"]
__all__ += ["replace_atomically", "write_json"]

DATASET_KEYS = (
    *("name", "format", "source", "created", "fingerprint", "rows_read", "rows_kept", "rows_refused"),
    *("train", "heldout", "judge", "reasons", "extra_columns"),
)
SCORE_KEYS = ("dataset_fingerprint", "created", "model", "max_length", "layout", "own_logits")

_TORN = b" <torn>"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def default_root() -> Path:
    """`DEFT_WORKSPACE`, else `data/workspace` under the current folder."""
    return Path(os.environ.get("DEFT_WORKSPACE") or Path("data") / "workspace")


def checked_name(name: str, what: str = "dataset") -> str:
    """The name itself where it is safe as a folder name."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"a {what} name of letters, digits, dot, dash and underscore, starting with a letter or digit, 80 at most",
            repr(name),
            "Choose such a name.",
        )
    return name


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """`write` fills a file beside `path`, which then takes its place on disk in one step."""
    beside = path.with_name(f".{path.name}.{_writer()}.tmp")
    try:
        write(beside)
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    replace_atomically(path, lambda beside: _write_text(beside, text))


def read_json(path: Path, keys: Collection[str] = ()) -> dict[str, Any]:
    """The object in a file, which has at least these keys."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"one JSON object in {path}", f"a damaged file ({error})", "Restore the file or remove its folder.") from None
    if not isinstance(value, dict):
        raise InputError(f"one JSON object in {path}", type(value).__name__, "Restore the file or remove its folder.")
    missing = [key for key in keys if key not in value]
    if missing:
        raise InputError(f"{', '.join(missing)} in {path}", "no such key", "Restore the file or remove its folder.")
    return value


def append_line(path: Path, value: Any, flush: bool = True) -> None:
    """One JSON value on one line, on disk before this returns (without `flush`: known to the system).

    Any number of processes may append at once. A line torn by a kill, of which nobody was told that it was saved, is closed by the next
    writer with a mark that no JSON value ends in.
    The lock goes with the process that holds it; without it, a line could land right behind one whose writer is killed in the middle.
    """
    line = json.dumps(value, ensure_ascii=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        rest = (_TORN + b"\n" + line) if _is_torn(descriptor) else line
        while rest:  # one write, but for a disk that is nearly full
            rest = rest[os.write(descriptor, rest) :]
        if flush:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def read_lines(path: Path) -> list[Any]:
    """The values of a file of JSON lines, none where it is not there; torn lines are left out, as is one still being written."""
    return read_lines_from(path, 0)[0]


def read_lines_from(path: Path, offset: int, most_bytes: int = -1) -> tuple[list[Any], int]:
    """(the values from this byte on, the byte behind them): what a reader that comes back has not seen yet; all of it, or about so much."""
    if not path.is_file():
        return [], offset
    with path.open("rb") as handle:
        handle.seek(offset)
        whole, newline, _ = handle.read(most_bytes).rpartition(b"\n")
    lines = whole.split(b"\n") if newline else []
    start = f" from byte {offset:,} on" if offset else ""
    values = [_json_line(line, f"line {number}{start} of {path}") for number, line in enumerate(lines, start=1) if not line.endswith(_TORN)]
    return values, offset + len(whole) + len(newline)


def _json_line(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        expected, found = f"a JSON value in {where}", f"a damaged line ({error})"
        raise InputError(expected, found, "Restore the file, or take out the line: what it said is lost.") from None


def _writer() -> str:
    """This process and thread: the dashboard serves every browser tab in a thread of one process."""
    return f"{os.getpid()}-{get_ident()}"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Workspace:
    root: Path

    # datasets/<name>/

    def dataset(self, name: str) -> Path:
        return self.root / "datasets" / checked_name(name)

    def existing_dataset(self, name: str) -> Path:
        """The folder of a dataset; one whose replacement was killed is put back first."""
        folder = self.dataset(name)
        if not (folder / file_names.DATASET).is_file() and name not in (there := self.dataset_names()):
            known = ", ".join(there) or "none yet"
            raise NotFoundError(f"a dataset in {self.root}", f"no {name!r} (there: {known})", "Import it with `deft import`.")
        return folder

    def dataset_names(self) -> list[str]:
        _restore(self.root / "datasets")
        return sorted(path.parent.name for path in self.root.glob("datasets/[!.]*/dataset.json"))

    def dataset_info(self, name: str) -> dict[str, Any]:
        return read_json(self.existing_dataset(name) / file_names.DATASET, DATASET_KEYS)

    def pairs(self, name: str) -> Path:
        return self.existing_dataset(name) / file_names.PAIRS

    def refused(self, name: str) -> Path:
        return self.existing_dataset(name) / file_names.REFUSED

    def noise(self, name: str) -> Path:
        return self.existing_dataset(name) / file_names.NOISE

    def noise_work(self, name: str) -> Path:
        """Where the status and the log of computing the noise columns stand."""
        return self.existing_dataset(name) / "noise"

    def overrides(self, name: str) -> Path:
        return self.existing_dataset(name) / file_names.OVERRIDES

    # scores/<name>/<score-id>/

    def scores(self, name: str) -> Path:
        return self.root / "scores" / checked_name(name)

    def score_set(self, name: str, score_id: str) -> Path:
        return self.scores(name) / checked_name(score_id, "score set")

    def score_ids(self, name: str) -> list[str]:
        """Score sets of the dataset as it is now, newest first; a set of data that was replaced since is not among them."""
        fingerprint = self.dataset_info(name)["fingerprint"]
        found = {path.parent.name: read_json(path, SCORE_KEYS) for path in self.scores(name).glob("[!.]*/score.json")}
        current = [score_id for score_id, about in found.items() if about["dataset_fingerprint"] == fingerprint]
        return sorted(current, key=lambda score_id: str(found[score_id]["created"]), reverse=True)

    # selections/<selection>/

    @property
    def selections(self) -> Path:
        return self.root / "selections"

    def selection(self, name: str) -> Path:
        return self.selections / checked_name(name, "selection")

    # runs/

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run(self, run_id: str) -> Path:
        return self.runs / checked_name(run_id, "run")

    def existing_run(self, run_id: str) -> Path:
        folder = self.run(run_id)
        if not (folder / file_names.RUN).is_file():
            known = ", ".join(self.run_ids()) or "none yet"
            raise NotFoundError(f"a run in {self.root}", f"no {run_id!r} (there: {known})", "Start one with `deft train`.")
        return folder

    def run_ids(self) -> list[str]:
        return sorted(path.parent.name for path in self.runs.glob("[!.]*/run.json"))

    # exports/

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    # writing

    @contextmanager
    def new_folder(self, folder: Path, replace: bool = False) -> Iterator[Path]:
        """A scratch folder that takes `folder`'s place when the block ends well, and is removed when it does not."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        _restore(folder.parent)
        scratch = folder.with_name(f".{folder.name}.{_writer()}.tmp")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
            _swap(scratch, folder, replace)
        except OSError as error:
            error.filename = error.filename or str(folder)  # pyarrow does not say where
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _swap(scratch: Path, folder: Path, replace: bool) -> None:
    if not replace:
        if folder.exists():
            raise InputError(f"a new name for {folder.parent.name}", f"{folder.name!r} is taken", "Choose another name, or replace it.")
        scratch.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    scratch.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _restore(parent: Path) -> None:
    """Puts back a folder whose replacement was killed between its two renames."""
    for old in parent.glob(".*.*.old"):
        name, pid, _ = old.name[1:].rsplit(".", 2)
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and not (parent / name).exists():
            with suppress(FileNotFoundError):  # another process was quicker
                old.rename(parent / name)
