"""The process of a run: `python -m deft_core.runs.worker FOLDER`. Waits for its turn, trains, evaluates, and says how it ended.

SIGTERM and Ctrl-C ask it to stop: a checkpoint is saved and it ends cleanly. What it says in words goes to standard error, which
the launcher appends to log.txt; status.json, metrics.jsonl and exit.json say it to programs. Under torchrun or accelerate every
process runs this, and the first one speaks.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from deft_core import file_names, processes
from deft_core.errors import DeftError, InputError
from deft_core.runs import queue
from deft_core.runs.spec import Run, read_run, take_omega
from deft_core.runs.watch import Watch
from deft_core.status import Say, Status
from deft_core.terminal import ProgressLine, explain
from deft_core.workspace import read_json, write_json

__all__ = ["End", "Train", "main", "work"]

_POLL_SECONDS = 0.5
_log = logging.getLogger("deft.runs")


class End(Protocol):
    """What training comes back with."""

    @property
    def step(self) -> int: ...
    @property
    def of(self) -> int: ...
    @property
    def stopped(self) -> bool: ...


class Train(Protocol):
    def __call__(self, folder: Path, *, should_stop: Callable[[], bool], say: Say) -> End: ...


Evaluate = Callable[[Path, Say], object]


@dataclass(frozen=True)
class Exit:
    """How a run ended, as exit.json says it."""

    state: str  # finished, stopped or failed
    code: int
    message: str | None
    remedy: str | None
    step: int


class _Stopped(Exception):  # noqa: N818  (a wish, not a failure)
    """Somebody asked for the end while there was nothing to save."""


class _Stop:
    """Whether SIGTERM or Ctrl-C came."""

    def __init__(self) -> None:
        self.asked = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        explain(InputError("one run folder: python -m deft_core.runs.worker FOLDER", f"{len(given)} arguments", "Name the folder."))
        return 2
    return work(Path(given[0]), _train, _evaluate, _row_margins)


def work(folder: Path, train: Train, evaluate: Evaluate, margins: Evaluate = lambda folder, say: None) -> int:
    """The whole life of the process; its exit code. `train`, `evaluate` and `margins` are those of deft_core.lm, or stand in for them."""
    stop = _Stop()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    if int(os.environ.get("RANK", "0")):
        train(folder, should_stop=stop, say=lambda _: None)
        return 0
    try:
        folder = folder.resolve()
        run = read_run(folder)
        _log.info("%s, processes: %s", folder.name, os.environ.get("WORLD_SIZE", "1"))
        with queue.opened(folder.parent) as entries:
            queue.enlist(entries, folder, run, processes.identity())
        ended = _lived(folder, run, train, lambda folder, say: _measured(folder, evaluate, margins, say), stop)
        write_json(folder / file_names.EXIT, asdict(ended) | processes.identity())
        last = {"state": ended.state, "phase": ended.state, "step": ended.step}
        write_json(folder / file_names.STATUS, read_json(folder / file_names.STATUS) | last)
    except (DeftError, OSError) as error:  # not this process's run, or a disk that takes no word
        explain(_in_three_parts(error))
        return 1
    return ended.code


def _lived(folder: Path, run: Run, train: Train, evaluate: Evaluate, stop: _Stop) -> Exit:
    watch = Watch(folder, run)
    try:
        _take_turn(folder, run, stop)
        with ProgressLine() as line:
            status = Status(folder, line.show, step=watch.step, of=watch.total)
            status.write()
            _trained_and_evaluated(folder, train, evaluate, stop, _Saying(status, watch))
            status.update(phase="done")
    except _Stopped:
        return Exit("stopped", 0, None, None, watch.step)
    except Exception as error:
        if not isinstance(error, DeftError | OSError):
            traceback.print_exc()
        known = _in_three_parts(error)
        explain(known)
        return Exit("failed", 1, f"Expected {known.expected}; found {known.found}.", known.remedy, watch.step)
    return Exit("finished", 0, None, None, watch.step)


def _in_three_parts(error: Exception) -> DeftError:
    if isinstance(error, DeftError):
        return error
    if isinstance(error, OSError):
        where = str(error.filename or "the run folder")
        return DeftError(
            f"to read or write {where}", error.strerror or str(error), "Check its rights and the space left, then resume the run."
        )
    found = f"{type(error).__name__}: {str(error).strip() or 'no more words'}"
    return DeftError("a run without a fault", found, "log.txt has the whole of it. Resuming goes on from the last checkpoint.")


class _Saying:
    """What training and evaluation say: into status.json, with the step as the metrics have it; and a look at the metrics."""

    def __init__(self, status: Status, watch: Watch) -> None:
        self.status, self.watch = status, watch

    def __call__(self, values: dict[str, Any]) -> None:
        if values.get("phase", self.status.values["phase"]) != self.status.values["phase"]:
            values = {"pairs_per_second": None, "seconds_left": None} | values  # of the phase before
        self.watch.look()
        self.status.update(**values | {"step": self.watch.step})


def _take_turn(folder: Path, run: Run, stop: _Stop) -> None:
    """Returns when the run has a device, and its omega where that is another run's."""
    while True:
        if stop():
            raise _Stopped
        ready = _omega_known(folder, run)
        device = queue.turn(folder) if ready else None
        if device:
            break
        time.sleep(_POLL_SECONDS)
    if "WORLD_SIZE" not in os.environ and device != "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = device


