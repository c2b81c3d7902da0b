"""What a dataset costs at 10^4, 10^5, 10^6 and 10^7 rows, stage by stage: seconds, peak memory, and the slope between sizes.

    python benchmarks/scale.py [--quick] [--json] [--sizes N ...]
    python benchmarks/scale.py --draw FOUND PICTURE     curves of what --json printed, as a PNG (needs Chromium)

    import     a JSON-lines file (zstd) of pairs -> the workspace
    order      the rows once more in the order of their ids, as scoring begins with; the read of one part stands beside it
    count      d's token counts over the training split, with the default model's tokenizer
    open       the light table of every row with its scores, as a page reads it first
    query      a group-by over all rows, by deft query's own function
    brush      a box over two columns on the table in memory: the mask, six histograms
    what-if    every row's rewards under another d, from pooled states
    export     the highest 5 % to TRL's layout, read back

Each stage runs in a process of its own, so that each peak is its own; seconds leave out starting Python. Texts have 30 to 160 characters
and states 16 numbers wide (a model has 576 to 4,096), so that ten million rows fit on a small disk: import, order and count go with the
texts' length, what-if with the width. What scoring itself takes is in scoring.py, what a page takes in dashboard.py. slope is
log(time ratio) / log(row ratio): 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from generated import add_states, generate  # noqa: E402
from profiling import peak_memory_mb  # noqa: E402

from deft_core import file_names  # noqa: E402
from deft_core.workspace import Workspace  # noqa: E402

SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
WIDTH, VOCABULARY = 16, 49_152
BOX = {"reward_chosen": (0.0, 0.1), "turns": (1.0, 2.0)}
DRAWN = ["reward_chosen", "reward_rejected", "reward_margin", "turns", "tokens_chosen", "reward_mean"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 rows")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--draw", nargs=2, metavar=("FOUND", "PICTURE"), type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("STAGE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    if arguments.draw:
        draw(*arguments.draw)
        return
    sizes = [1_000, 10_000] if arguments.quick else arguments.sizes
    found: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), rows)
            for stage, results in found.items():
                results.append(in_fresh_process(stage, Path(folder)))
                print(f"{rows:>11,}  {stage:<8}" + "".join(f"  {name} {value:,}" for name, value in results[-1].items()), flush=True)
    if arguments.quick:
        print("so few rows show that every stage runs; what they take is mostly start-up, and slopes say nothing")
    slopes = {stage: slopes_of(sizes, [one["seconds"] for one in results]) for stage, results in found.items()}
    for stage, values in slopes.items():
        print(f"slope of {stage:<8}" + "".join(f"{value:>7.2f}" for value in values))
    if arguments.json:
        print(json.dumps({"sizes": sizes, "stages": found, "slopes": slopes}))


def slopes_of(sizes: list[int], seconds: list[float]) -> list[float]:
    steps = zip(sizes, sizes[1:], seconds, seconds[1:], strict=False)
    return [round(math.log(t1 / t0) / math.log(n1 / n0), 2) for n0, n1, t0, t1 in steps]


def draw(found: Path, picture: Path) -> None:
    """Seconds and peak memory of every stage over the number of rows, both axes logarithmic."""
    from photograph import photograph
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    results = json.loads(found.read_text(encoding="utf-8").splitlines()[-1])
    figure = make_subplots(1, 2, subplot_titles=("seconds", "peak memory, MB"), horizontal_spacing=0.08)
    for place, (stage, measured) in enumerate(results["stages"].items()):
        line = {"x": results["sizes"], "mode": "lines+markers", "name": stage, "line": {"color": qualitative.Safe[place]}}
        line["line"] |= {"dash": "dash"} if stage == "brush" else {}  # in memory it lies on `open`, which it begins with
        for column, name in enumerate(("seconds", "peak_mb"), 1):
            values = [one[name] for one in measured]
            figure.add_scatter(y=values, row=1, col=column, showlegend=column == 1, legendgroup=stage, **line)
    figure.update_xaxes(type="log", dtick=1, title="rows", exponentformat="power")
    figure.update_yaxes(type="log", dtick=1, tickformat=",~g")
    figure.update_yaxes(dtick="D2", col=2)  # ticks at 1, 2 and 5
    figure.update_layout(width=1000, height=400, template="plotly_white", margin={"l": 50, "r": 10, "t": 30, "b": 50})
    photograph({picture: figure})


def prepare(folder: Path, rows: int) -> None:
    """A file to import, and a scored dataset of the same size."""
    write_file(folder / "pairs.jsonl.zst", rows)
    generate(Workspace(folder / "scored"), "scored", rows, texts=False)
    add_states(Workspace(folder / "scored"), "scored", WIDTH, VOCABULARY)


def write_file(path: Path, rows: int) -> None:
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghiklmnoprstuvw", k=chance.randint(2, 10))) for _ in range(20_000)]
    text = " ".join(chance.choices(words, [1 / rank for rank in range(1, len(words) + 1)], k=1 << 20))
    with zstandard.open(path, "wt", encoding="utf-8") as out:
        for number in range(rows):
            starts = [chance.randrange(len(text) - 200) for _ in range(3)]
            prompt, chosen, rejected = (text[start : start + chance.randint(30, 160)] for start in starts)
            out.write(json.dumps({"prompt": f"{number} {prompt}", "chosen": chosen, "rejected": f"{rejected}."}) + "\n")


def in_fresh_process(stage: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", stage, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{stage} broke:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(stage: str, folder: Path) -> None:
    more = STAGES[stage](folder)
    print(json.dumps(more | {"peak_mb": round(peak_memory_mb())}))


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = run()
    return found, round(time.perf_counter() - began, 4)


# the stages, each with what it needs already there


def import_(folder: Path) -> dict[str, float]:
    from deft_core.importing import import_source

    report, seconds = timed(lambda: import_source(Workspace(folder / "imported"), str(folder / "pairs.jsonl.zst"), "imported"))
    assert report.rows_kept == report.rows_read
    size = Workspace(folder / "imported").pairs("imported").stat().st_size
    return {"seconds": seconds, "parquet_mb": round(size / 1e6)}


def order(folder: Path) -> dict[str, float]:
    from deft_core.lm import score_parts

    workspace = Workspace(folder / "imported")
    rows = workspace.dataset_info("imported")["rows_kept"]
    _, seconds = timed(lambda: score_parts.put_in_order(folder, workspace.pairs("imported"), rows))
    start, end = score_parts.part_bounds(rows)[-2]
    _, part = timed(lambda: score_parts.rows_of(folder, start, end))
    (folder / file_names.IN_ORDER).unlink()
    return {"seconds": seconds, "part_rows": end - start, "part_seconds": part}


def count(folder: Path) -> dict[str, float]:
    from deft_core import DEFAULT_MODEL
    from deft_core.lm import counting, models

    workspace = Workspace(folder / "imported")
    tokenizer = models.load_tokenizer(models.local_folder(DEFAULT_MODEL))
    conversations, of_conversations = timed(lambda: counting.training_conversations(workspace.pairs("imported")))
    tally, seconds = timed(lambda: counting.count(workspace.pairs("imported"), tokenizer, VOCABULARY, 1024))
    counts, of_counts = timed(lambda: tally.counts(conversations))
    shutil.rmtree(folder / "imported")  # its room is needed
    return {"seconds": round(seconds + of_conversations + of_counts, 4), "entries": len(counts.token_ids)}


def open_(folder: Path) -> dict[str, float]:
    from deft_core import queries

    table, seconds = timed(lambda: queries.light_table(queries.open_view(Workspace(folder / "scored"), "scored")))
    return {"seconds": seconds, "table_mb": round(table.memory_usage(deep=False).sum() / 1e6)}


def query(folder: Path) -> dict[str, float]:
    from deft_core import queries

    view = queries.open_view(Workspace(folder / "scored"), "scored")
    asked = "SELECT source, split, count(*), avg(reward_margin), quantile_cont(reward_chosen, 0.95) FROM pairs GROUP BY ALL"
    return {"seconds": timed(lambda: queries.user_sql(view, asked))[1]}


def brush(folder: Path) -> dict[str, float]:
    from deft_core import charts, filters, queries

    table = queries.light_table(queries.open_view(Workspace(folder / "scored"), "scored"))
    box = filters.Box(*(filters.Between(column, *bounds) for column, bounds in BOX.items()))
    axes = {column: charts.axis_of(table[column].to_numpy()) for column in DRAWN}

    def once() -> None:
        chosen = table[filters.mask(table, [box], {})]
        for column, axis in axes.items():
            charts.binned(chosen[column].to_numpy(), axis)

    once()
    return {"seconds": float(np.median([timed(once)[1] for _ in range(5)]))}


def what_if(folder: Path) -> dict[str, float]:
    from deft_core import queries
    from deft_core import what_if as asked
    from deft_core.pooled import open_head, open_pooled

    view = queries.open_view(Workspace(folder / "scored"), "scored")
    (pooled, head), opened = timed(lambda: (open_pooled(view), open_head(view)))
    change = asked.Change(("punctuation",), 5.0)
    return {"seconds": timed(lambda: asked.answer(view, pooled, head, change))[1], "open_seconds": opened}


def export(folder: Path) -> dict[str, float]:
    from deft_core import selecting, selections
    from deft_core.export import exporting
    from deft_core.rule import Rule

    workspace = Workspace(folder / "scored")
    _, drafted = timed(lambda: selections.save(workspace, "top", selecting.draft(workspace, "scored", Rule("highest", fraction=0.05))))
    report, seconds = timed(lambda: exporting.export(workspace, "top", folder / "top.jsonl"))
    return {"seconds": seconds, "select_seconds": drafted, "rows_out": report.rows}


STAGES: dict[str, Callable[[Path], dict[str, float]]] = {
    "import": import_,
    "order": order,
    "count": count,
    "open": open_,
    "query": query,
    "brush": brush,
    "what-if": what_if,
    "export": export,
}


if __name__ == "__main__":
    main()
