"""How fast a large JSON-lines file becomes a dataset, beside `datasets.load_dataset("json")` on the same file.

    python benchmarks/import.py [--quick] [--json] [--rows N] [--rounds N]

Both run in fresh processes, one after the other in every round, so that each peak of memory is its own; the medians are compared.
The peer converts the file to Arrow and stops there: it does not check, refuse, rank, split or hash a row, which is most of an import.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

WORDS = 20_000
PEER = 'load_dataset("json", data_files=FILE, split="train", cache_dir=FRESH), one process as ours is one process'
PEER_LEAVES_OUT = "validation, refused rows with reasons, ranking, splits by conversation, content hashes"


def main() -> None:
    arguments = parsed_arguments()
    rows = arguments.rows or (5_000 if arguments.quick else 200_000)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.jsonl"
        write_rows(file, rows)
        measured: dict[str, list[dict[str, float]]] = {"ours": [], "datasets": []}
        for _ in range(rounds):
            for who, results in measured.items():
                results.append(in_fresh_process(who, file))
        result = summary(measured, file.stat().st_size / 1e6, rows, rounds)
    print_table(result)
    if arguments.json:
        print(json.dumps(result))


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 rows, one round")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--measure", nargs=2, metavar=("WHO", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        sys.exit()
    return arguments


def write_rows(file: Path, rows: int) -> None:
    """About 1 kB a row: a question, two answers that share an opening, a score and a source; word frequencies as in real text."""
    random_ = random.Random(0)
    words = ["".join(random_.choices("abcdefghiklmnoprstuvw", k=random_.randint(2, 10))) for _ in range(WORDS)]
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    text = random_.choices(words, weights, k=1 << 20)

    def sentence(length: int) -> str:
        start = random_.randrange(len(text) - length)
        return " ".join(text[start : start + length]).capitalize() + "."

    with file.open("w", encoding="utf-8") as out:
        for number in range(rows):
            opening = sentence(6)
            row = {
                "prompt": sentence(random_.randint(10, 40)),
                "chosen": f'{opening} "{sentence(random_.randint(30, 90))}"\n{sentence(10)}',
                "rejected": f"{opening} {sentence(random_.randint(20, 80))} — {number}",
                "score": random_.randint(1, 5),
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def in_fresh_process(who: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", who, str(file)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))


def measure(who: str, file: str) -> None:
    """Runs one side in this process, prints its seconds (imports not counted) and its peak memory."""
    import resource

    work = {"ours": import_ours, "datasets": import_datasets}[who]
    with tempfile.TemporaryDirectory() as folder:
        seconds = work(file, folder)
    print(json.dumps({"seconds": seconds, "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def import_ours(file: str, folder: str) -> float:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from deft_core.importing import import_source
    from deft_core.workspace import Workspace

    return timed(lambda: import_source(Workspace(Path(folder)), file, "benchmark"))


def import_datasets(file: str, folder: str) -> float:
    import datasets

    datasets.disable_progress_bars()
    return timed(lambda: datasets.load_dataset("json", data_files=file, split="train", cache_dir=folder))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def summary(measured: dict[str, list[dict[str, float]]], megabytes: float, rows: int, rounds: int) -> dict[str, object]:
    seconds = {who: median(result["seconds"] for result in results) for who, results in measured.items()}
    memory = {who: median(result["peak_memory_mb"] for result in results) for who, results in measured.items()}
    return {
        "megabytes_per_second": round(megabytes / seconds["ours"], 1),
        "ratio_datasets": round(seconds["datasets"] / seconds["ours"], 3),
        "peak_memory_mb": round(memory["ours"]),
        "rows": rows,
        "megabytes": round(megabytes, 1),
        "seconds": round(seconds["ours"], 2),
        "rows_per_second": round(rows / seconds["ours"]),
        "rounds": rounds,
        "datasets_seconds": round(seconds["datasets"], 2),
        "datasets_peak_memory_mb": round(memory["datasets"]),
        "peer": PEER,
        "peer_leaves_out": PEER_LEAVES_OUT,
    }


def print_table(result: dict[str, object]) -> None:
    for name, value in result.items():
        print(f"{name:>24}  {value}")


if __name__ == "__main__":
    main()
