"""From pairwise comparisons to a weak order: answers in tiers, ties allowed, no contradiction and no gap."""

from __future__ import annotations

from collections.abc import Sequence

from deft_core.preferences import RowRefused

__all__ = ["weak_order"]

NO_WEAK_ORDER = "the comparisons are no weak order"


def weak_order(answers: int, comparisons: Sequence[tuple[int, int, int]]) -> list[int]:
    """A goodness for each answer, higher is better, from (i, j, outcome): 1 i is better, -1 j is better, 0 a tie.

    The relation "at least as good" is closed transitively; a strict comparison that it contradicts, or two answers it does
    not relate, refuse the row.
    """
    reach = _closure(answers, [pair for i, j, outcome in comparisons for pair in _at_least(i, j, outcome)])
    for i, j, outcome in comparisons:
        loser, winner = (j, i) if outcome > 0 else (i, j)
        if outcome and reach[loser] >> winner & 1:
            raise RowRefused(NO_WEAK_ORDER)
    for i in range(answers):
        if any(not (reach[i] >> j & 1 or reach[j] >> i & 1) for j in range(i)):
            raise RowRefused("the comparisons leave the order of two answers open")
    return [row.bit_count() for row in reach]


def _at_least(i: int, j: int, outcome: int) -> list[tuple[int, int]]:
    return [(i, j)] * (outcome >= 0) + [(j, i)] * (outcome <= 0)


def _closure(answers: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each answer the answers it is at least as good as, as a bit mask."""
    reach = [1 << i for i in range(answers)]
    for i, j in pairs:
        reach[i] |= 1 << j
    for through in range(answers):
        for i in range(answers):
            if reach[i] >> through & 1:
                reach[i] |= reach[through]
    return reach
