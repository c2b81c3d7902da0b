"""One process of a run, as a worker or torchrun starts it: `python -m tests.lm.train_once FOLDER [evaluated]`; else without evaluations."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from deft_core.errors import DeftError
from deft_core.lm.training import train
from tests.lm.run_folders import Evaluation


def say(values):
    """In one write: the processes of a run share their output."""
    sys.stdout.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        stand_in = None if sys.argv[2:] == ["evaluated"] else Evaluation
        end = train(Path(sys.argv[1]), should_stop=lambda: False, say=lambda _: None, evaluation=stand_in)
    except DeftError as error:
        say({"error": type(error).__name__, "message": str(error)})
        sys.exit(1)
    say(asdict(end))
