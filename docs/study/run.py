"""Makes the study's runs, one after the other, through the workspace's queue; what is there already is left alone.

    python docs/study/run.py rows | tuning | primary | exploratory | lengths [1/2]

DEFT_WORKSPACE names the workspace, `make study-data` fills it. 1/2 is the first half of the runs: two halves may run at once, each in
a copy of the workspace and with OMP_NUM_THREADS=1. Killed and started again, it goes on: a run that was under way is resumed. When a
run has finished, what the analysis needs of it is written to docs/study/results/ and its model is removed from the workspace (0.5 GB).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from arms import HH, QA, Planned, exploratory, lengths, planned, tuning  # noqa: E402

from deft_core import file_names, queries, reliability, selecting, selections, uncertainty  # noqa: E402
from deft_core.group_counts import read_counts  # noqa: E402
from deft_core.pooled import open_head, open_pooled, places  # noqa: E402
from deft_core.rule import Rule  # noqa: E402
from deft_core.runs import launch, metrics, monitor  # noqa: E402
from deft_core.runs.prepare import prepare, prepare_full  # noqa: E402
from deft_core.runs.spec import read_run, write_run  # noqa: E402
from deft_core.selection import kept  # noqa: E402
from deft_core.workspace import Workspace, default_root, read_json, replace_atomically  # noqa: E402

RESULTS = Path(__file__).parent / "results"
ROWS = ("accuracy_implicit", "accuracy_logp", "margin", "reward_chosen", "kl")  # of the tuned model, by prompt
COLUMNS = ("reward_chosen", "reward_rejected", "reward_margin", "logp_margin", "tokens_prompt", "tokens_chosen", "tokens_rejected", "turns")
POLL_SECONDS = 2


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    share, shares = map(int, (sys.argv[2] if len(sys.argv) > 2 else "1/1").split("/"))
    workspace = Workspace(default_root())
    if part == "rows":
        write_training_rows(workspace)
        return
    todo = {
        "tuning": tuning,
        "primary": lambda: planned(_training_rows(workspace)),
        "exploratory": lambda: exploratory(_omega(workspace)),
        "lengths": lambda: lengths(_training_rows(workspace)),
    }
    if part not in todo:
        sys.exit(f"Expected one of rows, {', '.join(todo)}; found {part!r}. Say which part of the study to run.")
    for one in islice(todo[part](), share - 1, None, shares):
        if not (RESULTS / f"{one.name}.json").is_file():
            folder = finished(workspace, one)
            harvest(one, folder)
            shutil.rmtree(folder / "model", ignore_errors=True)


def _training_rows(workspace: Workspace, dataset: str = HH) -> pd.DataFrame:
    table = queries.light_table(queries.open_view(workspace, dataset))
    return table[table["split"] == "train"].reset_index(drop=True)


def write_training_rows(workspace: Workspace) -> None:
    """What rules go by and what they may bring along, of every training row, and how often draws of d keep it under each arm's rule."""
    tables = {dataset: _training_rows(workspace, dataset) for dataset in (HH, QA)}
    every = [*planned(tables[HH]), *exploratory(1.0)]
    RESULTS.mkdir(exist_ok=True)
    for dataset, table in tables.items():
        found = _with_shares(queries.open_view(workspace, dataset), table, first_arms(every, dataset))
        found.to_parquet(RESULTS / f"training-{dataset}.parquet", index=False, compression="zstd")


def first_arms(every: Iterable[Planned], dataset: str) -> dict[Rule, str]:
    """Each rule that goes by a reward, so that draws of d decide what it keeps, with the first arm that has it."""
    found: dict[Rule, str] = {}
    for one in every:
        if one.dataset == dataset and uncertainty.can_tell(one.rule):
            found.setdefault(one.rule, one.arm)
    return found


def _with_shares(view: queries.View, table: pd.DataFrame, arm_of: dict[Rule, str]) -> pd.DataFrame:
    """The training rows' columns and, for each rule, as kept_<arm>, the share of draws of d that keep the row."""
    pooled = open_pooled(view)
    drawn = uncertainty.draws(open_head(view), reliability.bootstrap(read_counts(view.parts[0].parent)))
    where = places(pooled, table["id"].tolist())
    members = np.zeros(pooled.rows.num_rows, dtype=bool)
    members[where] = True
    found = table[["id", *COLUMNS]].copy()
    for rule, arm in arm_of.items():
        found[f"kept_{arm}"] = uncertainty.kept_probability(pooled, drawn, rule, members, int(kept(table, rule).sum()))[where]
    return found


