"""SIGKILL at random moments loses nothing and changes no bit."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deft_core.importing import import_source
from deft_core.lm import default_model
from tests.conftest import small_rows
from tests.runs.made import until

ROOT = Path(__file__).parents[2]


def bits(folder):
    return {path.name: path.read_bytes() for pattern in ("part-*", "pooled-*", "head.npy", "discrepancy*") for path in folder.glob(pattern)}


def killed(workspace, name, *options, times=10, early=0.2):
    """Scores `name` once without and once with kills at random moments; what every kill left behind."""
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), "score", name, *options, "--json"]
    began = time.monotonic()
    report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    seconds = time.monotonic() - began
    folder = workspace.score_set(name, report["score_id"])
    expected = bits(folder)
    shutil.rmtree(folder)

    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, left_behind = random.Random(seed), []
    while len(left_behind) < times:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(early, 1.0) * seconds)
            assert bits(folder) == expected
            shutil.rmtree(folder)  # it was faster than the kill: begin again
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            left_behind.append(len(list(folder.glob("part-*"))))
    done = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert (done["pairs"], done["score_id"]) == (report["pairs"], report["score_id"])
    assert bits(folder) == expected
    print(f"parts there at each kill: {left_behind}")
    return report["pairs"], left_behind


@pytest.mark.slow
def test_ten_kills_then_completion_give_the_bits_of_an_uninterrupted_run(workspace, tiny, tmp_path):
    source = tmp_path / "many.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in small_rows(700)))
    import_source(workspace, str(source), "many")
    pairs, left_behind = killed(workspace, "many", "--model", str(tiny), "--batch-tokens", "150")
    assert pairs == 700
    assert len(set(left_behind)) > 1, "the kills fell at different moments of the work"


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["leader", "helper"])
def test_of_two_that_share_the_work_one_is_killed_and_no_bit_changes(workspace, tiny, tmp_path, killed):
    source = tmp_path / "many.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in small_rows(700)))
    import_source(workspace, str(source), "many")
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), "score", "many", "--model", str(tiny)]
    command += ["--batch-tokens", "150", "--json"]
    report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    folder = workspace.score_set("many", report["score_id"])
    expected = bits(folder)
    shutil.rmtree(folder)
    leader = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until((folder / "score.json").is_file)
    leader.send_signal(signal.SIGSTOP)  # however fast it is, there is work for two
    with (tmp_path / "said").open("w+") as said:
        helper = subprocess.Popen([*command, "--share"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said)
        until(lambda: "this one helps" in (tmp_path / "said").read_text())
        gone, stays = (leader, helper) if killed == "leader" else (helper, leader)
        gone.kill()
        gone.wait()
        stays.send_signal(signal.SIGCONT)
        assert stays.wait(300) == 0
    assert bits(folder) == expected
    assert not list(folder.glob(".part-*"))


@pytest.mark.slow
def test_so_do_four_with_the_default_model_on_real_text(workspace):
    default_model.ensure(print)
    import_source(workspace, str(ROOT / "data/demo/pairs.jsonl"), "real")
    pairs, _ = killed(workspace, "real", "--limit", "24", times=4, early=0.3)
    assert pairs == 24
