"""All noise signals in the order they are offered: those stored with the dataset, then those worked out from a score set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deft_core.noise import exact_duplicates, leaks, lengths, near_duplicates, personal_data, same_sides, swapped, wrong_language
from deft_core.noise.signal import Gatherer, Signal

__all__ = ["SIGNALS", "STORED", "Gatherer", "Signal", "gatherers"]

_STORED: tuple[tuple[Signal, Callable[[Path], Gatherer]], ...] = (  # each gatherer is given a folder for what memory should not hold
    (exact_duplicates.SIGNAL, lambda _: exact_duplicates.ExactDuplicates()),
    (near_duplicates.SIGNAL, near_duplicates.NearDuplicates),
    (same_sides.SIGNAL, lambda _: same_sides.SameSides()),
    (leaks.SIGNAL, leaks.Leaks),
    (wrong_language.SIGNAL, lambda _: wrong_language.WrongLanguage()),
    (personal_data.SIGNAL, lambda _: personal_data.PersonalData()),
    (lengths.SIGNAL, lambda _: lengths.ExtremeLengths()),
)

STORED: tuple[Signal, ...] = tuple(signal for signal, _ in _STORED)
SIGNALS: tuple[Signal, ...] = (*STORED, *(rule.signal for rule in swapped.RULES))


def gatherers(scratch: Path) -> dict[Signal, Gatherer]:
    return {signal: make(scratch) for signal, make in _STORED}
