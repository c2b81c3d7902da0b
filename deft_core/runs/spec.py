"""What a run is: its settings, checked, and the run.json that stands in its folder. Knows nothing of torch.

A run folder holds everything the run needs: copied elsewhere, `python -m deft_core.runs.worker FOLDER` runs it there. No path
stands in run.json but the model's name or folder as it was given.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from deft_core import file_names
from deft_core.errors import DeftError, InputError
from deft_core.workspace import read_json, write_json

__all__ = ["METHODS", "ROLES", "RUN_KEYS", "SCHEDULES", "Run", "Settings", "read_run", "take_omega", "write_run"]

METHODS = ("dpo", "pro", "sft", "ipo", "simpo", "orpo")  # as lm.losses has them
SCHEDULES = ("linear", "cosine", "constant_with_warmup", "constant")
DTYPES = ("float32", "bfloat16")
ROLES = ("run", "random", "full", "unguided")  # what a run is in its group; the last three are what the first is held against
_WHOLE = {"steps": 1, "seed": 0, "rows_per_step": 1, "accumulation_tokens": 1, "eval_steps": 0, "eval_rows": 2, "new_tokens": 1}
_WHOLE |= {"lora_rank": 0, "save_steps": 1, "answer_rows": 1}  # the least each may be
_POSITIVE = ("epochs", "lr", "beta", "gap", "lora_alpha", "max_grad_norm")
_NOT_NEGATIVE = ("guidance", "gamma", "odds_weight", "likelihood_weight", "weight_decay", "warmup")
_OPTIONAL = ("guidance", "steps", "lr", "beta", "eval_steps", "answer_rows", "accumulation_tokens", "lora_alpha", "dtype", "save_steps")
_TOKENS_A_FORWARD = {"cpu": 512, "gpu": 2048}  # benchmarks/training.py --sweep


@dataclass(frozen=True)
class Settings:
    """How to train. lr, beta and lora_alpha are numbers once this is made: what stood for None is written down with the run."""

    method: str = "dpo"
    guidance: float | None = 0.0  # omega; None: auto, 10 % of the alignment loss's gradient norm
    epochs: float = 1.0
    steps: int | None = None  # of the optimiser; wins over epochs
    lr: float | None = None  # None: 5e-6, with LoRA 1e-4
    beta: float | None = None  # DPO, IPO, SimPO; None: the method's usual one
    gamma: float = 1.0  # SimPO: the margin asked for
    odds_weight: float = 0.1  # ORPO: of the odds-ratio term
    likelihood_weight: float = 0.05  # PRO: of the likelihood term
    gap: float = 1.0  # PRO: between neighbouring ranks, where there are no scores
    seed: int = 0  # of the rows' order, of LoRA's first weights and of the sample held out
    rows_per_step: int = 4  # preferences that an optimiser step averages over
    accumulation_tokens: int | None = None  # padded tokens of one forward, of which a step takes as many as it needs; None: by device
    eval_steps: int | None = None  # steps from one evaluation to the next; None: five in all; 0: none before the end
    eval_rows: int = 64  # held-out prompts that evaluations look at
    answer_rows: int | None = None  # of them, those that base and trained model answer at the end; None: all
    new_tokens: int = 64  # the most an answer may have in an evaluation
    lora_rank: int = 0  # 0: all weights learn
    lora_alpha: float | None = None  # None: twice the rank
    warmup: float = 0.1  # share of the steps
    schedule: str = "linear"  # of the learning rate
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    dtype: str | None = None  # None: float32 on a CPU, bfloat16 on a GPU
    gradient_checkpointing: bool = False  # less memory, about a third more time
    report_to: str = "none"  # trackers that transformers knows, separated by commas
    save_steps: int | None = None  # steps from one checkpoint to the next; None: by time, see lm.checkpoints.due

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("schedule", SCHEDULES), ("dtype", (*DTYPES, None))):
            if getattr(self, name) not in known:
                names = ", ".join(one for one in known if one)
                raise InputError(f"a {name} among {names}", repr(getattr(self, name)), "Choose one of them.")
        self._check_numbers()
        usual = {"lr": 1e-4 if self.lora_rank else 5e-6, "beta": 2.0 if self.method == "simpo" else 0.1}
        usual["lora_alpha"] = 2.0 * max(1, self.lora_rank)
        for name, value in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _check_numbers(self) -> None:
        for name in (*_WHOLE, *_POSITIVE, *_NOT_NEGATIVE):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            kinds = (int,) if name in _WHOLE else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
                raise InputError(f"a {'whole' if name in _WHOLE else 'finite'} number as {name}", repr(value), "Give a number.")
            if value < _WHOLE.get(name, 0) or (name in _POSITIVE and value == 0):
                least = "above 0" if name in _POSITIVE else f"of at least {_WHOLE.get(name, 0)}"
                raise InputError(f"{name.replace('_', ' ')} {least}", f"{value:g}", "Give a larger number.")
        for name, kind, words in (("gradient_checkpointing", bool, "true or false"), ("report_to", str, "a word")):
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{words} as {name}", repr(getattr(self, name)), "Give it like that.")
        if self.warmup > 1:
            raise InputError("warmup as a share of the steps, at most 1", f"{self.warmup:g}", "For 10 % give 0.1.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """The settings a file describes."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            found = ", ".join(f"{name} = {json.dumps(values[name], default=str)}" for name in sorted(unknown))
            raise InputError("settings of a run", found, "Use the version of DEFT Studio that wrote them.")
        return cls(**values)

    @property
    def learning_rate(self) -> float:
        assert self.lr is not None  # since __post_init__
        return self.lr

    @property
    def needs_reference(self) -> bool:
        """Whether the loss asks for log-probabilities under the base model."""
        return self.method in ("dpo", "ipo")

    def coefficients(self) -> dict[str, float]:
        """What lm.losses.Objective takes beside the method."""
        assert self.beta is not None  # since __post_init__
        others = {name: float(getattr(self, name)) for name in ("gamma", "odds_weight", "likelihood_weight", "gap")}
        return {"beta": self.beta} | others

    def total_steps(self, rows: int) -> int:
        """Steps of the optimiser over so many rows, as transformers' Trainer counts them: the last step of an epoch may have fewer rows."""
        return self.steps or math.ceil(self.epochs * math.ceil(rows / self.rows_per_step))

    def tokens_a_forward(self, kind: str) -> int:
        """The most padded tokens of one forward on a device of this kind: cpu or gpu."""
        return self.accumulation_tokens or _TOKENS_A_FORWARD[kind]

    def eval_every(self, rows: int) -> int:
        """Steps from one evaluation to the next; 0: none while it trains."""
        return math.ceil(self.total_steps(rows) / 5) if self.eval_steps is None else self.eval_steps


