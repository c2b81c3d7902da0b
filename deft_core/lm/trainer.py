"""transformers' Trainer around a TrainStep: a step's micro-batches, what it reports, when it stops, how it is saved.

The loop itself, the optimiser, clipping, the schedule, mixed precision, DDP, FSDP, DeepSpeed and trackers are the Trainer's. Ours are
the batches (collator.py), the loss (train_step.py) and checkpoints that are whole or not there (checkpoints.py).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import DistributedType, gather_object
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments

from deft_core import file_names
from deft_core.errors import InputError, NonFiniteLoss
from deft_core.lm import checkpoints
from deft_core.lm.collator import StepBatches, StepsOfRun
from deft_core.lm.failures import storing
from deft_core.lm.train_batch import TrainBatch
from deft_core.lm.train_step import StepOutput, TrainStep, metrics
from deft_core.workspace import read_json, write_json

__all__ = ["Interrupted", "Report", "RunTrainer"]


class Interrupted(Exception):  # noqa: N818
    """Asked to stop before the first step, or while the model is evaluated."""


class Report(Protocol):
    """Where a run's numbers go; called in the main process alone."""

    def step(self, step: int, values: dict[str, float], rows: int, tokens: int, seconds: float) -> dict[str, float]:
        """Takes a step's numbers and gives them back with those of time and memory."""

    def evaluation(self, step: int) -> dict[str, float]:
        """Evaluates the model as it is, or raises Interrupted."""

    def checkpoint(self, step: int) -> None: ...


