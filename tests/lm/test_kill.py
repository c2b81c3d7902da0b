"""SIGKILL at random moments loses nothing and changes no bit."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deft_core.importing import import_source
from tests.conftest import small_rows

ROOT = Path(__file__).parents[2]


def bits(folder):
    return {path.name: path.read_bytes() for pattern in ("part-*", "pooled-*", "head.npy", "discrepancy*") for path in folder.glob(pattern)}


@pytest.mark.slow
def test_ten_kills_then_completion_give_the_bits_of_an_uninterrupted_run(workspace, tiny, tmp_path):
    source = tmp_path / "many.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in small_rows(700)))
    import_source(workspace, str(source), "many")
    command = [sys.executable, "-m", "deft_core", "--workspace", str(workspace.root), "score", "many", "--model", str(tiny)]
    command += ["--batch-tokens", "150", "--json"]

    began = time.monotonic()
    report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    seconds = time.monotonic() - began
    folder = workspace.score_set("many", report["score_id"])
    expected = bits(folder)
    assert report["pairs"] == 700
    shutil.rmtree(folder)

    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, kills, left_behind = random.Random(seed), 0, set()
    while kills < 10:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.2, 1.0) * seconds)
            assert bits(folder) == expected
            shutil.rmtree(folder)  # it was faster than the kill: begin again
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            left_behind.add(len(list(folder.glob("part-*"))))
    done = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert (done["pairs"], done["score_id"]) == (700, report["score_id"])
    assert bits(folder) == expected
    assert len(left_behind) > 1, "the kills fell at different moments of the work"
