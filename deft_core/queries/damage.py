"""Which file of a view is damaged, and how to have it again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deft_core.queries.view import View

__all__ = ["damaged_file", "files", "remedy"]


def damaged_file(view: View) -> Path | None:
    """The first file that is gone or does not open; what is broken further inside shows only when it is read."""
    return next((path for path in files(view) if not _opens(path)), None)


def files(view: View) -> list[Path]:
    more = [path for path in (view.discrepancy, view.noise, view.margins) if path]
    return [view.pairs, *view.parts, *view.what_ifs, *more]


def remedy(view: View, path: Path | None) -> str:
    """For the file that is damaged; None where it is not known which."""
    again = f"`deft import SOURCE --name {view.dataset} --replace`"
    if path == view.pairs:
        return f"Import {view.dataset!r} again: {again}."
    if path is not None and path == view.noise:
        return f"Remove {path} and run `deft noise {view.dataset}`."
    if path is not None and path == view.margins:
        return f"Run `deft evaluate {path.parent.name} --rows`."
    if path in view.what_ifs:
        return f"Remove {path} and save that what-if again."
    if path is not None:
        return f"Remove the folder {path.parent} and run `deft score {view.dataset}`; what-ifs saved in it go with it."
    folder = f", or remove the folder {view.parts[0].parent} and run `deft score {view.dataset}`" if view.parts else ""
    return f"Import {view.dataset!r} again ({again}){folder}."


def _opens(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    return True
