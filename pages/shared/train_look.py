"""What a run will do and whether it fits, as the Train page shows it: figures, problems, lengths, memory by part, rows left out."""

from __future__ import annotations

import streamlit as st

from deft_core import preflight_charts
from deft_core.charts import COLOURS
from deft_core.cost import Memory
from deft_core.runs import device as devices
from deft_core.runs import preflight as preflights
from deft_core.runs.device import Device
from deft_core.runs.facts import Facts
from deft_core.runs.preflight import Preflight
from deft_core.runs.spec import Settings
from deft_core.status import duration
from pages.shared import train_resources, widgets
from pages.shared.frame import Frame

PARTS = {  # of Memory: what a person calls them, and what they are
    "process": "Python and its libraries",
    "weights": "weights",
    "gradients": "gradients",
    "optimiser": "optimiser (two moments)",
    "activations": "activations of the largest forward",
    "logits": "logits of its answers",
    "base": "base model beside it, while evaluating",
}
WHILE_TRAINING = ("gradients", "activations", "logits")  # gone while it is evaluated


def preflight(frame: Frame, known: Facts, settings: Settings, device: Device) -> Preflight:
    speed = train_resources.speed(frame.workspace, known.model, settings)
    return preflights.preflight(known, settings, device, devices.free_disk_bytes(frame.workspace.root), speed)


def figures(found: Preflight) -> None:
    with st.container(horizontal=True, gap="medium"):
        _figure("rows", f"{found.rows:,}", f"{found.heldout_rows:,} held out to evaluate")
        _figure("steps", f"{found.steps:,}", f"{found.evaluations:,} evaluations on the way")
        _time(found)
        if found.memory:
            total = found.device.total_bytes
            below = f"of {_gigabytes(total)} {_where(found.device)}" if total else f"{found.device.name}: nobody says how much it has"
            _figure("memory, estimated", f"≈ {_gigabytes(found.memory.peak)}", below)
        if found.disk:
            help = "Two checkpoints at once at the most. The optimiser's part goes when the run is over."
            _figure("disk, at most", _gigabytes(found.disk.peak_bytes), f"{_gigabytes(found.disk.left_bytes)} stay", help)


def _where(device: Device) -> str:
    return "here" if device.kind == "cpu" else f"on {device.name}"


def _time(found: Preflight) -> None:
    seconds = found.seconds
    if seconds.training is None or seconds.total is None:
        _figure("time", "–", seconds.source)
        return
    help = f"An estimate from {seconds.source}. Scoring is done already; Compare adds what it took."
    evaluating = f"training {duration(seconds.training)}, evaluating {duration(seconds.evaluating or 0)}"
    _figure("time, estimated", f"≈ {duration(seconds.total)}", evaluating, help)


def _figure(label: str, value: str, below: str, help: str | None = None) -> None:
    st.metric(label, value, delta=below, delta_color="off", delta_arrow="off", width="content", help=help)


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.0f} MB"


def problems(found: Preflight) -> None:
    """Red: it will not work; else what one should know."""
    for problem in found.problems:
        text = f"{widgets.plain(problem.words)}. {widgets.plain(problem.remedy)}"
        if problem.blocks:
            st.error(text, icon=":material/block:")
        else:
            st.warning(text, icon=":material/info:")


def lengths(known: Facts, settings: Settings) -> None:
    rows = known.lengths
    if not len(rows):
        st.info("None of these rows is scored, so nobody knows how long they are.")
        return
    _, longest, _ = rows.read(settings.method)
    st.plotly_chart(
        preflight_charts.lengths(rows.prompt + longest, rows.cut, known.max_length), key="train-lengths", config={"displayModeBar": False}
    )


def memory(found: Preflight) -> None:
    """Every part as a bar of the device's memory."""
    need, device = found.memory, found.device
    if need is None:
        st.caption("The score set is of an older version and does not tell the model's size: memory and disk are not estimated.")
        return
    has = device.total_bytes or need.peak
    lines = "".join(_part(words, getattr(need, name), has, "base" if name == "base" else "kept") for name, words in PARTS.items())
    over = "rejected" if need.peak > has else "dropped"
    peak = _part(f"at most, while {_when(need)}", need.peak, has, over, weight=600)
    limit = (
        f"{_where(device)}: {_gigabytes(has)}, {_gigabytes(device.free_bytes)} free now" if device.free_bytes is not None else device.name
    )
    head = f'<div style="display:flex;justify-content:space-between;opacity:.7"><span>memory</span><span>{widgets.html(limit)}</span></div>'
    st.html(f'<div style="font-size:.88rem">{head}{lines}{peak}</div>')


def _when(need: Memory) -> str:
    return "training" if need.training >= need.evaluating else "evaluating"


def _part(words: str, number: float, has: float, colour: str, weight: int = 400) -> str:
    share = min(100.0, 100 * number / has)
    bar = f'<div style="width:{share:.2f}%;min-width:1px;height:.7rem;background:{COLOURS[colour]}"></div>'
    track = f'<div style="flex:1;background:rgba(128,128,128,.15)">{bar}</div>'
    left = f'<span style="width:15rem;max-width:45%">{widgets.html(words)}</span>'
    right = f'<span style="width:4.5rem;text-align:right;font-variant-numeric:tabular-nums">{_gigabytes(number)}</span>'
    style = f"display:flex;align-items:center;gap:.6rem;padding:.08rem 0;font-weight:{weight}"
    return f'<div style="{style}">{left}{track}{right}</div>'


def left_out(known: Facts) -> None:
    """Training rows that are not trained on, by reason."""
    lines = [f"{rows:,} {reason}" for reason, rows in known.left_out.items() if rows]
    total = known.rows + sum(known.left_out.values())
    words = f"{known.rows:,} of {total:,} training rows are trained on" + (f"; left out: {', '.join(lines)}." if lines else ".")
    st.caption(words)
