"""Small sources to import, and what became of their rows."""

import json

import pyarrow.parquet as pq


def pair(number, **more):
    return {"prompt": f"question {number}", "chosen": f"yes {number}", "rejected": "no"} | more


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def table(workspace, name):
    return pq.read_table(workspace.pairs(name)).to_pylist()


def refused(workspace, name):
    return [json.loads(line) for line in workspace.refused(name).read_text(encoding="utf-8").splitlines()]
