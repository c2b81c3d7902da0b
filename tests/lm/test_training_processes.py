"""Runs in processes of their own: killed at random, shared by two, or with no room left on the disk."""

import json
import math
import random
import re
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from deft_core.lm import models
from deft_core.lm.collator import places_of_step
from deft_core.lm.reference import write_references
from deft_core.lm.run_rows import read_rows
from deft_core.runs.spec import Settings
from tests.lm.run_folders import assert_same_bits, events, run_folder, weights
from tests.runs.made import until

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


SHARDED = (*TORCHRUN, "-m", "tests.lm.train_sharded")


def command(folder, *launcher):
    module = () if launcher[-1:] == SHARDED[-1:] else ("-m", "tests.lm.train_once")
    return [sys.executable, *launcher, *module, str(folder)]


def finished(folder, *launcher, last=(), **options):
    done = subprocess.run(
        [*command(folder, *launcher), *last], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, **options
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stopped_after_a_checkpoint(folder, *launcher):
    process = subprocess.Popen(command(folder, *launcher), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    saved = [folder / "checkpoints" / f"checkpoint-{step}" for step in (4, 6)]
    try:
        until(lambda: process.poll() is not None or any(one.is_dir() for one in saved), seconds=300)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()


def losses(folder):
    """Of each step, as often as it was done."""
    found = {}
    for event in events(folder, "step"):
        found.setdefault(event["step"], []).append(event["loss"])
    return found


@pytest.mark.slow
def test_five_kills_then_completion_give_the_bits_of_an_uninterrupted_run(tiny, tmp_path):
    settings = Settings(steps=40, lr=1e-3, guidance=None, save_steps=3, seed=1)
    whole, folder = run_folder(tmp_path / "whole", tiny, settings), run_folder(tmp_path / "run", tiny, settings)
    assert finished(whole)["step"] == 40
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, killed_at = random.Random(seed), []
    for low in (1, 8, 16, 24, 32):
        aim = rng.randrange(low, low + 7)
        process = subprocess.Popen(command(folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (folder / "metrics.jsonl").is_file() or max(losses(folder), default=0) < aim:
            assert process.poll() is None
            time.sleep(0.002)  # looks again, waits for nothing in particular
        time.sleep(rng.uniform(0, 0.05))  # anywhere within a step, an evaluation or a checkpoint
        process.kill()
        process.wait()
        killed_at.append(max(losses(folder)))
    print(f"killed at {killed_at}")
    assert not (folder / "model").exists()
    assert finished(folder)["step"] == 40
    assert_same_bits(weights(folder), weights(whole))
    expected = losses(whole)
    assert {step: set(values) for step, values in losses(folder).items()} == {step: set(values) for step, values in expected.items()}
    assert sum(map(len, losses(folder).values())) > 40, "something was done again after a kill"
    omegas = [json.loads((one / "resolved.json").read_text())["omega"] for one in (folder, whole)]
    assert omegas[0] == omegas[1]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "sft"])
def test_two_processes_train_as_one_does(tiny, tmp_path, method):
    """22 rows in steps of 3: the last step of an epoch has one row, so one process goes without."""
    settings = Settings(method=method, steps=9, rows_per_step=3, lr=1e-3, guidance=1.0, max_grad_norm=0.5, accumulation_tokens=200)
    one, two = run_folder(tmp_path / "one", tiny, settings), run_folder(tmp_path / "two", tiny, settings)
    alone = finished(one)
    shared = finished(two, *TORCHRUN)
    assert (shared["step"], shared["tokens"]) == (alone["step"], alone["tokens"])
    assert events(two, "start")[0]["processes"] == 2
    for name in ("loss", "loss_guidance", "grad_norm", "reward_chosen", "logp_chosen", "entropy"):
        first, second = ([event[name] for event in events(folder, "step")] for folder in (one, two))
        assert second == pytest.approx(first, rel=2e-4, abs=2e-5), name
    before = load_file(tiny / "model.safetensors")
    for name, value in weights(one).items():
        moved, apart = (value - before[name]).abs().max().item(), (value - weights(two)[name]).abs().max().item()
        assert apart < 0.02 * moved, name  # Adam turns rounding of tiny gradients into whole steps


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_ends_both_in_words(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, Settings(steps=3, guidance=0.0))
    row = read_rows(folder / "input.parquet", models.load("tiny", tiny), 1024)[places_of_step(1, 22, 4, 0)[0]]
    write_references(folder, {row.id: [math.nan] * len(row.ranks)})
    done = subprocess.run(command(folder, *TORCHRUN), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    errors = [json.loads(line) for line in done.stdout.replace("}{", "}\n{").splitlines() if line.startswith("{")]  # two write at once
    assert [error["error"] for error in errors] == ["NonFiniteLoss"] * 2
    assert all(f"a loss of nan in step 2, from row {row.id}" in error["message"] for error in errors)


@pytest.mark.slow
def test_two_processes_resume_with_the_same_bits(tiny, tmp_path):
    settings = Settings(steps=8, lr=1e-3, save_steps=2, guidance=None)
    whole, folder = run_folder(tmp_path / "whole", tiny, settings), run_folder(tmp_path / "run", tiny, settings)
    finished(whole, *TORCHRUN)
    stopped_after_a_checkpoint(folder, *TORCHRUN)
    finished(folder, *TORCHRUN)
    assert_same_bits(weights(folder), weights(whole))


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(TORCHRUN, ()), ((), TORCHRUN)])
def test_a_checkpoint_of_two_processes_resumes_in_one_and_the_other_way_round(tiny, tmp_path, first, then):
    settings = Settings(steps=8, lr=1e-3, save_steps=2, guidance=1.0, max_grad_norm=0.5)
    whole, folder = run_folder(tmp_path / "whole", tiny, settings), run_folder(tmp_path / "run", tiny, settings)
    finished(whole)
    stopped_after_a_checkpoint(folder, *first)
    finished(folder, *then)
    assert [event["processes"] for event in events(folder, "start")] == ([2, 1] if first else [1, 2])
    expected = losses(whole)
    assert set(losses(folder)) == set(expected) == set(range(1, 9))
    for step, values in losses(folder).items():
        assert values == pytest.approx(expected[step] * len(values), rel=2e-4, abs=2e-5), step
    before = load_file(tiny / "model.safetensors")
    for name, value in weights(whole).items():
        moved, apart = (value - before[name]).abs().max().item(), (value - weights(folder)[name]).abs().max().item()
        assert apart < 0.02 * moved, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "words"), [(SHARDED, (), "weights are whole .*; found sharded"), ((), SHARDED, "weights are sharded")]
)
def test_a_sharded_checkpoint_and_a_whole_one_are_not_taken_for_each_other(tiny, tmp_path, first, then, words):
    folder = run_folder(tmp_path / "run", tiny, Settings(steps=8, save_steps=2, guidance=1.0))
    stopped_after_a_checkpoint(folder, *first)
    done = subprocess.run(command(folder, *then), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert re.search(words, done.stdout)
    assert "Go on as the run began" in done.stdout
    assert list((folder / "checkpoints").glob("checkpoint-*"))  # and so it can


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rank"), [("dpo", 0), ("sft", 4)])
def test_a_sharded_run_is_that_of_one_process_and_is_evaluated_as_it_goes(tiny, tmp_path, method, rank):
    """FSDP 2 through accelerate and the Trainer, on a CPU; see train_sharded."""
    settings = Settings(method=method, steps=8, rows_per_step=3, lr=1e-3, guidance=1.0, max_grad_norm=0.5, accumulation_tokens=200)
    settings = replace(settings, lora_rank=rank, eval_steps=4, save_steps=4, new_tokens=4)
    one, two = run_folder(tmp_path / "one", tiny, settings), run_folder(tmp_path / "two", tiny, settings)
    alone, shared = finished(one, last=["evaluated"]), finished(two, *SHARDED, last=["evaluated"])
    assert (shared["step"], shared["tokens"]) == (alone["step"], alone["tokens"])
    for name in ("loss", "loss_guidance", "grad_norm", "reward_chosen", "logp_chosen"):
        first, second = ([event[name] for event in events(folder, "step")] for folder in (one, two))
        assert second == pytest.approx(first, rel=2e-4, abs=2e-5), name
    evaluations = [events(folder, "evaluation") for folder in (one, two)]
    assert [event["step"] for event in evaluations[1]] == [event["step"] for event in evaluations[0]] == [0, 4, 8]
    for name in ("margin", "reward_chosen", "perplexity_neutral"):
        first, second = ([event[name] for event in found] for found in evaluations)
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4), name
    assert evaluations[1][-1]["kl"] > 1e-6
    assert (two / "model" / "adapter").exists() == (rank > 0)
    before = load_file(tiny / "model.safetensors")
    for name, value in weights(one).items():
        moved, apart = (value - before[name]).abs().max().item(), (value - weights(two)[name]).abs().max().item()
        assert apart <= 0.02 * moved, name


