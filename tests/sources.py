"""Sources to import, small or real, and what became of their rows."""

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

DATA = Path(os.environ.get("DEFT_DATA") or Path(__file__).parents[2] / "shared" / "data")


def real(name):
    """A file or folder of a public preference set; without it the test is left out."""
    if not (DATA / name).exists():
        pytest.skip(f"no {name} in {DATA}: DEFT_DATA names the folder that has it")
    return DATA / name


def pair(number, **more):
    return {"prompt": f"question {number}", "chosen": f"yes {number}", "rejected": "no"} | more


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def table(workspace, name):
    return pq.read_table(workspace.pairs(name)).to_pylist()


def refused(workspace, name):
    return [json.loads(line) for line in workspace.refused(name).read_text(encoding="utf-8").splitlines()]
