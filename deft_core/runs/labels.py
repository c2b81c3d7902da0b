"""What people call a run and note of it: labels.json in its folder, replaced atomically. Nothing that the run does depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from deft_core import file_names
from deft_core.errors import InputError
from deft_core.runs.spec import Run
from deft_core.workspace import read_json, write_json

__all__ = ["Labels", "change", "read", "tags_of"]

_NAME_CHARACTERS, _TAG_CHARACTERS, _NOTE_CHARACTERS = 120, 40, 10_000


@dataclass(frozen=True)
class Labels:
    name: str = ""  # for people; empty: the one the run was made with
    tags: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        limits = [("a name", self.name, _NAME_CHARACTERS), ("a note", self.note, _NOTE_CHARACTERS)]
        for what, text, most in [*limits, *(("a tag", tag, _TAG_CHARACTERS) for tag in self.tags)]:
            if len(text) > most:
                raise InputError(f"{what} of at most {most:,} characters", f"{len(text):,}", "Shorten it.")

    def name_of(self, run: Run) -> str:
        return self.name or run.name


def read(folder: Path) -> Labels:
    """Those of a run; empty ones where nobody has given any."""
    path = folder / file_names.LABELS
    if not path.is_file():
        return Labels()
    said = read_json(path, ("name", "tags", "note"))
    if not (isinstance(said["name"], str) and isinstance(said["note"], str) and isinstance(said["tags"], list)):
        raise InputError(f"a name, a list of tags and a note in {path}", "something else", "Mend the file or remove it.")
    return Labels(said["name"], tuple(str(tag) for tag in said["tags"]), said["note"])


def change(folder: Path, *, name: str | None = None, tags: Iterable[str] | None = None, note: str | None = None) -> Labels:
    """What is given is set, the rest stays; a damaged file is replaced."""
    try:
        known = read(folder)
    except InputError:
        known = Labels()
    labels = Labels(
        known.name if name is None else name.strip(),
        known.tags if tags is None else tuple(tags),
        known.note if note is None else note.strip(),
    )
    if not (folder / file_names.RUN).is_file():  # deleted meanwhile: do not bring an empty folder back
        raise InputError(f"a run in {folder}", "none: it was deleted", "Choose another one.")
    write_json(folder / file_names.LABELS, asdict(labels))
    return labels


def tags_of(text: str) -> tuple[str, ...]:
    """Tags as people type them, separated by commas: without doubles, in their order."""
    return tuple(dict.fromkeys(tag for tag in (part.strip() for part in text.split(",")) if tag))
