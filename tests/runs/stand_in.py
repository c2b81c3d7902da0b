"""A worker whose training stands in for the real one: `python -m tests.runs.stand_in FOLDER`. It does what plan.json in the folder says.

steps   how many; each leaves an event and a checkpoint
hold    the step before which it waits, until a file `go` is there (asked to stop, it does not wait)
deaf    it never asks whether it should stop
fail    the step that fails, and fault: deft, os or bug
hold_evaluation    evaluation waits for the file `judge`
margins    what taking the margins by row does: fail, or hold until it is asked to stop
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from deft_core.errors import ModelError
from deft_core.runs import metrics, worker
from deft_core.workspace import write_json


@dataclass
class End:
    step: int
    of: int
    stopped: bool


FAULTS = {
    "deft": lambda: ModelError("a finite loss", "nan in step 2", "Lower the learning rate."),
    "os": lambda: OSError(28, "No space left on device", "/disk/checkpoint"),
    "bug": lambda: KeyError("nothing"),
}


def train(folder: Path, *, should_stop, say) -> End:
    plan = json.loads((folder / "plan.json").read_text()) if (folder / "plan.json").is_file() else {}
    checkpoint, of = folder / "checkpoint.json", plan.get("steps", 3)
    done = json.loads(checkpoint.read_text())["step"] if checkpoint.is_file() else 0
    say({"phase": "loading the model"})
    metrics.append(folder, "start", done, of=of, omega=0.0)
    if plan.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        write_json(folder / "child.json", {"pid": child.pid})
    for step in range(done + 1, of + 1):
        while step == plan.get("hold") and not (folder / "go").exists() and (plan.get("deaf") or not should_stop()):
            write_json(folder / "holding.json", {"step": step})
            time.sleep(0.01)
        if should_stop() and not plan.get("deaf"):
            return End(step - 1, of, True)
        if step == plan.get("fail"):
            raise FAULTS[plan["fault"]]()
        time.sleep(plan.get("pause", 0))
        metrics.append(folder, "step", step, loss=1 / step)
        write_json(checkpoint, {"step": step})
        say({"phase": "training", "done": step, "total": of, "pairs_per_second": 2.0, "seconds_left": 2.0 * (of - step)})
    metrics.append(folder, "evaluation", of, kl=plan.get("kl", 0.1))
    return End(of, of, False)


def evaluate(folder: Path, say) -> None:
    plan = json.loads((folder / "plan.json").read_text()) if (folder / "plan.json").is_file() else {}
    while plan.get("hold_evaluation") and not (folder / "judge").exists():
        write_json(folder / "holding.json", {"step": "evaluation"})
        say({"phase": "evaluating", "done": 0, "total": 64})
        time.sleep(0.01)
    write_json(folder / "evaluation.json", {"evaluated": True})


def measure(folder: Path, say) -> None:
    plan = json.loads((folder / "plan.json").read_text()) if (folder / "plan.json").is_file() else {}
    if plan.get("margins") == "fail":
        raise ModelError("a base as it was", "another one", "Put it back.")
    while plan.get("margins") == "hold":
        write_json(folder / "holding.json", {"step": "margins"})
        say({"phase": "margins by row"})
        time.sleep(0.01)
    (folder / "row_margins.parquet").touch()


if __name__ == "__main__":
    sys.exit(worker.work(Path(sys.argv[1]), train, evaluate, measure))
