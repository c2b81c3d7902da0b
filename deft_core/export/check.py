"""Reading an exported file back: by `datasets`, as every trainer does, and through TRL's own formatting where TRL is installed.

Nothing goes over the network, and the user's caches are left alone. TRL brings torch with it, so it runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deft_core.errors import InputError
from deft_core.export.layouts import Layout
from deft_core.preferences import Preference, RowRefused

__all__ = ["digest", "has_trl", "read_back", "trl_reads"]

BATCH_ROWS = 1_000
_OWN_CACHE = "datasets"


def digest(preference: Preference) -> int:
    """64 bits over roles, texts and ranks."""
    return int(preference.content_hash(), 16)


def read_back(path: Path, layout: Layout, meant: array[int], name_of: str, seen: Callable[[int], None]) -> str:
    """Compares every row of the file with what was meant (digests in its order); the reader's name and version.

    `path` stands alone in a folder of its own, which takes the cache; `name_of` is the column with the row's id.
    """
    rows = 0
    for record in _rows_of(path, layout, [*layout.reads, name_of]):
        _compare(record, rows, layout, meant, name_of)
        rows += 1
        if rows % BATCH_ROWS == 0:
            seen(rows)
    if rows != len(meant):
        raise InputError(f"{len(meant):,} rows when the file is read back", f"{rows:,}", _remedy(layout))
    return f"datasets {version('datasets')}"


def _rows_of(path: Path, layout: Layout, columns: list[str]) -> Iterator[dict[str, Any]]:
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        read = datasets.Dataset.from_parquet if path.suffix == ".parquet" else datasets.Dataset.from_json
        loaded = read(str(path), cache_dir=str(path.parent / _OWN_CACHE), split="train")
        for batch in loaded.select_columns(columns).iter(BATCH_ROWS):
            yield from (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))
    except Exception as error:  # whatever it meets, a trainer would meet
        cause = error.__cause__ or error
        found = f"{type(cause).__name__}: {str(cause).strip()[:300]}"
        raise InputError(f"a file that `datasets` reads for {layout.trainer}", found, _remedy(layout)) from error
    finally:
        if shown:
            datasets.enable_progress_bars()


def _compare(record: dict[str, Any], place: int, layout: Layout, meant: array[int], name_of: str) -> None:
    try:
        same = place < len(meant) and digest(layout.back(record)) == meant[place]
        found = "a prompt or an answer that has changed"
    except (RowRefused, TypeError, KeyError, AttributeError) as error:
        same, found = False, f"a prompt or an answer of another kind ({error})"
    if not same:
        expected = f"row {place + 1:,} ({record[name_of]}) as it was meant, when the file is read back for {layout.trainer}"
        raise InputError(expected, found, _remedy(layout))


def _remedy(layout: Layout) -> str:
    return "Drop that row, or choose another layout; parquet takes any row." if layout.name != "parquet" else "Report this."


def has_trl() -> bool:
    return find_spec("trl") is not None


def trl_reads(path: Path, model: str | None) -> str:
    """Whether TRL's formatting, which has to be installed, leaves every row of the file as it is; its name and version.

    `model` is the one the rows were scored with: its chat template is tried, where it is at hand.
    """
    cache = path.parent / _OWN_CACHE
    command = [sys.executable, "-m", "deft_core.lm.trl_format", str(path), str(cache), *([model] if model else [])]
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment = os.environ | quiet
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        found = (done.stderr.strip() or "nothing").splitlines()[-1][:300]
        raise InputError("TRL's own formatting to read the file", found, "Mend the installation of TRL, or uninstall it.")
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer["problem"]:
        expected = f"row {answer['row']:,} ({answer['id']}) as it was meant, after TRL's own formatting"
        raise InputError(expected, answer["problem"], "Drop that row, or choose another layout.")
    return f"trl {version('trl')}"