def _omega_known(folder: Path, run: Run) -> bool:
    """Whether the run has its omega or may measure it; one that takes another's puts it into run.json. Where none will come, an error."""
    if run.omega is not None or run.omega_of is None or read_run(folder).omega is not None:
        return True
    lives = run.omega_of in queue.entries_of(folder.parent)  # asked first: one that has ended since has left its omega
    if take_omega(folder, run):
        return True
    if not lives:
        parent = folder.parent / run.omega_of
        remedy = f"Resume that run first, or copy its resolved.json to {parent}."
        raise InputError(f"the guidance weight that {run.omega_of} measured, in {parent / file_names.RESOLVED}", "no such file", remedy)
    return False


def _trained_and_evaluated(folder: Path, train: Train, evaluate: Evaluate, stop: _Stop, say: _Saying) -> None:
    """Training, unless an earlier process was through with it; then evaluation, which keeps nothing when it is stopped."""

    def say_or_stop(values: dict[str, Any]) -> None:
        if stop():
            raise _Stopped
        say(values)

    trained = folder / file_names.TRAINED
    if not trained.is_file():
        end = train(folder, should_stop=stop, say=say)
        say.watch.look(last=not end.stopped)
        if end.stopped:
            raise _Stopped
        write_json(trained, {"step": end.step, "of": end.of})
    say_or_stop({"phase": "evaluating"})
    evaluate(folder, say_or_stop)


def _measured(folder: Path, evaluate: Evaluate, margins: Evaluate, say: Say) -> None:
    """The evaluation; then margins by row, without which a run is finished too: stopped or failed, they are left out."""
    evaluate(folder, say)
    try:
        margins(folder, say)
    except _Stopped:
        _log.info("stopped before the margins by row were known: `deft evaluate %s --rows` takes them", folder.name)
    except Exception as error:
        explain(_in_three_parts(error))
        _log.warning("the margins by row could not be taken: `deft evaluate %s --rows` tries again", folder.name, exc_info=True)


def _train(folder: Path, *, should_stop: Callable[[], bool], say: Say) -> End:
    from deft_core.lm import training

    return training.train(folder, should_stop=should_stop, say=say)


def _evaluate(folder: Path, say: Say) -> object:
    from deft_core.lm import evaluation

    return evaluation.evaluate_run(folder, say=say)


def _row_margins(folder: Path, say: Say) -> object:
    from deft_core.lm import row_margins

    return row_margins.measure(folder, say)


if __name__ == "__main__":
    sys.exit(main())
