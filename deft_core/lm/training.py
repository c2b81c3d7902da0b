"""One run: from its folder to a trained model in it. Interrupted at any moment and called again, it ends with the same bits.

    read the rows -> the model (with LoRA) -> reference log-probabilities -> omega -> the Trainer -> model/

Knows nothing of queues, exit files or the dashboard; `deft_core.runs.worker` and `accelerate launch` both end up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from transformers import TrainingArguments, set_seed

from deft_core import discrepancy, file_names
from deft_core.errors import InputError, ModelError
from deft_core.lm import adapters, checkpoints, models, reference, saved_model
from deft_core.lm.arguments import arguments, dtype_of
from deft_core.lm.collator import Batching, StepsOfRun
from deft_core.lm.failures import is_out_of_memory, out_of_memory, storing, writing
from deft_core.lm.losses import Objective, levels
from deft_core.lm.models import LanguageModel
from deft_core.lm.reporting import RunReport, peak_memory_bytes
from deft_core.lm.run_rows import read_rows
from deft_core.lm.train_batch import TrainRow
from deft_core.lm.train_step import TrainStep, auto_omega
from deft_core.lm.trainer import Interrupted, RunTrainer
from deft_core.processes import machine
from deft_core.runs import metrics
from deft_core.runs.spec import Run, Settings, read_run
from deft_core.status import Say
from deft_core.workspace import read_json, write_json

__all__ = ["TrainEnd", "train"]

_AUTO_STEPS = 8  # steps whose gradients an automatic omega is measured on


@dataclass(frozen=True)
class TrainEnd:
    step: int  # that the weights are of
    of: int
    stopped: bool  # before the last step, with a checkpoint to go on from
    omega: float  # of the guidance term
    seconds: float  # of the steps, over all processes the run has had; evaluations and saving apart
    tokens: int  # that the model has read, without padding
    peak_memory_bytes: int  # of this process


def train(folder: Path, *, should_stop: Callable[[], bool], say: Say, evaluation: Any = None) -> TrainEnd:
    """Train the run in `folder`, or what is left of it. `evaluation` stands in for deft_core.lm.evaluation."""
    run = read_run(folder)
    args = arguments(run, folder)
    with writing(folder):
        if args.process_index == 0:
            checkpoints.prepare_folder(folder)
        stages = _Training(folder, run, args, should_stop, say, evaluation)
        try:
            return stages.run()
        except Interrupted:
            step = checkpoints.step_of(checkpoints.newest(folder))
            return TrainEnd(step, args.max_steps, True, 0.0, 0.0, 0, peak_memory_bytes())
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            trainer = stages.trainer
            at, step = (trainer.at, trainer.state.global_step + 1) if trainer else (None, 1)
            raise out_of_memory(at, step, _tokens_a_forward(run.settings, args)) from error


def _tokens_a_forward(settings: Settings, args: TrainingArguments) -> int:
    return settings.tokens_a_forward("cpu" if args.device.type == "cpu" else "gpu")


class _Training:
    """The stages of one run, in the order of `run`."""

    def __init__(self, folder: Path, run: Run, args: TrainingArguments, should_stop: Callable[[], bool], say: Say, evaluation: Any) -> None:
        self.folder, self.about, self.args, self.should_stop, self.evaluation = folder, run, args, should_stop, evaluation
        self.say: Say = say if args.process_index == 0 else lambda _: None
        self.settings = run.settings
        self.trainer: RunTrainer | None = None
        self.objective = Objective(run.settings.method, **run.settings.coefficients())

    def run(self) -> TrainEnd:
        set_seed(self.settings.seed)
        lm = self._load()
        d = discrepancy.read_table(self.folder)["d"].to_numpy(np.float64)
        step = self._step(lm, d)
        batching = Batching(self.objective, lm.tokenizer.eos_token_id, self.about.layout, _tokens_a_forward(self.settings, self.args))
        rows = self._rows(lm, step, batching)
        per_step, seed = self.settings.rows_per_step, self.settings.seed
        steps = StepsOfRun(rows, self.args.max_steps, per_step, seed, batching, self.args.process_index, self.args.world_size)
        report = RunReport(self.folder, len(steps), -(-len(rows) // per_step), self.say)
        with _trackers_explained(self.settings.report_to):
            by_time = self.settings.save_steps is None
            self.trainer = trainer = RunTrainer(step, self.args, steps, self.folder, report, self.should_stop, by_time)
        self._prepare_evaluation(trainer, report, lm)
        self._check_stop()
        step.omega = trainer.whole.omega = self._omega(trainer, rows, batching)
        return self._train(trainer, lm)

    def _load(self) -> LanguageModel:
        self.say({"phase": "loading the model"})
        name, known = self.about.model, self.about.fingerprints
        local = models.local_folder(name, lambda words: self.say({"phase": words}))
        for what, found in zip(("model", "tokenizer"), models.fingerprint(local), strict=True):
            if known.get(what) not in (None, found):
                expected = f"the {what} that the rows were scored with ({known[what]})"
                raise ModelError(expected, f"{found} in {local}", f"Put back the {what} that was scored with, or score again.")
        frozen_half = self.settings.lora_rank and self.args.bf16  # weights that learn stay in float32: small steps are lost in bfloat16
        lm = models.load(name, local, self.args.device, torch.bfloat16 if frozen_half else torch.float32)
        if lm.tokenizer.eos_token_id is None:
            raise ModelError("a tokenizer with an end token", "none", "Set eos_token in the model's tokenizer_config.json.")
        return lm

    def _rows(self, lm: LanguageModel, step: TrainStep, batching: Batching) -> list[TrainRow]:
        """The rows with their references, which are there for every method once they are known, and for some must be."""
        self.say({"phase": "reading the rows"})
        rows = read_rows(self.folder / file_names.INPUT, lm, self.about.max_length)
        empty = [row.id for row in rows if not row.tokens.prompt or not all(row.tokens.responses)]
        if empty:
            found = f"none in row {', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}"
            raise InputError("a prompt and responses of at least one token", found, "Drop these rows and save the selection again.")
        known = reference.read_references(self.folder)
        missing = [row for row in rows if row.id not in known]
        if missing and not (known or self.settings.needs_reference):
            return rows
        if missing:
            known |= self._compute_references(step, missing, batching)
        return reference.with_references(rows, known)

    def _compute_references(self, step: TrainStep, missing: list[TrainRow], batching: Batching) -> dict[str, list[float]]:
        def done(rows: int) -> None:
            self.say({"phase": "computing reference log-probabilities", "done": rows, "total": len(own)})
            self._check_stop()

        own = missing[self.args.process_index :: self.args.world_size]
        with self._autocast():
            found = reference.compute_references(step, own, batching, done)
        for part in gather_object([found]):
            found |= part
        if self.args.process_index == 0:
            reference.write_references(self.folder, reference.read_references(self.folder) | found)
        return found

    def _step(self, lm: LanguageModel, d: Any) -> TrainStep:
        model = lm.model.train()
        if self.settings.lora_rank:
            assert self.settings.lora_alpha is not None
            model = adapters.adapted(model, self.settings.lora_rank, self.settings.lora_alpha)
        step = TrainStep(model, d, self.objective, 0.0, self.about.layout, self.about.own_logits)
        if self.settings.gradient_checkpointing:
            step.causal.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        step.config, step._no_split_modules = step.causal.config, step.causal._no_split_modules  # what DeepSpeed and FSDP ask a model for
        return step

    def _prepare_evaluation(self, trainer: RunTrainer, report: RunReport, lm: LanguageModel) -> None:
        """Before the model is sharded or a checkpoint is loaded: evaluations compare with the base."""
        if trainer.sharded and not broadcast_object_list([self._has_room(trainer.step_model)])[0]:
            self.args.eval_strategy = "no"
            self.say({"phase": "no evaluations while training: no room for the whole model and its base beside the shards"})
        elif self.args.eval_strategy != "no" and self.args.process_index == 0:
            evaluation = self.evaluation or import_module("deft_core.lm.evaluation")
            heldout = evaluation.prepare(trainer.step_model, lm.tokenizer, self.folder, self.about, say=self.say, check=self._check_stop)
            report.evaluate = lambda step: self._evaluated(evaluation, heldout, trainer, step)
        if trainer.sharded and self.args.process_index == 0:
            whole = models.load(lm.name, models.local_folder(lm.name), torch.device("cpu"), lm.dtype)
            trainer.whole = self._step(whole, trainer.step_model.d.cpu().double().numpy())

    def _has_room(self, step: TrainStep) -> bool:
        """Whether the whole model and its base fit beside the shards, and what the evaluation itself takes."""
        weights = sum(parameter.numel() * parameter.element_size() for parameter in step.parameters())
        return self.args.device.type == "cpu" or torch.cuda.mem_get_info(self.args.device)[0] >= 3 * weights

    def _evaluated(self, evaluation: Any, heldout: Any, trainer: RunTrainer, step: int) -> dict[str, Any]:
        """A copy of a sharded model is on the device for so long."""
        try:
            found: dict[str, Any] = evaluation.during(heldout, trainer.whole.to(self.args.device), step, check=self._check_stop)
        finally:
            if trainer.sharded:
                trainer.whole.cpu()
        return found

    def _omega(self, trainer: RunTrainer, rows: list[TrainRow], batching: Batching) -> float:
        """The weight given, else the one that was measured or, in the main process, is measured now."""
        path, omega, norms = self.folder / file_names.RESOLVED, self.about.omega, None
        if omega is None:
            omega = self.settings.guidance
        if omega is None and path.is_file():
            omega = float(read_json(path, ("omega",))["omega"])
        if omega is None and self.args.process_index == 0:
            self.say({"phase": "measuring the guidance weight"})
            whole = StepsOfRun(rows, min(_AUTO_STEPS, self.args.max_steps), self.settings.rows_per_step, self.settings.seed, batching)
            steps = ([batch.to(self.args.device) for batch in whole[k].batches] for k in range(len(whole)))
            with self._autocast():
                omega, norms = auto_omega(trainer.step_model, steps)
        omega = float(broadcast_object_list([omega])[0])
        if self.args.process_index == 0 and not path.is_file():
            write_json(path, {"omega": omega, "norms": norms})
            metrics.append(self.folder, "omega", 0, omega=omega, norms=norms)
        return omega

    def _train(self, trainer: RunTrainer, lm: LanguageModel) -> TrainEnd:
        checkpoint, main = checkpoints.newest(self.folder), self.args.process_index == 0
        self.args.eval_on_start = self.args.eval_strategy != "no" and self._lacks_evaluation(checkpoints.step_of(checkpoint))
        if checkpoint:
            trainer.resume_cost(checkpoint)
        if main:
            metrics.append(self.folder, "start", checkpoints.step_of(checkpoint), **self._start(trainer))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        step, of = trainer.state.global_step, self.args.max_steps
        stopped, omega = step < of or trainer.interrupted, trainer.step_model.omega
        end = TrainEnd(step, of, stopped, omega, trainer.seconds, trainer.tokens, peak_memory_bytes())
        if not end.stopped:
            self._save(trainer, lm)
        if main:
            metrics.append(self.folder, "end", step, **{name: value for name, value in asdict(end).items() if name != "step"})
        return end

    def _lacks_evaluation(self, step: int) -> bool:
        """Whether the model that training goes on from is still to be evaluated: the first, or one whose evaluation was stopped."""
        if step == 0:
            return True
        due = step == self.args.max_steps or step % self.settings.eval_every(self.about.rows) == 0
        known = metrics.standing(metrics.read(self.folder)[0])
        return due and not any(event["event"] == "evaluation" and event["step"] == step for event in known)

    def _start(self, trainer: RunTrainer) -> dict[str, Any]:
        learning = sum(parameter.numel() for parameter in trainer.step_model.parameters() if parameter.requires_grad)
        about = {"of": self.args.max_steps, "rows": self.about.rows, "processes": self.args.world_size, "parameters": learning}
        about |= {"dtype": str(dtype_of(self.settings)).removeprefix("torch."), "omega": trainer.step_model.omega, "machine": machine()}
        if self.settings.method == "pro":
            rows: list[TrainRow] = list(trainer.steps.rows)
            about["rows_without_scores"] = sum(not levels(row.ranks, row.scores, self.settings.gap)[1] for row in rows)
        return about

    def _save(self, trainer: RunTrainer, lm: LanguageModel) -> None:
        self.say({"phase": "saving the model"})
        trainer.gather()
        if self.args.process_index == 0:
            with storing(self.folder, "room and leave to save the model"):
                saved_model.save(trainer.whole, lm.tokenizer, self.folder, self.about)
                checkpoints.clear_optimiser(self.folder)
        trainer.accelerator.wait_for_everyone()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16)

    def _check_stop(self) -> None:
        if self.args.world_size == 1 and self.should_stop():  # several processes agree after their first step
            raise Interrupted


@contextmanager
def _trackers_explained(names: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, ImportError) as error:
        if names == "none" or is_out_of_memory(error):
            raise
        found = f"{names!r}: {' '.join(str(error).split())[:300]}"
        raise InputError("trackers that are installed as report_to", found, 'Install them, or set report_to to "none".') from error
