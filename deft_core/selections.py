"""Selections on disk: immutable versions, each with its rule, its rows and the fingerprints of what it was made from.

selections/<name>/v<k>/ holds selection.json and kept.parquet (id, flipped, by, value; sorted by id) and appears whole or not at all. A
version's number is never given to another one, not even after it was deleted or renamed: `.v<k>.deleted` stays in its place.
A version is named `name@2` or `name@v2`; the name alone is its newest version.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deft_core import discrepancy, file_names
from deft_core.errors import DeftError, InputError, NotFoundError, first_line
from deft_core.rule import Rule
from deft_core.tables import as_json
from deft_core.workspace import Workspace, read_json, write_json

__all__ = ["Comparison", "Draft", "Listed", "Saved", "compare", "compared", "delete", "fingerprints_of", "kept_rows"]
__all__ += ["listing", "parse", "read", "rename", "restore", "save", "versions"]

SCHEMA = pa.schema([("id", pa.string()), ("flipped", pa.bool_()), ("by", pa.string()), ("value", pa.float64())])
KEYS = ("dataset", "score_id", "rule", "fingerprints", "decisions", "kept", "dropped", "created", "code", "note", "fingerprint")
_FOLDER = re.compile(r"v([1-9][0-9]*)")
_DELETED = re.compile(r"\.v([1-9][0-9]*)\.deleted")


@dataclass(frozen=True)
class Draft:
    """What is to be saved."""

    dataset: str
    score_id: str | None
    rule: Rule
    rows: pd.DataFrame  # id, flipped, by ("rule" or "hand"), value (of the column the rule goes by)
    dropped: int  # training rows that are not kept
    decisions: Mapping[str, Any]  # which events were replayed, and what they came to


@dataclass(frozen=True)
class Saved:
    """A version as its selection.json describes it."""

    name: str  # the folder's: a selection can be renamed
    version: int
    dataset: str
    score_id: str | None
    rule: Rule
    fingerprints: dict[str, str | None]  # data, model, tokenizer, d; None where there were no scores
    decisions: dict[str, Any]
    kept: int
    dropped: int
    created: str  # ISO 8601
    code: str  # version of this package
    note: str
    fingerprint: str  # of rule, kept ids with their flips, data and d; without names and times
    restores: int | None = None  # the version this one brings back

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Listed:
    name: str
    version: int
    about: Saved | None
    problem: DeftError | None = None  # why it cannot be read


@dataclass(frozen=True)
class Comparison:
    """Ids of two versions, sorted."""

    both: list[str]
    only_a: list[str]
    only_b: list[str]
    flipped_otherwise: list[str]  # of both: kept in both, with answers exchanged in one of them


# reading


def parse(reference: str) -> tuple[str, int | None]:
    """Name and version of `name`, `name@2` or `name@v2`."""
    name, at, number = reference.partition("@")
    number = number.removeprefix("v")
    if at and not (number.isdecimal() and int(number) > 0):
        raise InputError("a selection as name, name@2 or name@v2", repr(reference), "Write it like that; `deft selections` lists them.")
    return name, int(number) if at else None


def versions(workspace: Workspace, name: str) -> list[int]:
    """Numbers of the versions there are, ascending."""
    return _numbers(workspace.selection(name), _FOLDER)


def _numbers(folder: Path, pattern: re.Pattern[str]) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := pattern.fullmatch(path.name)))


def _existing(workspace: Workspace, name: str) -> list[int]:
    there = versions(workspace, name)
    if not there:
        known = ", ".join(_names(workspace)) or "none yet"
        raise NotFoundError(f"a selection in {workspace.root}", f"no {name!r} (there: {known})", "Save one with `deft select`.")
    return there


def _names(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.selections.glob("[!.]*") if _numbers(path, _FOLDER))


def _folder(workspace: Workspace, name: str, version: int | None) -> Path:
    there = _existing(workspace, name)
    version = there[-1] if version is None else version
    if version not in there:
        found = f"no version {version} (there: {', '.join(map(str, there))})"
        raise NotFoundError(f"a version of the selection {name!r}", found, "Choose one of those.")
    return workspace.selection(name) / f"v{version}"


def read(workspace: Workspace, name: str, version: int | None = None) -> Saved:
    """One version, or the newest."""
    folder = _folder(workspace, name, version)
    path = folder / file_names.SELECTION
    if not path.is_file():
        raise InputError(f"a file {path}", "none", "Restore it, or delete this version.")
    about = read_json(path, KEYS)
    try:
        rule = Rule.from_dict(about["rule"])
    except (DeftError, AttributeError, TypeError) as error:
        raise InputError(f"a rule in {path}", str(error), "Restore the file, or delete this version.") from None
    values = {key: about[key] for key in KEYS} | {"rule": rule, "restores": about.get("restores")}
    return Saved(name, int(folder.name[1:]), **values)


def kept_rows(workspace: Workspace, name: str, version: int | None = None) -> pd.DataFrame:
    """The kept rows of one version, or of the newest: id, flipped, by ("rule" or "hand"), value; sorted by id."""
    path = _folder(workspace, name, version) / file_names.KEPT
    try:
        rows: pd.DataFrame = pq.read_table(path, schema=SCHEMA).to_pandas()
    except (pa.ArrowException, OSError) as error:
        found = first_line(error) if path.is_file() else "no file"
        raise InputError(f"the kept rows in {path}", found, "Restore the file, or delete this version.") from None
    return rows


def listing(workspace: Workspace, dataset: str | None = None) -> list[Listed]:
    """Every version of every selection (of one dataset), newest first; one that cannot be read is listed with its error."""
    listed = [_listed(workspace, name, version) for name in _names(workspace) for version in versions(workspace, name)]
    wanted = [one for one in listed if dataset is None or one.about is None or one.about.dataset == dataset]
    return sorted(wanted, key=lambda one: (one.about.created if one.about else "", one.version), reverse=True)


def _listed(workspace: Workspace, name: str, version: int) -> Listed:
    try:
        return Listed(name, version, read(workspace, name, version))
    except DeftError as error:
        return Listed(name, version, None, error)


def compare(workspace: Workspace, a: str, b: str) -> Comparison:
    """Which rows two versions have in common; `a` and `b` as `parse` reads them."""
    return compared(*(kept_rows(workspace, *parse(reference)).set_index("id")["flipped"] for reference in (a, b)))


def compared(first: pd.Series[bool], second: pd.Series[bool]) -> Comparison:
    """The same of two subsets given by what is flipped of them, by id."""
    both = first.index.intersection(second.index).sort_values()
    otherwise = both[first.loc[both].to_numpy() != second.loc[both].to_numpy()]
    only_a, only_b = first.index.difference(second.index), second.index.difference(first.index)
    return Comparison(list(both), list(only_a), list(only_b), list(otherwise))


# writing


def save(workspace: Workspace, name: str, draft: Draft, note: str = "") -> Saved:
    """The next version of the selection; its first where there is none."""
    workspace.selection(name)  # refuses a name that is none
    if draft.rows.empty:
        raise InputError("at least one kept row", f"none of {draft.dropped:,} training rows", "Widen the rule or its condition.")
    for number in versions(workspace, name)[-1:]:
        other = _listed(workspace, name, number).about
        if other and other.dataset != draft.dataset:
            found = f"{name!r}, a selection of {other.dataset!r}"
            raise InputError(f"a selection of {draft.dataset!r}", found, "Choose another name.")
    rows = draft.rows.sort_values("id", kind="stable").reset_index(drop=True)
    fingerprints = fingerprints_of(workspace, draft.dataset, draft.score_id)
    about: dict[str, Any] = {
        "dataset": draft.dataset,
        "score_id": draft.score_id,
        "rule": draft.rule.as_dict(),
        "fingerprints": fingerprints,
    }
    about |= {"decisions": dict(draft.decisions), "kept": len(rows), "dropped": draft.dropped}
    about["fingerprint"] = _fingerprint(draft.rule, rows, fingerprints)
    return _written(workspace, name, about, pa.Table.from_pandas(rows, SCHEMA, preserve_index=False), note)


def restore(workspace: Workspace, name: str, version: int, note: str = "") -> Saved:
    """An old version becomes the newest one: a new version with the same rule, rows and fingerprint."""
    old, rows = read(workspace, name, version), kept_rows(workspace, name, version)
    about = {key: value for key, value in asdict(old).items() if key in KEYS} | {"rule": old.rule.as_dict(), "restores": version}
    return _written(workspace, name, about, pa.Table.from_pandas(rows, SCHEMA, preserve_index=False), note)


def _written(workspace: Workspace, name: str, about: Mapping[str, Any], rows: pa.Table, note: str) -> Saved:
    """Under the first number that nobody had: whoever is second in a race for it takes the next."""
    written = {"created": datetime.now(UTC).isoformat(timespec="milliseconds"), "code": package_version("deft-studio"), "note": note}
    while True:
        number = _last(workspace, name) + 1
        folder = workspace.selection(name) / f"v{number}"
        try:
            with workspace.new_folder(folder) as scratch:
                pq.write_table(rows, scratch / file_names.KEPT)
                write_json(scratch / file_names.SELECTION, {"name": name, "version": number} | dict(about) | written)
            return read(workspace, name, number)
        except (InputError, OSError):
            if not folder.exists():
                raise


def _last(workspace: Workspace, name: str) -> int:
    folder = workspace.selection(name)
    return max([0, *_numbers(folder, _FOLDER), *_numbers(folder, _DELETED)])


def fingerprints_of(workspace: Workspace, dataset: str, score_id: str | None) -> dict[str, str | None]:
    """Of data, model, tokenizer and d; None where there are no scores."""
    found: dict[str, str | None] = {"data": workspace.dataset_info(dataset)["fingerprint"], "model": None, "tokenizer": None, "d": None}
    if score_id:
        folder = workspace.score_set(dataset, score_id)
        about = read_json(folder / file_names.SCORE)
        d = discrepancy.read_table(folder)["d"].to_numpy(np.float64)
        found |= {key: about.get(f"{key}_fingerprint") for key in ("model", "tokenizer")}
        found["d"] = blake2b(d.tobytes(), digest_size=16).hexdigest()
    return found


def _fingerprint(rule: Rule, rows: pd.DataFrame, fingerprints: Mapping[str, str | None]) -> str:
    state = blake2b(as_json([rule.as_dict(), fingerprints["data"], fingerprints["d"]]).encode(), digest_size=16)
    state.update("\n".join(f"{flipped:d} {row}" for row, flipped in zip(rows["id"], rows["flipped"], strict=True)).encode())
    return state.hexdigest()


def rename(workspace: Workspace, name: str, new: str) -> None:
    """All versions under another name. Their numbers stay taken under the old one: a new selection of that name goes on after them."""
    there = _existing(workspace, name)
    source, target = workspace.selection(name), workspace.selection(new)
    in_use = target.is_dir() and any(not _DELETED.fullmatch(path.name) for path in target.iterdir())
    if in_use or any(_taken(source, target, number) for number in there):
        what = "is taken" if in_use else "was that of another selection"
        raise InputError("a new name for the selection", f"{new!r}, which {what}", "Choose another name.")
    for number in set(_numbers(target, _DELETED)) - set(there):
        _gone(source, number).mkdir(exist_ok=True)
    left = source.with_name(f".{name}.{uuid4().hex}.tmp")
    for number in {*there, *_numbers(source, _DELETED)}:
        _gone(left, number).mkdir(parents=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(source / f"v{number}" / file_names.SELECTION, _gone(left, number) / file_names.SELECTION)
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)
    left.rename(source)


def _gone(folder: Path, number: int) -> Path:
    """What stays in a version's place; after a renaming with its selection.json, so that the name can be given back."""
    return folder / f".v{number}.deleted"


def _taken(source: Path, target: Path, number: int) -> bool:
    """Whether another version once had this number under the name wanted."""
    about = _gone(target, number) / file_names.SELECTION
    mine = source / f"v{number}" / file_names.SELECTION
    same = about.is_file() and mine.is_file() and about.read_bytes() == mine.read_bytes()
    return about.parent.is_dir() and not same


def delete(workspace: Workspace, name: str, version: int | None = None) -> list[int]:
    """One version, or all of them; the numbers that are gone."""
    gone = _existing(workspace, name) if version is None else [int(_folder(workspace, name, version).name[1:])]
    for number in gone:
        folder = workspace.selection(name) / f"v{number}"
        _gone(folder.parent, number).mkdir(exist_ok=True)
        scratch = folder.with_name(f".v{number}.{uuid4().hex}.tmp")
        folder.rename(scratch)
        shutil.rmtree(scratch)
    return gone