@dataclass(frozen=True)
class Run:
    """What run.json says. Nothing in it changes once the folder is there, but for the omega a control takes from its parent."""

    run_id: str
    name: str  # for people
    created: str  # ISO 8601
    dataset: str
    selection: str
    version: int  # of the selection
    score_id: str
    model: str  # the default model, a Hub id or a folder, as it was scored
    max_length: int  # tokens of prompt and one response
    layout: str  # prefix-shared | plain, as the scorer's self-check chose
    own_logits: bool  # whether only the model's own forward gives exact logits
    fingerprints: dict[str, str | None]  # data, d, tokenizer, model, selection
    rule: dict[str, Any]  # of the selection; a control's is random
    rows: int  # that are trained on
    heldout_rows: int
    judge_rows: int
    truncated_rows: int | None  # of the rows trained on: those that lost tokens to max_length; None: not all are scored
    settings: Settings
    control_of: str | None  # the run whose random control this is
    scoring_seconds: float | None  # what scoring the whole dataset took
    code: str  # version of this package
    omega: float | None = None  # of the guidance term; None: measured in the first steps, or taken from the run it is held against
    role: str = "run"  # one of ROLES
    group: str = ""  # the first of the runs it was started with; a control's is its parent's, else it is alone

    def __post_init__(self) -> None:
        if self.control_of and self.role == "run":
            object.__setattr__(self, "role", "random")
        if not self.group:  # as in folders from before there were groups
            object.__setattr__(self, "group", self.control_of or self.run_id)

    @property
    def omega_of(self) -> str | None:
        """The run whose measured omega this one takes; None: its own."""
        parent = self.control_of or self.group
        return parent if parent != self.run_id else None


_LATER = ("role", "group")  # keys that older folders do not have
RUN_KEYS = tuple(field.name for field in fields(Run) if field.name not in _LATER)


def read_run(folder: Path) -> Run:
    """The run of a folder; keys that this version does not know are left alone."""
    path = folder / file_names.RUN
    if not path.is_file():
        raise InputError(f"a run folder with a file {path}", "none", "Name the folder of a run; `deft runs` lists them.")
    about = read_json(path, RUN_KEYS)
    try:
        settings = Settings.from_dict(about["settings"])
    except (DeftError, AttributeError, TypeError) as error:
        raise InputError(f"settings of a run in {path}", str(error), "Restore the file, or delete this run.") from None
    later = {key: about[key] for key in _LATER if key in about}
    return Run(**{key: about[key] for key in RUN_KEYS} | later | {"settings": settings})


def take_omega(folder: Path, run: Run) -> bool:
    """Puts the guidance weight that another run has measured into this one's run.json; False where that is not known yet."""
    assert run.omega_of is not None
    resolved = folder.parent / run.omega_of / file_names.RESOLVED
    if resolved.is_file():
        write_run(folder, replace(run, omega=float(read_json(resolved, ["omega"])["omega"])))
    return resolved.is_file()


def write_run(folder: Path, run: Run) -> None:
    write_json(folder / file_names.RUN, asdict(run))
