"""What ends a run, or keeps it from beginning, says where, why and what to do."""

import math
from dataclasses import replace

import pytest
import torch

from deft_core.errors import InputError, ModelError, NonFiniteLoss, OutOfMemory
from deft_core.lm import models, reference
from deft_core.lm.collator import places_of_step
from deft_core.lm.run_rows import read_rows
from deft_core.lm.training import train
from tests.conftest import small_rows
from tests.lm.run_folders import SIX, Evaluation, events, run_folder, trained

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_loss_that_is_not_finite_names_the_step_and_the_rows(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    lm = models.load("tiny", tiny)
    rows = read_rows(folder / "input.parquet", lm, 1024)
    broken = places_of_step(2, 22, 4, 5)[1]  # of the third step
    known = {row.id: [-5.0] * len(row.ranks) for row in rows}
    reference.write_references(folder, known | {rows[broken].id: [math.nan] * len(rows[broken].ranks)})
    with pytest.raises(NonFiniteLoss) as raised:
        trained(folder)
    assert f"a loss of nan in step 3, from row {rows[broken].id}" in raised.value.found
    assert "learning rate" in raised.value.remedy
    assert [event["step"] for event in events(folder, "step")] == [1, 2]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, guidance=0.0))

    class Infinite(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.inf

    class Broken(Evaluation):
        """A model whose embeddings have an infinite gradient."""

        @staticmethod
        def prepare(model, tokenizer, folder, run, *, say, check):
            model.causal.get_input_embeddings().register_forward_hook(lambda module, given, out: Infinite.apply(out))
            return {"asked": 0}

    with pytest.raises(NonFiniteLoss, match=r"a gradient norm of (nan|inf) in step 1, from rows row-0"):
        train(folder, should_stop=lambda: False, say=lambda _: None, evaluation=Broken)


def test_out_of_memory_names_the_rows_and_what_to_lower(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, accumulation_tokens=2048))

    class Hungry(Evaluation):
        """A model whose second forward in training does not fit."""

        @staticmethod
        def prepare(model, tokenizer, folder, run, *, say, check):
            calls = []

            def full(*_):
                calls.append(1)
                if len(calls) == 2:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

            model.model.model.layers[0].register_forward_pre_hook(full)
            return {"asked": 0}

    with pytest.raises(OutOfMemory) as raised:
        train(folder, should_stop=lambda: False, say=lambda _: None, evaluation=Hungry)
    assert "none left in step 2, for rows row-0" in raised.value.found
    assert "padded tokens" in raised.value.found
    assert "Lower accumulation_tokens in run.json (now 2048)" in raised.value.remedy


def test_another_model_or_tokenizer_than_was_scored_with_is_refused(tiny, tmp_path):
    known = {"data": "d1", "d": "d2", "tokenizer": "other", "model": None, "selection": "s1"}
    with pytest.raises(ModelError, match="the tokenizer that the rows were scored with"):
        trained(run_folder(tmp_path / "a", tiny, SIX, fingerprints=known))
    with pytest.raises(ModelError, match="the model that the rows were scored with"):
        trained(run_folder(tmp_path / "b", tiny, SIX, fingerprints=known | {"tokenizer": None, "model": "other"}))


def test_a_tracker_that_is_not_there_is_said(tiny, tmp_path):
    with pytest.raises(InputError, match="trackers that are installed"):
        trained(run_folder(tmp_path / "run", tiny, replace(SIX, report_to="nonsense")))


def test_a_row_without_tokens_is_named_before_the_first_step(tiny, tmp_path):
    source = small_rows(22)
    source[7]["responses"] = ["", "a good answer"]
    folder = run_folder(tmp_path / "run", tiny, SIX, source)
    with pytest.raises(InputError, match="none in row row-007"):
        trained(folder)
    assert not (folder / "metrics.jsonl").exists()


def test_references_of_another_run_are_refused(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    reference.write_references(folder, {f"row-{place:03d}": [-1.0] for place in range(22)})
    with pytest.raises(InputError, match="a reference log-probability for each response"):
        trained(folder)


def test_memory_that_runs_out_before_the_first_step_is_said_too(tiny, tmp_path):
    class Hungry(Evaluation):
        @staticmethod
        def prepare(model, tokenizer, folder, run, *, say, check):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemory, match="around step 1, outside its micro-batches"):
        train(run_folder(tmp_path / "run", tiny, SIX), should_stop=lambda: False, say=lambda _: None, evaluation=Hungry)
