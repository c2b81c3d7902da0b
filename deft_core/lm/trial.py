"""One question put to several models, one after the other, in a thread: their answers grow while others look at them.

Imports nothing heavy itself: the models come from a shelf (shelf.py) when it is their turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.errors import DeftError
from deft_core.lm.shelf import Busy, Shelf, Wanted, parameters
from deft_core.runs.spec import Run

__all__ = ["STATES", "Answer", "Question", "Trial", "base_of_run", "of_name", "tuned_by_run"]

STATES = ("waiting", "loading", "answering", "done", "stopped", "failed")
BYTES_PER_PARAMETER = 4  # float32; a GPU may take half

_log = logging.getLogger("deft.trial")


@dataclass(frozen=True)
class Question:
    messages: tuple[dict[str, str], ...]
    seed: int = 0
    temperature: float = 0.0  # 0: greedy
    new_tokens: int = 64


@dataclass
class Answer:
    """Written by the thread of its trial alone."""

    name: str
    state: str = "waiting"  # one of STATES
    doing: str = ""  # while it waits or loads
    text: str = ""
    pieces: int = 0
    seconds: float = 0.0  # of answering
    error: DeftError | None = None  # where it failed


@dataclass
class Trial:
    shelf: Shelf
    question: Question
    wanted: Sequence[Wanted]
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = [Answer(one.name) for one in self.wanted]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At the next piece; what is there stays."""
        self._stop.set()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        for wanted, answer in zip(self.wanted, self.answers, strict=True):
            try:
                self._answer(wanted, answer)
            except Busy:
                answer.state = "stopped"
            except DeftError as error:
                answer.error, answer.state = error, "failed"
            except Exception as error:
                _log.exception("a model could not answer")
                found = f"{type(error).__name__}: {str(error).strip()[:200]}"
                answer.error = DeftError("an answer", found, "The output of the server has the whole of it.")
                answer.state = "failed"

    def _answer(self, wanted: Wanted, answer: Answer) -> None:
        if self._stop.is_set():
            raise Busy

        def say(words: str) -> None:
            answer.state, answer.doing = "loading" if words.startswith("loading") else answer.state, words

        with self.shelf.using(wanted, say, self._stop.is_set) as lm:
            self._stream(lm, answer)

    def _stream(self, lm: Any, answer: Answer) -> None:
        from deft_core.lm.sampling import stream

        asked, began = self.question, time.monotonic()
        answer.state, answer.doing = "answering", ""
        for piece in stream(lm, asked.messages, seed=asked.seed, temperature=asked.temperature, new_tokens=asked.new_tokens):
            answer.text, answer.pieces, answer.seconds = answer.text + piece, answer.pieces + 1, time.monotonic() - began
            if self._stop.is_set():
                raise Busy
        answer.state = "done"


def tuned_by_run(run: Run, folder: Path, name: str) -> Wanted:
    """The model that a run has made."""

    def load(say: Any) -> Any:
        from deft_core.lm.sides import tuned_model

        return tuned_model(run, folder)

    return Wanted(("run", run.run_id, _stamp(folder / file_names.MODEL)), name, _bytes(parameters(folder / file_names.MODEL)), load)


def base_of_run(run: Run, folder: Path, name: str) -> Wanted:
    """The model that it began with; as large as what became of it."""

    def load(say: Any) -> Any:
        from deft_core.lm.sides import base_model

        return base_model(run)

    return Wanted(("base", run.model, run.fingerprints.get("model")), name, _bytes(parameters(folder / file_names.MODEL)), load)


def of_name(model: str, name: str, numbers: int | None) -> Wanted:
    """A model by its own name: the default one, a folder, a Hub id; `numbers`: its parameters, where they are known."""

    def load(say: Any) -> Any:
        from deft_core.lm import models

        return models.load(model, models.local_folder(model, say))

    return Wanted(("name", model), name, _bytes(numbers), load)


def _bytes(numbers: int | None) -> float | None:
    return None if numbers is None else float(numbers * BYTES_PER_PARAMETER)


def _stamp(folder: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in sorted(folder.glob("*.safetensors")))
