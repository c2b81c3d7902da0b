"""How well the noise signals find the demo's planted faults, how well scores find exchanged pairs anywhere, and how fast the columns are.

    python benchmarks/noise.py --workspace DIR [--dataset demo] [--json]     a workspace with the dataset, and for swapped pairs its scores
    python benchmarks/noise.py --speed [--rows 10000] [--json]               seconds and peak memory on generated text
    python benchmarks/noise.py --quick [--json]                              the same, 1,000 rows

The demo's faults are looked up by key. For any other scored dataset 5 % of the rows are exchanged at random on paper (their margins
change sign; d stays), 30 times over.
AUROC: the chance that an exchanged row has a higher score than another one (0.5 is chance).
Average precision: the mean, over the faults, of the precision down to each (chance: their share).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from deft_core import queries  # noqa: E402
from deft_core.demo import DEMO  # noqa: E402
from deft_core.noise import stored, swapped, workbench  # noqa: E402
from deft_core.noise.lengths import robust_z  # noqa: E402
from deft_core.workspace import Workspace  # noqa: E402

SHARE, DRAWS = 0.05, 30
MEASURES = ("reward_margin", "logp_margin", "mean_logp_margin")

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=ROOT / "data" / "workspace")
    parser.add_argument("--dataset", default=DEMO)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--quick", action="store_true", help="--speed over 1,000 rows")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    rows = 1_000 if arguments.quick else arguments.rows
    result = speed(rows) if arguments.speed or arguments.quick else quality(Workspace(arguments.workspace), arguments.dataset)
    for name, value in result.items():
        print(f"{name:>34}  {value}")
    if arguments.json:
        print(json.dumps(result))


def quality(workspace: Workspace, dataset: str) -> dict[str, Any]:
    table = queries.light_table(queries.open_view(workspace, dataset))
    result: dict[str, Any] = {"dataset": dataset, "rows": len(table)}
    if dataset == DEMO:
        faults = json.loads((ROOT / "data" / "demo" / "planted_faults.json").read_text())
        result |= duplicates(workspace, table, faults) | planted_swaps(table, {row["key"] for row in faults["swapped"]})
    elif "reward_margin" in table:
        result |= exchanged(table.dropna(subset=["reward_margin"]))
    return result


def duplicates(workspace: Workspace, table: pd.DataFrame, faults: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    """Groups found against groups planted; needs the columns (`deft noise`)."""
    if stored.found(workspace, DEMO).state != "current":
        return {"duplicates": "run `deft noise demo` first"}
    result = {}
    for column, fault in (("exact_duplicate", "exact_duplicates"), ("near_duplicate", "near_duplicates")):
        found = {frozenset(rows["extra_key"]) for _, rows in table.dropna(subset=f"noise_{column}").groupby(f"noise_{column}")}
        planted = {frozenset((row["key"], row["of"])) for row in faults[fault]}
        result[column] = {"precision": len(found & planted) / max(len(found), 1), "recall": len(found & planted) / len(planted)}
    return result


def planted_swaps(table: pd.DataFrame, keys: set[str]) -> dict[str, Any]:
    if "reward_margin" not in table:
        return {"swapped": f"run `deft score {DEMO}` first"}
    faulty = table["extra_key"].isin(keys).to_numpy()
    result: dict[str, Any] = {"faults": int(faulty.sum()), "chance": round(float(faulty.mean()), 3)}
    for rule in swapped.RULES:
        marked = np.isfinite(swapped.column(table, rule))
        hits = int((marked & faulty).sum())
        ratios = {"precision": round(hits / max(int(marked.sum()), 1), 3), "recall": round(hits / int(faulty.sum()), 3)}
        result[rule.signal.name] = {"marked": int(marked.sum()), "right": hits} | ratios | ranking(swapped.scores(table, rule), faulty)
    return result | {f"-{name} alone": ranking(-table[name].to_numpy(), faulty) for name in MEASURES}


def exchanged(table: pd.DataFrame) -> dict[str, Any]:
    """Means over draws: each rule's score and each margin alone, with SHARE of the rows exchanged."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[dict[str, float]]] = {}
    for _ in range(DRAWS):
        faulty = rng.random(len(table)) < SHARE
        signs = np.where(faulty, -1.0, 1.0)
        other = table.assign(**{name: table[name] * signs for name in MEASURES})
        scores = {rule.signal.name: swapped.scores(other, rule) for rule in swapped.RULES}
        scores |= {f"-{name} alone": -robust_z(other[name].to_numpy()) for name in MEASURES}
        for name, values in scores.items():
            drawn.setdefault(name, []).append(ranking(values, faulty))
    means = {name: {key: round(float(np.mean([one[key] for one in found])), 3) for key in found[0]} for name, found in drawn.items()}
    return {"exchanged": SHARE, "draws": DRAWS} | means


def ranking(scores: Scores, faulty: Flags) -> dict[str, float]:
    """AUROC by ranks (ties count half) and average precision; rows without a score are left out."""
    known = np.isfinite(scores)
    scores, faulty = scores[known], faulty[known]
    ranks = pd.Series(scores).rank().to_numpy()
    faults = int(faulty.sum())
    auroc = (ranks[faulty].sum() - faults * (faults + 1) / 2) / (faults * (len(faulty) - faults))
    hits = faulty[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return {"auroc": round(float(auroc), 3), "average_precision": round(float(precision[hits].mean()), 3)}


def speed(rows: int) -> dict[str, Any]:
    import resource

    from deft_core.importing import import_source

    with tempfile.TemporaryDirectory() as folder:
        workspace, file = Workspace(Path(folder)), Path(folder) / "pairs.jsonl"
        importlib.import_module("import").write_rows(file, rows)  # the generated rows of benchmarks/import.py
        import_source(workspace, str(file), "generated")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        workbench.compute(workspace, "generated")
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = workspace.noise("generated").stat().st_size
    figures = {"seconds": round(seconds, 1), "seconds_per_10000_rows": round(seconds / rows * 10_000, 1), "file_mb": round(size / 1e6, 2)}
    return {"rows": rows} | figures | {"peak_memory_mb": round(peak), "memory_before_mb": round(before)}


if __name__ == "__main__":
    main()