class RunTrainer(Trainer):
    """`seconds` and `tokens` are what the steps have cost so far, over all processes the run has had."""

    loss_is_scaled_for_ga = True  # micro-batches add up to their step

    def __init__(
        self,
        step: TrainStep,
        args: TrainingArguments,
        steps: StepsOfRun,
        folder: Path,
        report: Report,
        should_stop: Callable[[], bool],
        save_by_time: bool = False,
    ) -> None:
        super().__init__(model=step, args=args, train_dataset=steps, eval_dataset=[], callbacks=[_Between(self, save_by_time)])
        for printing in (PrinterCallback, ProgressCallback):
            self.remove_callback(printing)
        self.folder, self.report, self.should_stop = folder, report, should_stop
        self.steps, self.step_model = steps, step  # self.model is a wrapper under FSDP
        self.whole = step  # where the model is sharded, a copy in the main process; `gather` brings it up to date
        self.interrupted = False  # while the model was evaluated
        self.at: TrainBatch | None = None  # the micro-batch under way, for messages
        self.of_step: tuple[StepBatches, list[StepOutput]] | None = None
        self.seconds, self.tokens, self.mark = 0.0, 0, time.perf_counter()
        self.saved, self.saving_seconds = self.mark, 0.0  # when the last checkpoint was there, and how long it took

    @property
    def sharded(self) -> bool:
        """Whether no process holds the whole model."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def gather(self) -> None:
        """`whole` as the model is now; all processes must ask."""
        if self.sharded:
            state = self.accelerator.get_state_dict(self.model_wrapped)
            if self.is_world_process_zero():
                self.whole.load_state_dict(state)

    def get_train_dataloader(self) -> DataLoader[StepBatches]:
        """One item is one step; each process has its own share of it, so accelerate has nothing to divide."""
        return DataLoader(self.steps, batch_size=1, collate_fn=_only)

    def training_step(self, model: Any, inputs: StepBatches, num_items_in_batch: Any = None) -> Tensor:  # type: ignore[override]
        model.train()
        outputs = []
        for place, batch in enumerate(inputs.batches):
            self.at = batch
            outputs.append(self._forward_backward(model, batch, place == len(inputs.batches) - 1))
        self.at = None
        self._check_losses(inputs.batches, outputs)
        self.of_step = inputs, outputs[: len(outputs) - inputs.fillers]
        return torch.stack([output.loss for output in outputs]).sum()

    def _forward_backward(self, model: Any, batch: TrainBatch, last: bool) -> StepOutput:
        """Gradients meet those of the other processes in the last micro-batch alone."""
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        self.accelerator.gradient_state._set_sync_gradients(last)
        with contextlib.nullcontext() if last or deepspeed else self.accelerator.no_sync(model):
            output: StepOutput = model(batch.to(self.args.device))
            self.accelerator.backward(output.loss, **({"scale_wrt_gas": False} if deepspeed else {}))
        return output._replace(loss=output.loss.detach(), align=output.align.detach(), guidance=output.guidance.detach())

    def _check_losses(self, batches: Sequence[TrainBatch], outputs: Sequence[StepOutput]) -> None:
        """Ends every process where one has a loss that is not finite; the optimiser has not moved yet."""
        bad = [(output, batch) for output, batch in zip(outputs, batches, strict=True) if not torch.isfinite(output.loss)]
        if self.anywhere(bool(bad))[0]:
            found = self._everywhere([(output.loss.item(), _culprits(output, batch)) for output, batch in bad])
            raise self._not_finite(f"a loss of {found[0][0]}", [row for _, rows in found for row in rows])

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        if norm is not None and not torch.isfinite(torch.as_tensor(norm)):  # the same in every process
            assert self.of_step is not None
            rows = self._everywhere([row for batch in self.of_step[0].batches for row in batch.ids])
            raise self._not_finite(f"a gradient norm of {float(norm)}", rows)
        return norm

    def _not_finite(self, what: str, rows: Sequence[str]) -> NonFiniteLoss:
        found = f"{what} in step {self.state.global_step + 1}, from row{'s' if len(rows) > 1 else ''} {', '.join(dict.fromkeys(rows))}"
        remedy = "Look at these rows and drop them if they are broken; else lower the learning rate or the guidance weight, or use float32."
        return NonFiniteLoss("a finite loss in every step", found, remedy)

    def anywhere(self, *here: bool) -> list[bool]:
        """Of each question, whether it is so in any process; all of them must ask."""
        asked = torch.tensor([list(here)], dtype=torch.uint8, device=self.args.device)
        return [bool(answer) for answer in self.accelerator.gather(asked).any(0)]

    def _everywhere(self, items: list[Any]) -> list[Any]:
        """The items of all processes; all of them must ask."""
        return list(gather_object(items)) if self.args.world_size > 1 else items

    def _get_num_items_in_batch(self, batch_samples: list[StepBatches], device: torch.device) -> None:
        """Batches know the rows and tokens of their step themselves."""

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Called after each step with its learning rate, after evaluations and at the end."""
        if "learning_rate" in logs:
            logs = logs | self._step_values(logs)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _step_values(self, logs: dict[str, float]) -> dict[str, float]:
        assert self.of_step is not None
        batches, outputs = self.of_step
        seconds = time.perf_counter() - self.mark
        self.seconds, self.tokens = self.seconds + seconds, self.tokens + batches.tokens
        values = metrics(self._everywhere([_on_cpu(output) for output in outputs]), self.args.world_size)
        values |= {name: logs[name] for name in ("grad_norm", "learning_rate") if name in logs}
        if self.is_world_process_zero():
            values = self.report.step(self.state.global_step, values, batches.rows, batches.tokens, seconds)
        self.mark = time.perf_counter()
        return values

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """In the main process, of the model as it stands; the others wait."""
        self.gather()
        try:
            values = self.report.evaluation(self.state.global_step) if self.is_world_process_zero() else {}
        except Interrupted:  # in a process that is alone
            if self.of_step is None:  # nothing is done that is not saved
                raise
            self.interrupted = self.control.should_save = self.control.should_training_stop = True
            return {}
        self.accelerator.wait_for_everyone()
        self.log({f"eval_{name}": value for name, value in values.items()})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        self.mark = time.perf_counter()
        return values

    def _get_output_dir(self, trial: Any) -> str:
        return str(checkpoints.scratch(self.folder))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step, began = self.state.global_step, time.perf_counter()
        growing = checkpoints.scratch(self.folder) / f"checkpoint-{step}"
        with storing(self.folder, f"room and leave to save checkpoint {step}"):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.is_world_process_zero():
                write_json(growing / file_names.COST, {"seconds": self.seconds, "tokens": self.tokens})
                checkpoints.publish(growing, self.folder / file_names.CHECKPOINTS / growing.name)
                self.report.checkpoint(step)
        self.accelerator.wait_for_everyone()
        self.mark = self.saved = time.perf_counter()
        self.saving_seconds = self.saved - began

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Not after the last step: it is most of a checkpoint, and nobody goes on from there. Sharded weights are saved with it."""
        if self.sharded or self.state.global_step < self.state.max_steps:
            super()._save_optimizer_and_scheduler(output_dir)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """What learns, under its name in the TrainStep; sharded models save themselves beside their optimiser."""
        if state_dict is None and self.args.should_save:
            assert output_dir is not None
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_file({name: value.detach().contiguous() for name, value in _learning(self.model)}, Path(output_dir) / file_names.WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoint = Path(resume_from_checkpoint)
        sharded = not (checkpoint / file_names.WEIGHTS).is_file()
        if sharded != self.is_fsdp_enabled:
            kinds = {True: "sharded (FSDP)", False: "whole (one process, or DDP)"}
            expected, found = f"a checkpoint whose weights are {kinds[self.is_fsdp_enabled]}", f"{kinds[sharded]} in {checkpoint}"
            raise InputError(expected, found, "Go on as the run began, in any number of processes if its weights are whole.")
        if sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_file(checkpoint / file_names.WEIGHTS)
        with torch.no_grad():
            for name, value in _learning(self.model):
                value.copy_(saved[name])

    def resume_cost(self, checkpoint: Path) -> None:
        cost = read_json(checkpoint / file_names.COST, ("seconds", "tokens"))
        self.seconds, self.tokens = float(cost["seconds"]), int(cost["tokens"])


class _Between(TrainerCallback):
    """Before the first step the clock starts; between two of them the run is saved, and ends where any process has been asked to."""

    def __init__(self, trainer: RunTrainer, by_time: bool) -> None:
        self.trainer, self.by_time = trainer, by_time

    def on_epoch_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        self.trainer.mark = self.trainer.saved = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> Any:
        trainer = self.trainer
        due = self.by_time and checkpoints.due(time.perf_counter() - trainer.saved, trainer.saving_seconds)
        stop, save = trainer.anywhere(trainer.should_stop(), due)
        control.should_save |= stop or save
        control.should_training_stop |= stop
        return control


def _learning(step: Any) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in step.named_parameters() if value.requires_grad]


def _culprits(output: StepOutput, batch: TrainBatch) -> list[str]:
    """Rows whose own loss or reward is not finite; all of them where none stands out."""
    good = torch.isfinite(output.rows) & torch.isfinite(output.watched["reward_chosen"])
    return [row for row, fine in zip(batch.ids, good.tolist(), strict=True) if not fine] or list(batch.ids)


def _on_cpu(output: StepOutput) -> StepOutput:
    watched = {name: value.cpu() for name, value in output.watched.items()}
    return StepOutput(output.loss.cpu(), output.align.cpu(), output.guidance.cpu(), output.rows.cpu(), watched)


def _only(items: list[StepBatches]) -> StepBatches:
    return items[0]
