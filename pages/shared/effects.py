"""What keeping these rows comes to and changes: rows, tokens, time and memory, composition, overlap with other subsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import psutil
import streamlit as st

from deft_core import charts, composition, cost, selection, uncertainty
from deft_core.charts import COLOURS
from deft_core.rule import Rule
from deft_core.status import duration
from pages.shared import certainty, resources, rule_bar, state, widgets
from pages.shared.picked import Picked

NAMES = {
    "reward_chosen": "reward, chosen",
    "reward_rejected": "reward, rejected",
    "reward_margin": "reward, chosen minus rejected",
    "tokens_chosen": "tokens, chosen",
    "tokens_rejected": "tokens, rejected",
    "tokens_prompt": "tokens, prompt",
}
SOURCES = 4  # shown of the shares that change most
OTHERS = 4  # selections whose overlap is shown


def figures(picked: Picked) -> None:
    rows = len(picked.places)
    with widgets.figures("kept"):
        train = int(picked.train.sum())
        widgets.figure("kept", f"{rows:,}", f"{rows / max(1, train):.1%} of {train:,} training rows", _by_hand(picked))
        widgets.figure("dropped", f"{train - rows:,}", "training rows")
        if rows and "tokens_chosen" in picked.look.table:
            _cost(
                picked,
                *(resources.numbers(picked.look.table, f"tokens_{name}", picked.places) for name in ("prompt", "chosen", "rejected")),
            )
        _uncertain(picked)


def _uncertain(picked: Picked) -> None:
    """How many rows might as well be on the other side of the cut."""
    if picked.probability is not None:
        rows = int(uncertainty.uncertain(np.nan_to_num(picked.probability)).sum())
        help = "Rows that the rule keeps in more than 5 % and in fewer than 95 % of 200 bootstrap draws of d, by whole conversations."
        widgets.figure("place uncertain", f"{rows:,}", "shaded in the histogram", help)
    elif _can_ask(picked) and not state.value(state.PLACES):
        with st.container(width="content", gap=None):
            st.metric("place uncertain", "–", width="content")
            st.button("find these rows", icon=":material/search:", type="tertiary", on_click=state.put, args=(state.PLACES, "1"))


def _can_ask(picked: Picked) -> bool:
    return uncertainty.can_tell(picked.rule) and bool(picked.look.view.parts) and not certainty.lacks_counts(picked.look)


def _by_hand(picked: Picked) -> str | None:
    added, removed = len(picked.subset.added), len(picked.subset.removed)
    if not added and not removed:
        return None
    return f"The rule keeps {picked.kept.sum():,}; by hand {added:,} more are kept and {removed:,} of them dropped."


def _cost(picked: Picked, prompt: selection.Floats, chosen: selection.Floats, rejected: selection.Floats) -> None:
    """Tokens of one epoch, and what it would take on this device."""
    measured = resources.measured(picked.frame.workspace, picked.look.view)
    pairs = cost.pair_tokens(prompt, chosen, rejected)
    tokens = pairs[~np.isnan(pairs)]
    help = (
        "Prompt, chosen and rejected of every kept pair: what one epoch of a pair loss reads, the prompt once for both. DPO and IPO "
        "read every row once more for the reference, unless it comes from the scores."
    )
    widgets.figure("tokens an epoch", f"{tokens.sum():,.0f}", f"{tokens.mean():,.0f} a pair" if len(tokens) else "–", help)
    if measured.tokens_per_second:
        seconds = cost.training_seconds(float(tokens.sum()), measured.tokens_per_second)
        speed = f"{measured.tokens_per_second:,.0f} tokens a second that scoring reached on this machine"
        help = f"An estimate: 3 forward passes (one forward, backward as much as two) at the {speed}. "
        help += "DPO and IPO take one more for the reference, unless it comes from the scores."
        widgets.figure("an epoch, estimated", f"≈ {duration(seconds)}", f"scoring took {duration(measured.seconds)}", help)
    if measured.size and len(tokens):
        longest = int(np.nanargmax(pairs))
        need = cost.training_bytes(measured.size, pairs[longest], chosen[longest] + rejected[longest])
        size = f"{measured.size.parameters / 1e6:,.0f} million parameters"
        help = (
            f"An estimate for full fine-tuning, one pair a step: 16 bytes for each of {size} (weights, gradients, two moments), "
            f"activations of the longest kept pair ({pairs[longest]:,.0f} tokens), and {cost.LOGITS_AT_A_TIME:,} logits at a time for each "
            "token of its responses."
        )
        here = f"of {psutil.virtual_memory().total / 1e9:,.1f} GB here" if measured.device == "cpu" else f"on {measured.device}"
        widgets.figure("memory, estimated", f"≈ {need / 1e9:,.1f} GB", here, help)


# how the subset differs from the whole


def composition_table(picked: Picked) -> None:
    table, version = picked.look.table, picked.look.version
    whole_means, whole_shares = resources.whole(version, picked.rule.by, table)
    columns = list(whole_means.index)
    kept = composition.means(table, picked.places, columns)
    lines = [
        (NAMES.get(name) or charts.title(name), _number(whole_means[name]), _number(kept[name]), _change(whole_means[name], kept[name]))
        for name in columns
    ]
    shares = composition.shares(table, picked.places)
    if len(shares) > 1:
        moved = (shares - whole_shares).abs().sort_values(ascending=False, kind="stable").index[:SOURCES]
        for name in moved:
            line = (
                f"source {name or '(none)'}",
                f"{whole_shares[name]:.1%}",
                f"{shares[name]:.1%}",
                f"{100 * (shares[name] - whole_shares[name]):+z.1f}".replace("+0.0", "0.0"),
            )
            lines.append(line)
    _lines(("mean or share", "all training rows", "kept", "change"), lines)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:,.4g}" if abs(value) < 1 else f"{value:,.1f}"


def _change(whole: float, kept: float) -> str:
    if np.isnan(whole) or np.isnan(kept):
        return ""
    if min(whole, kept) > 0.5:
        return f"{100 * (kept - whole) / whole:+.0f} %".replace("-0 %", "0 %").replace("+0 %", "0 %")
    return f"{kept - whole:+.2g}"


def _lines(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    head = f'<thead style="opacity:.7">{_line(heads, "th")}</thead>'
    body = "".join(_line(cells, "td") for cells in lines)
    style = "width:100%;border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums"
    st.html(f'<table style="{style}">{head}<tbody>{body}</tbody></table>')


def _line(cells: Sequence[str], tag: str) -> str:
    first, *rest = (widgets.html(cell) for cell in cells)
    style = "text-align:right;padding:.1rem 0 .1rem .8rem;font-weight:inherit;white-space:nowrap"
    numbers = "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell in rest)
    return f'<tr><{tag} style="text-align:left;font-weight:inherit">{first}</{tag}>{numbers}</tr>'


# overlap


def overlaps(picked: Picked) -> None:
    """With a random subset of the same size, expected and drawn once, and with the other selections of the dataset."""
    rows, rule, mask = len(picked.places), picked.rule, picked.subset.mask
    through = picked.decided.through
    members, chance = resources.control(
        picked.look.version, through, rule.by, rule.where, rule.seed + 1, picked.pool, picked.decisions, picked.ids
    )
    lines = []
    if rows and len(chance):
        expected = rows * int((mask & members).sum()) / max(rows, len(chance))
        lines.append(
            (
                f"{widgets.count(rows, 'random row')} of the same pool",
                f"{expected:,.1f} expected",
                f"{mask[chance[:rows]].sum():,} in one draw",
                "random",
            )
        )
    for reference, positions in resources.other_selections(picked.frame.workspace, picked.look.view, picked.ids)[:OTHERS]:
        both = int(mask[positions].sum())
        lines.append((reference, f"{both:,} of its {len(positions):,}", f"{both / max(1, rows):.0%} of kept", "kept"))
    if lines:
        body = "".join(_overlap(*line) for line in lines)
        st.html(f'<div style="font-size:.88rem"><div style="opacity:.7">rows in common with</div>{body}</div>')
    if rows and rule.keep != "random":
        st.button("keep as many random rows instead", icon=":material/casino:", type="tertiary", on_click=_by_chance, args=(picked,))


def _by_chance(picked: Picked) -> None:
    rule = picked.rule
    rule_bar.put(Rule("random", by=rule.by, count=max(1, int(picked.kept.sum())), where=rule.where))


def _overlap(name: str, first: str, second: str, colour: str) -> str:
    square = f'<span style="color:{COLOURS[colour]}">■</span>'
    return f"<div>{square} {widgets.html(name)}: <b>{widgets.html(first)}</b>, {widgets.html(second)}</div>"
