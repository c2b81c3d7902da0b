"""How fast every row is rewarded under another d and compared with before, beside plain NumPy and pandas.

    python benchmarks/what_if.py [--quick] [--json] [--rows N] [--rounds N]

What is timed is what the Discrepancy page waits for: a d without punctuation, smoothed by 5 (what_if_ms); d of one source (source_ms) and
of the 5 % of the training rows with the highest rewards (kept_ms), whose tokens are counted again. Each is from the settings to all four
reward columns with rank correlation and overlap; compare_ms is the part that these two take. Which row has which vectors is known
before, as on the page (open_ms, once); the states themselves come from their files every time, as they do there.

The peer does the first of them: pandas masks and ranks, NumPy multiplies. It knows that every row is a pair, and reads what it needs
each time (peer_ms), or holds everything in memory (peer_in_memory_ms; 4.6 kB a row). All take turns; medians. difference is the
largest one between its rewards and ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from generated import SOURCES, add_states, generate  # noqa: E402

from deft_core import queries, what_if  # noqa: E402
from deft_core.pooled import Head, Pooled, open_head, open_pooled  # noqa: E402
from deft_core.queries import View  # noqa: E402
from deft_core.relations import FRACTION, agreement  # noqa: E402
from deft_core.what_if import Answer, Change  # noqa: E402
from deft_core.workspace import Workspace  # noqa: E402

SMOOTH = 5.0
PEER = "pandas masks, ranks and picks the highest; NumPy multiplies the whole array of states, in float32 as ours"

Held = tuple[pd.DataFrame, npt.NDArray[np.float32], npt.NDArray[np.float32], pd.DataFrame]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 rows, 3 rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    rows = arguments.rows or (5_000 if arguments.quick else 100_000)
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Workspace(Path(folder)), rows, arguments.rounds or (3 if arguments.quick else 7))
    for name, value in result.items():
        print(f"{name:>18}  {value}")
    if arguments.json:
        print(json.dumps(result))


def measured(workspace: Workspace, rows: int, rounds: int, **sizes: int) -> dict[str, Any]:
    """Every figure over a generated workspace; `sizes` are add_states's."""
    generate(workspace, "generated", rows, texts=False)
    add_states(workspace, "generated", **sizes)
    view = queries.open_view(workspace, "generated")
    (pooled, head), open_ms = timed(lambda: (open_pooled(view), open_head(view)))
    held, best = loaded(view), highest(view)
    work: dict[str, Callable[[], Any]] = {
        "what_if_ms": lambda: ours(view, pooled, head, Change(("punctuation",), SMOOTH)),
        "peer_ms": lambda: plain(*loaded(view)),
        "source_ms": lambda: ours(view, pooled, head, Change(source=SOURCES[0])),
        "peer_in_memory_ms": lambda: plain(*held),
        "kept_ms": lambda: what_if.answer(view, pooled, head, Change(kept="highest"), best),
    }
    found = {name: run() for name, run in work.items()}  # once without a clock: files in the system's memory, code imported
    work["compare_ms"] = lambda: compared(held[3], found["what_if_ms"], pooled)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            times[name].append(timed(run)[1])
    medians = {name: round(statistics.median(times[name]), 1) for name in times}
    return summary(rows, medians, times, found) | {"open_ms": round(open_ms, 1), "rounds": rounds, "peer": PEER}


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = run()
    return result, (time.perf_counter() - began) * 1e3


def summary(rows: int, medians: dict[str, float], times: dict[str, list[float]], found: dict[str, Any]) -> dict[str, Any]:
    def ratio(peer: str) -> float:
        """The peer's time over ours, the median over the rounds."""
        return round(statistics.median(theirs / mine for mine, theirs in zip(times["what_if_ms"], times[peer], strict=True)), 2)

    mine, (rewards, correlation, overlap) = found["what_if_ms"], found["peer_ms"]
    figures = {"rows": rows, **{name: medians[name] for name in ("what_if_ms", "compare_ms")}, "ratio": ratio("peer_ms")}
    figures |= {"ratio_in_memory": ratio("peer_in_memory_ms"), **{name: medians[name] for name in medians if name not in figures}}
    figures |= {"rank_correlation": round(mine.rank_correlation, 4), "kept_overlap": round(mine.kept_overlap, 4)}
    figures |= {"peer_rank_correlation": round(correlation, 4), "peer_kept_overlap": round(overlap, 4)}
    return figures | {"difference": float(np.abs(mine.rewards["reward_chosen"] - rewards).max())}


# ours


def ours(view: View, pooled: Pooled, head: Head, change: Change) -> Answer:
    return what_if.answer(view, pooled, head, change)


def compared(rows: pd.DataFrame, found: Answer, pooled: Pooled) -> tuple[float, float]:
    train = pooled.train()
    before, after = rows["reward_chosen"].to_numpy()[train], found.rewards["reward_chosen"][train]
    return agreement(before, after)


def highest(view: View) -> list[str]:
    table = queries.light_table(view)
    table = table[table["split"] == "train"]
    return list(table.nlargest(int(FRACTION * len(table) + 0.5), "reward_chosen")["id"])


# the peer


def loaded(view: View) -> Held:
    """The token table, the head [V, H], the states [2 N, H] and the rows [N] with their rewards."""
    folder = view.parts[0].parent
    states = np.concatenate([np.load(path) for path in sorted(folder.glob("pooled-*.npy"))])
    rows = pd.concat([pd.read_parquet(part, columns=["id", "reward_chosen"]) for part in view.parts])
    rows = rows.merge(pd.read_parquet(view.pairs, columns=["id", "split"]), on="id")
    return pd.read_parquet(folder / "discrepancy.parquet"), np.load(folder / "head.npy"), states, rows


def plain(
    tokens: pd.DataFrame, head: npt.NDArray[np.float32], states: npt.NDArray[np.float32], rows: pd.DataFrame
) -> tuple[npt.NDArray[np.float32], float, float]:
    """(rewards of the chosen [N], rank correlation, overlap) without punctuation, smoothed."""
    counts = tokens[["count_chosen", "count_rejected"]][tokens["token"].str.contains(r"[^\W_]")]
    counts = counts[counts.sum(axis=1) > 0] + SMOOTH
    shares = counts / counts.sum()
    d = (shares["count_chosen"] - shares["count_rejected"]).reindex(tokens.index, fill_value=0.0).to_numpy(np.float32)
    pairs = (states @ (d @ head)).reshape(-1, 2)
    frame = rows.assign(chosen=pairs[:, 0], rejected=pairs[:, 1], margin=pairs[:, 0] - pairs[:, 1], mean=pairs.mean(1))
    train = frame[frame["split"] == "train"]
    count = int(FRACTION * len(train) + 0.5)
    both = train["chosen"].nlargest(count).index.intersection(train["reward_chosen"].nlargest(count).index)
    return pairs[:, 0], float(train["chosen"].rank().corr(train["reward_chosen"].rank())), len(both) / count


if __name__ == "__main__":
    main()
