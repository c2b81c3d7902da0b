"""Scoring everything and training on 5 % of it, beside training on everything: DPO, the same epochs, from a preference set to a model.

    python benchmarks/end_to_end.py [--quick] [--json] [--sample N] [--limit K]

What is measured: scoring the whole set (`deft score` in a process of its own, model loading included) and training two epochs on the 5 %
of the training rows with the highest rewards of chosen answers (model loading and saving included; one epoch is what the run had taken
when its first was over, and saving). Training on everything is this engine too, and is extrapolated: one epoch on `--sample`
training rows drawn by chance, half of them before and half after the rest, gives seconds a token of a step and of reference
log-probabilities, which a run on everything computes once for itself; they are multiplied with the tokens of all training rows.

    full_seconds = fixed + tokens of all * (reference + epochs * step)        seconds, two epochs
    ratio        = full_seconds / (scoring_seconds + subset_seconds)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sources
from bare_runs import DATASET, ROOT, prepared, train

from deft_core import DEFAULT_MODEL, queries
from deft_core.cost import pair_tokens
from deft_core.rule import Rule
from deft_core.runs.spec import Settings
from deft_core.workspace import Workspace

EPOCHS, FRACTION = 2, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 rows scored, a sample of 8")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--source", help=sources.HELP)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--sample", type=int, default=48, help="rows that stand for all")
    parser.add_argument("--limit", type=int, help="score so many rows, and take them for all")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.source = options.source or sources.default()
    if options.run:
        print(json.dumps(train(options.run)))
        return
    if options.quick:
        options.sample, options.limit = 8, 100
    with tempfile.TemporaryDirectory() as folder:
        values = measured(options, Workspace(Path(folder)))
    for key, value in values.items():
        print(f"{key:<26}{value}")
    if options.json:
        print(json.dumps(values))


def measured(options: argparse.Namespace, workspace: Workspace) -> dict[str, Any]:
    deft(workspace, "import", options.source, "--name", DATASET, "--heldout", "0.1", "--judge", "0")
    _, scoring = deft(workspace, "score", DATASET, "--model", options.model, *(["--limit", str(options.limit)] if options.limit else []))
    table = queries.light_table(queries.open_view(workspace, DATASET))
    table = table[(table["split"] == "train") & table["reward_chosen"].notna()]
    tokens = float(pair_tokens(*(table[name].to_numpy(float) for name in ("tokens_prompt", "tokens_chosen", "tokens_rejected"))).sum())
    before = sampled(workspace, options.sample // 2, seed=0)
    subset = child(prepared(workspace, "subset", Rule("highest", "reward_chosen", fraction=FRACTION), Settings(epochs=EPOCHS, eval_rows=2)))
    after = sampled(workspace, options.sample - options.sample // 2, seed=1)
    return summary(before, after, subset, scoring, tokens) | {
        "rows": len(table),
        "subset_rows": round(FRACTION * len(table)),
        "sample_rows": options.sample,
        "extrapolated": f"training on all {len(table):,} rows, from {options.sample} drawn by chance, by tokens",
    }


def deft(workspace: Workspace, *arguments: str) -> tuple[dict[str, Any], float]:
    """What a command answers, and the seconds it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer, time.monotonic() - began


def sampled(workspace: Workspace, rows: int, seed: int) -> dict[str, Any]:
    """A run of one epoch on rows drawn by chance, which asks the base model itself."""
    folder = prepared(workspace, f"sample-{seed}", Rule("random", count=rows, seed=seed), Settings(eval_rows=2))
    (folder / "reference.parquet").unlink()
    return child(folder)


def child(folder: Path) -> dict[str, Any]:
    """A run in a process of its own; `process` is what that took in all."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, __file__, "--run", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"process": time.monotonic() - began}


def summary(before: dict[str, Any], after: dict[str, Any], subset: dict[str, Any], scoring: float, tokens: float) -> dict[str, Any]:
    """The figures of one and of two epochs; `tokens` are those of all training rows."""
    samples = (before, after)
    read = sum(one["tokens"] for one in samples)
    step = sum(one["steps"] for one in samples) / read
    reference = sum(one["reading"] for one in samples) / read
    fixed = statistics.fmean(one["process"] - one["steps"] - one["reading"] for one in samples)
    full = {epochs: fixed + tokens * (reference + epochs * step) for epochs in (1, EPOCHS)}
    first = subset["step_times"][len(subset["step_times"]) // EPOCHS - 1]
    part = {1: subset["process"] - (subset["step_times"][-1] - first), EPOCHS: subset["process"]}
    return {
        "full_seconds": round(full[EPOCHS], 1),
        "scoring_seconds": round(scoring, 1),
        "subset_seconds": round(part[EPOCHS], 1),
        "ratio": round(full[EPOCHS] / (scoring + part[EPOCHS]), 2),
        "full_seconds_one_epoch": round(full[1], 1),
        "subset_seconds_one_epoch": round(part[1], 1),
        "ratio_one_epoch": round(full[1] / (scoring + part[1]), 2),
        "step_ms_a_token": round(1e3 * step, 3),
        "reference_ms_a_token": round(1e3 * reference, 3),
        "fixed_seconds": round(fixed, 1),
    }


if __name__ == "__main__":
    main()
