"""Under FSDP no process holds the model, and the gradients and the saved weights are those of one that does."""

from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from deft_core.lm.collator import Batching, batches_of
from deft_core.lm.losses import Objective
from deft_core.lm.train_step import TrainStep
from tests.lm.test_scoring import some_d
from tests.lm.test_train_step import build, train_rows
from tests.tiny_model import tiny_config


def whole_and_sharded(objective, tied, batching):
    """(gradients of the whole model over the whole step, the same model sharded, its weights)."""
    model = build(tiny_config(tie_word_embeddings=tied))
    step = TrainStep(model, some_d(), objective, 5.0)
    for batch in batches_of(train_rows(), batching).batches:
        step(batch).loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in step.named_parameters()}
    weights = {name: value.clone() for name, value in step.state_dict().items()}
    step.zero_grad()
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    return expected, fully_shard(step, mesh=mesh), weights


def one_of_two(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for method, tied in (("dpo", True), ("sft", False)):
        objective = Objective(method)
        batching = Batching(objective, 0, budget=30)
        expected, step, weights = whole_and_sharded(objective, tied, batching)
        own = batches_of(train_rows(), batching, rank, 2).batches
        for place, batch in enumerate(own):
            step.set_requires_gradient_sync(place == len(own) - 1)
            step(batch).loss.backward()
        compared = 0
        for name, parameter in step.named_parameters():
            assert parameter.to_local().numel() < parameter.numel()
            torch.testing.assert_close(parameter.grad.full_tensor(), expected[name], atol=1e-5, rtol=1e-5)
            compared += 1
        (Path(folder) / f"{method} {rank}").write_text(str(compared))
        state = get_model_state_dict(step, options=StateDictOptions(full_state_dict=True))
        fresh = TrainStep(build(tiny_config(tie_word_embeddings=tied)), some_d(), objective)
        fresh.load_state_dict(state)  # as a run saves what no process holds
        assert all(torch.equal(value, weights[name]) for name, value in fresh.state_dict().items())
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_a_sharded_model_has_the_gradients_and_the_weights_of_a_whole_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    compared = {path.name: int(path.read_text()) for path in tmp_path.glob("* ?")}
    # two layers of nine, the embedding, the last norm; with a head of its own one more
    assert compared == {"dpo 0": 20, "dpo 1": 20, "sft 0": 21, "sft 1": 21}
