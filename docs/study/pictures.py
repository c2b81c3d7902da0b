"""Draws the study's pictures from docs/study/results/, by deft_core/charts.py, and photographs them with Chromium: arms.png, lengths.png.

python docs/study/pictures.py      (or: make study-tables)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import plotly.graph_objects as go  # noqa: E402
from crossed import contrast  # noqa: E402
from photograph import photograph  # noqa: E402
from tables import RESULTS, arm, heldout, runs  # noqa: E402

from deft_core.charts import COLOURS, TITLES, framed  # noqa: E402

ARMS = {"random": COLOURS["random"], "highest": COLOURS["kept"], "length-matched": COLOURS["chosen"]}
ARMS |= {"lowest": COLOURS["rejected"], "lowest-lengths": COLOURS["base"]}
WIDTH, HEIGHT = 880, 360
CHANCE = 0.5


def main() -> None:
    folder = Path(__file__).parent
    photograph({folder / "arms.png": arms(), folder / "lengths.png": lengths()})


def drawn() -> dict[str, str]:
    """The arms that have runs, and their colours."""
    there = {one["arm"] for one in runs("primary", "lengths")}
    return {name: colour for name, colour in ARMS.items() if name in there}


def arms() -> go.Figure:
    """Held-out accuracy of every run, and each arm's mean with the interval that crosses conversations and runs."""
    about = heldout("hh")
    ids, conversations = about["id"].tolist(), about["conversation"].to_numpy()
    traces: list[dict[str, Any]] = []
    shown = drawn()
    for place, (name, colour) in enumerate(shown.items()):
        values = arm(name, "accuracy_implicit", ids)
        # against a coin on every row, which has no chance of its own
        found = contrast(values, np.full((1, len(ids)), CHANCE), conversations)
        mean = CHANCE + found.value
        above = np.linspace(-0.36, -0.12, len(values))  # so that the diamond hides none of them
        dots = {"type": "scatter", "mode": "markers", "x": values.mean(1), "y": place + above, "marker": {"color": colour, "opacity": 0.5}}
        errors = {"type": "data", "symmetric": False, "array": [found.high - found.value], "arrayminus": [found.value - found.low]}
        diamond = {"type": "scatter", "mode": "markers", "x": [mean], "y": [place], "error_x": errors}
        traces += [dots, diamond | {"marker": {"color": colour, "symbol": "diamond", "size": 13, "line": {"color": "white", "width": 1}}}]
    names = {"tickvals": list(range(len(shown))), "ticktext": [f"{name}  " for name in shown], "autorange": "reversed"}
    x = {
        "title": {"text": "accuracy_implicit on 691 held-out rows: every run, and the arm's mean with its 95 % interval"},
        "tickformat": ".2f",
    }
    line = {"type": "line", "x0": CHANCE, "x1": CHANCE, "y0": 0, "y1": 1, "yref": "y domain", "line": {"dash": "dot", "color": "#888"}}
    return _sized(framed(traces, x, names, {"shapes": [line]}))


def lengths() -> go.Figure:
    """Held-out accuracy of every run over the mean length of the chosen answers that it was trained on."""
    tokens = pd.read_parquet(RESULTS / "training-hh.parquet").set_index("id")["tokens_chosen"]
    traces = []
    for name, colour in drawn().items():
        own = [one for one in runs("primary", "lengths") if one["arm"] == name]
        x = [tokens[one["ids"]].mean() for one in own]
        y = [one["evaluation"]["alignment"]["accuracy_implicit"]["tuned"]["value"] for one in own]
        marker = {"color": colour, "size": 9, "opacity": 0.75}
        traces.append({"type": "scatter", "mode": "markers", "x": x, "y": y, "name": name, "marker": marker})
    across = {"title": {"text": f"{TITLES['tokens_chosen']}, mean of the subset"}}
    return _sized(framed(traces, across, {"title": {"text": "accuracy_implicit"}, "tickformat": ".2f"}, {"showlegend": True}))


def _sized(figure: go.Figure) -> go.Figure:
    return figure.update_layout(width=WIDTH, height=HEIGHT, template="plotly_white")


if __name__ == "__main__":
    main()
