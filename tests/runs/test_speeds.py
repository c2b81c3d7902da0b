"""What earlier runs took is read from both ends of their metrics."""

from deft_core.processes import machine
from deft_core.runs import metrics
from deft_core.runs.monitor import listing
from deft_core.runs.spec import Settings, read_run
from deft_core.runs.speeds import measured, speed_of
from deft_core.workspace import append_line, write_json
from tests.runs.made import a_run


def ran(folder, tokens=1000, seconds=20.0, where=None):
    metrics.append(folder, "start", 0, machine=where or machine())
    for step in range(1, 2001):  # longer than what is read of either end
        append_line(
            folder / "metrics.jsonl", {"event": "step", "step": step, "time": 100.0 + step, "loss": 0.5, "margin": 1.25}, flush=False
        )
    append_line(folder / "metrics.jsonl", {"event": "evaluation", "step": 2000, "time": 2107.5})
    metrics.append(folder, "end", 2000, tokens=tokens, seconds=seconds, peak_memory_bytes=5_000_000)
    return folder


def test_the_speed_of_a_run_that_was_trained_to_its_end(workspace):
    folder = ran(a_run(workspace))
    write_json(folder / "evaluation.json", {"cost": {"evaluation_seconds": 12.5}})
    assert (folder / "metrics.jsonl").stat().st_size > 2 * 65_536
    speed = speed_of(folder, read_run(folder))
    # 1,000 tokens in 20 s; the last step was said at 2,100 s, its evaluation at 2,107.5 s
    assert (speed.tokens_per_second, speed.between_seconds, speed.final_seconds) == (50.0, 7.5, 12.5)
    assert (speed.peak_bytes, speed.heldout_rows) == (5_000_000, 4)


def test_one_from_another_machine_or_without_an_end_says_nothing(workspace):
    folder = a_run(workspace)
    assert speed_of(folder, read_run(folder)) is None
    ran(folder, where="another")
    assert speed_of(folder, read_run(folder)) is None
    other = a_run(workspace)
    metrics.append(other, "start", 0, machine=machine())
    assert speed_of(other, read_run(other)) is None


def test_the_newest_of_the_same_kind_counts(workspace):
    ran(a_run(workspace), tokens=1000)
    newest = ran(a_run(workspace), tokens=3000)
    ran(a_run(workspace, method="sft"), tokens=9000)
    ran(a_run(workspace, lora_rank=4), tokens=8000)
    runs = listing(workspace)
    assert measured(workspace, runs, "tiny", Settings(epochs=3.0, lr=1e-3)).run_id == newest.name
    assert measured(workspace, runs, "tiny", Settings(lora_rank=16)).tokens_per_second == 400.0
    assert measured(workspace, runs, "tiny", Settings("ipo")) is None
    assert measured(workspace, runs, "another", Settings()) is None
