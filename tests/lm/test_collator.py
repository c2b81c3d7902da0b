"""Every row once an epoch, in an order that the seed gives; however many processes share a step, it is the same step."""

import math
from dataclasses import replace

import pytest
import torch

from deft_core.lm.collator import Batching, StepsOfRun, batches_of, places_of_step
from deft_core.lm.losses import Objective
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow
from deft_core.lm.train_step import TrainStep
from tests.lm.test_scoring import some_d
from tests.lm.test_train_step import build, train_rows
from tests.tiny_model import tiny_config


def test_an_epoch_takes_every_row_once_and_the_next_one_in_another_order():
    steps = [places_of_step(step, 10, 4, 0) for step in range(6)]
    assert [len(places) for places in steps] == [4, 4, 2, 4, 4, 2]
    first, second = ([place for places in steps[k : k + 3] for place in places] for k in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [places_of_step(step, 10, 4, 0) for step in range(6)] == steps
    assert [places_of_step(step, 10, 4, 1) for step in range(6)] != steps


def test_a_step_is_never_larger_than_the_rows_there_are():
    assert [sorted(places_of_step(step, 2, 4, 0)) for step in (0, 1)] == [[0, 1], [0, 1]]


def rows_of_lengths(*lengths):
    return [
        replace(train_rows()[0], id=str(place), tokens=TokenRow([1] * 5, [[2] * length, [3] * 2], [True, True]))
        for place, length in enumerate(lengths)
    ]


def test_micro_batches_keep_to_the_budget_and_tell_the_whole_step():
    batching = Batching(Objective("dpo"), 0, budget=40)
    found = batches_of(rows_of_lengths(3, 13, 3, 33), batching)  # 10, 20, 10 and 40 tokens with prompt and rejected
    assert [batch.ids for batch in found.batches] == [("3",), ("1", "0"), ("2",)]  # 1 x 40, 2 x 20, 1 x 10
    assert (found.rows, found.tokens, found.fillers) == (4, 80, 0)
    assert {batch.step_rows for batch in found.batches} == {4}
    assert {batch.step_tokens for batch in found.batches} == {3 + 13 + 3 + 33 + 4}  # the chosen ones with their end tokens


@pytest.mark.parametrize("method", ["dpo", "sft", "pro"])
@pytest.mark.parametrize("processes", [2, 4])
def test_however_many_share_a_step_its_loss_and_gradients_are_the_same(method, processes):
    """With 3 rows and 4 processes one has nothing of its own; DDP takes the mean over the processes."""
    model, rows = build(tiny_config(tie_word_embeddings=True)), train_rows()
    step = TrainStep(model, some_d(), Objective(method), omega=5.0)
    batching = Batching(Objective(method), 0, budget=30)

    def gradients(process, of):
        model.zero_grad()
        found = batches_of(rows, batching, process, of)
        loss = sum(step(batch).loss for batch in found.batches)
        loss.backward()
        return loss.item(), [parameter.grad.clone() for parameter in model.parameters()], found

    whole, expected, _ = gradients(0, 1)
    shares = [gradients(process, processes) for process in range(processes)]
    assert sum(loss for loss, _, _ in shares) / processes == pytest.approx(whole, rel=1e-5)
    for place, gradient in enumerate(expected):
        mean = sum(share[place] for _, share, _ in shares) / processes
        torch.testing.assert_close(mean, gradient, atol=1e-5, rtol=1e-5)
    counts = [(len(found.batches), found.fillers, found.rows, found.tokens) for _, _, found in shares]
    assert len({count[0] for count in counts}) == 1, "sharded models meet in every forward"
    assert len({count[2:] for count in counts}) == 1
    own = [batch.ids for _, _, found in shares for batch in found.batches[: len(found.batches) - found.fillers]]
    assert sorted(row for ids in own for row in ids) == ["a", "b", "c"]


def test_a_filler_has_no_weight():
    found = batches_of(train_rows(), Batching(Objective("dpo"), 0), 3, 4)
    (filler,) = found.batches
    assert found.fillers == 1
    out = TrainStep(build(tiny_config()), some_d(), Objective("dpo"), omega=5.0)(filler)
    assert (out.loss.item(), out.align.item(), out.guidance.item()) == (0.0, 0.0, 0.0)
    assert filler.step_rows == math.inf


def test_a_run_is_a_list_of_steps():
    steps = StepsOfRun(rows_of_lengths(3, 4, 5, 6, 7), 4, 2, 0, Batching(Objective("dpo"), 0))
    taken = [[row for batch in steps[k].batches for row in batch.ids] for k in range(len(steps))]
    assert [sorted(ids) for ids in taken] == [sorted(map(str, places_of_step(k, 5, 2, 0))) for k in range(4)]
    assert isinstance(steps.rows[0], TrainRow)
