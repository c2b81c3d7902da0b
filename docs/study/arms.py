"""The arms of the study and every run of them, as plan.md has them. Pure: a table of training rows in, rules and settings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from deft_core.rule import Rule
from deft_core.runs.spec import Settings
from deft_core.selection import kept

__all__ = ["EPOCHS", "FRACTION", "GRID", "HH", "QA", "Planned", "exploratory", "lengths", "matched", "planned", "settings", "tuning"]

HH, QA = "hh", "qa"  # datasets of the workspace
FRACTION = 0.05
GRID = tuple((lr, epochs) for lr in (5e-6, 2e-5, 5e-5) for epochs in (1.0, 2.0))
LR, EPOCHS = 2e-5, 2.0  # chosen on the tuning part, see plan.md
NEAREST = 10  # rows near in length that a length-matched row is drawn from


@dataclass(frozen=True)
class Planned:
    """One run."""

    part: str  # tuning | primary | exploratory | lengths
    arm: str
    number: int  # the seed, or the number of the subset
    dataset: str
    rule: Rule
    settings: Settings
    role: str = "run"  # full: all rows of the pool

    @property
    def name(self) -> str:
        return f"{self.arm}-{self.number}"


def settings(**changes: object) -> Settings:
    """Of every arm: no evaluation before the end, all held-out rows then, 24 of them answered."""
    common = Settings(lr=LR, epochs=EPOCHS, eval_steps=0, eval_rows=100_000, answer_rows=24)
    return replace(common, **changes)  # type: ignore[arg-type]


def tuning() -> Iterator[Planned]:
    """Each pair of learning rate and epochs on two random subsets, which no arm has; they are evaluated on half of the judge split."""
    for lr, epochs in GRID:
        for number in (1000, 1001):
            rule = Rule("random", fraction=FRACTION, seed=number)
            yield Planned("tuning", f"lr{lr:g}-epochs{epochs:g}", number, HH, rule, settings(lr=lr, epochs=epochs))


def planned(table: pd.DataFrame) -> Iterator[Planned]:
    """The primary arms, which take turns: half of the time gives half of each. `table` are the training rows of HH with their scores."""
    rules = {"highest": Rule("highest", fraction=FRACTION), "lowest": Rule("lowest", fraction=FRACTION)}
    for turn in range(5):
        for number in range(4 * turn, 4 * turn + 4):
            yield Planned("primary", "random", number, HH, Rule("random", fraction=FRACTION, seed=number), settings())
        for arm, rule in rules.items():
            yield Planned("primary", arm, turn, HH, rule, settings(seed=turn))
        for number in (2 * turn, 2 * turn + 1):
            yield Planned("primary", "length-matched", number, HH, _these(matched(table, number)), settings())


def exploratory(omega: float) -> Iterator[Planned]:
    """Two runs an arm, the full set one; `omega` is the weight that guidance auto found on the highest rows."""
    top, chance = Rule("highest", fraction=FRACTION), [Rule("random", fraction=FRACTION, seed=number) for number in (0, 1)]
    for number in (0, 1):
        rules = {
            "middle": Rule("middle", fraction=FRACTION),
            "highest-margin": Rule("highest", "reward_margin", fraction=FRACTION),
            "lowest-margin": Rule("lowest", "reward_margin", fraction=FRACTION),
            "smallest-logp-margin": Rule("lowest", "logp_margin", fraction=FRACTION),
            "highest-10": Rule("highest", fraction=2 * FRACTION),
        }
        for arm, rule in rules.items():
            yield Planned("exploratory", arm, number, HH, rule, settings(seed=number))
        yield Planned("exploratory", "random-10", number, HH, Rule("random", fraction=2 * FRACTION, seed=number), settings())
        yield Planned("exploratory", "highest-guided", number, HH, top, settings(seed=number, guidance=None))
        yield Planned("exploratory", "highest-guided-10x", number, HH, top, settings(seed=number, guidance=10 * omega))
        yield Planned("exploratory", "random-guided", number, HH, chance[number], settings(guidance=None))
        yield Planned("exploratory", "pro-highest", number, QA, top, settings(seed=number, method="pro"))
        yield Planned("exploratory", "pro-random", number, QA, chance[number], settings(method="pro"))
    yield Planned("exploratory", "full", 0, HH, chance[0], settings(epochs=1.0), role="full")


def lengths(table: pd.DataFrame) -> Iterator[Planned]:
    """The lowest rows' control of length, added to the plan after the other runs."""
    for number in range(4):
        yield Planned("lengths", "lowest-lengths", number, HH, _these(matched(table, number, "lowest")), settings())


def matched(table: pd.DataFrame, number: int, end: str = "highest") -> list[str]:
    """Ids of a length-matched subset: for each row of that end, in random order, one of the rows nearest in tokens of the chosen answer.

    Drawn without replacement among rows that are not of that end; of equally near ones those that come first in the table count as nearer.
    """
    chance = np.random.default_rng(number)
    theirs = kept(table, Rule(end, fraction=FRACTION))
    left = table[~theirs & table["reward_chosen"].notna().to_numpy()]
    found: list[str] = []
    for length in chance.permutation(table.loc[theirs, "tokens_chosen"].to_numpy()):
        nearest = (left["tokens_chosen"] - length).abs().sort_values(kind="stable").index[:NEAREST]
        taken = nearest[chance.integers(len(nearest))]
        found.append(str(left.loc[taken, "id"]))
        left = left.drop(taken)
    return found


def _these(ids: list[str]) -> Rule:
    """A rule that keeps just these rows."""
    listed = ", ".join(f"'{row_id}'" for row_id in sorted(ids))
    return Rule("random", count=len(ids), where=f"id IN ({listed})")