def _omega(workspace: Workspace) -> float:
    """The weight that guidance auto finds on the highest rows, from the first run that asks for it, which is made for it."""
    first = next(one for one in exploratory(1.0) if one.arm == "highest-guided")
    there = RESULTS / f"{first.name}.json"
    return float(read_json(there if there.is_file() else finished(workspace, first) / "resolved.json")["omega"])


def finished(workspace: Workspace, one: Planned) -> Path:
    """The folder of the planned run, made and run where it is not there, resumed where its process is gone."""
    run_id = next((found.run.run_id for found in monitor.listing(workspace) if found.run and found.run.name == one.name), None)
    run_id = run_id or _prepared(workspace, one)
    folder = workspace.run(run_id)
    print(f"{time.strftime('%H:%M:%S')} {one.name}: {run_id}", flush=True)
    while (state := monitor.status(folder)) != "finished":
        if state == "failed":
            sys.exit(f"{run_id} failed: {(folder / 'exit.json').read_text()}")
        if state in ("stopped", "lost"):
            launch.start(workspace, run_id)
        time.sleep(POLL_SECONDS)
    return folder


def _prepared(workspace: Workspace, one: Planned) -> str:
    selections.save(workspace, one.name, selecting.draft(workspace, one.dataset, one.rule))
    run = prepare(workspace, one.name, one.settings, name=one.name if one.role == "run" else f"{one.name} (rows for it)")
    (workspace.run(run.run_id) / file_names.DROPPED).unlink()  # the study asks nothing of rows that were not trained on
    if one.part == "tuning":
        hold_out_tuning_rows(workspace.run(run.run_id))
    return run.run_id if one.role == "run" else prepare_full(workspace, run.run_id, name=one.name).run_id


def hold_out_tuning_rows(folder: Path) -> None:
    """Puts half of the judge split where a run folder has the rows that the run is evaluated on."""
    rows = pq.read_table(folder / "judge.parquet")
    half = rows.filter([in_tuning(prompt) for prompt in rows["prompt"].to_pylist()])
    replace_atomically(folder / "heldout.parquet", lambda beside: pq.write_table(half, beside))
    write_run(folder, replace(read_run(folder), heldout_rows=half.num_rows))


def in_tuning(prompt: list[dict[str, str]]) -> bool:
    """By a hash of the first user turn, with a salt: the splits went by that hash without one."""
    return blake2b(first_turn(prompt).encode(), digest_size=1, salt=b"tuning").digest()[0] % 2 == 0


def first_turn(prompt: list[dict[str, str]]) -> str:
    return next(message["content"] for message in prompt if message["role"] == "user")


def write_heldout(folder: Path, path: Path) -> None:
    """id and conversation, a number by first user turn, of the rows that runs are evaluated on."""
    rows = pq.read_table(folder / "heldout.parquet", columns=["id", "prompt"]).to_pandas()
    rows["conversation"] = pd.factorize(rows["prompt"].map(first_turn))[0]
    rows[["id", "conversation"]].to_parquet(path, index=False, compression="zstd")


def harvest(one: Planned, folder: Path) -> None:
    """A run's figures as JSON, and what it says of every held-out row as Parquet beside it."""
    run, evaluation = read_json(folder / "run.json"), read_json(folder / "evaluation.json")
    steps = [event for event in metrics.standing(metrics.read(folder)[0]) if event["event"] == "step"]
    about: dict[str, Any] = {"name": one.name, "part": one.part, "arm": one.arm, "number": one.number, "dataset": one.dataset}
    about |= {name: run[name] for name in ("rule", "rows", "heldout_rows", "settings", "fingerprints", "code", "created")}
    about["ids"] = pq.read_table(folder / "input.parquet", columns=["id"])["id"].to_pylist()
    about["omega"] = read_json(folder / "resolved.json")["omega"]
    about["steps"] = [{name: step[name] for name in ("step", "loss", "margin", "accuracy_implicit") if name in step} for step in steps]
    about["evaluation"] = {name: evaluation[name] for name in ("alignment", "generalisation", "judge", "cost", "prompts", "new_tokens")}
    rows = pd.read_parquet(folder / "evaluation_rows.parquet")
    values = pd.DataFrame(
        {"id": rows["id"]}
        | {name: rows[f"{name}_tuned"].astype("float32") for name in ROWS}
        | {"kl_tokens": rows["kl_tokens"].astype("int32")}
    )
    RESULTS.mkdir(exist_ok=True)
    if one.part != "tuning" and not (heldout := RESULTS / f"heldout-{one.dataset}.parquet").is_file():
        write_heldout(folder, heldout)
    values.to_parquet(RESULTS / f"{one.name}.parquet", index=False, compression="zstd")
    (RESULTS / f"{one.name}.json").write_text(json.dumps(about, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