@pytest.mark.slow
def test_a_sharded_run_goes_on_from_its_checkpoint(tiny, tmp_path):
    settings = Settings(steps=8, lr=1e-3, save_steps=2, guidance=1.0)
    whole, folder = run_folder(tmp_path / "whole", tiny, settings), run_folder(tmp_path / "run", tiny, settings)
    finished(whole, *SHARDED)
    stopped_after_a_checkpoint(folder, *SHARDED)
    finished(folder, *SHARDED)
    assert_same_bits(weights(folder), weights(whole))
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["checkpoint-8"]


def failed(folder, **options):
    done = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["message"]


@pytest.mark.slow
def test_a_disk_without_room_for_a_checkpoint_ends_the_run_in_words(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, Settings(steps=4, save_steps=2))
    small = 100_000  # bytes: less than the weights, more than everything written before them
    message = failed(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (small, small)))
    assert "Expected room and leave to save checkpoint 2" in message
    assert "Free some space" in message
    assert "resume the run" in message
    assert not list((folder / "checkpoints").glob("checkpoint-*"))
    assert finished(folder)["step"] == 4


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_to_is_said_at_once(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, Settings(steps=4))
    (folder / "checkpoints").write_text("a file in the folder's place")
    message = failed(folder)
    assert "Expected a run folder that can be written to" in message
    assert str(folder) in message
    assert not (folder / "metrics.jsonl").exists()
