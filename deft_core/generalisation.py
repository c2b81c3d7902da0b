"""What answers are like as texts, beside the chosen ones: BLEU, chrF, distinct bigrams, refusals. Pure: texts in, measures out;
None stands for a prompt that was not answered.

BLEU        Papineni et al. 2002, corpus level, as sacrebleu computes it (13a tokens, exponential smoothing), 0 to 100
chrF        Popovic 2015, corpus level, sacrebleu's chrF2, 0 to 100
distinct-2  distinct bigrams of words / bigrams of words (Li et al., arXiv 1510.03055): over all answers together, which tells answers
            that are alike but falls with their number, and within each answer, which tells an answer that repeats itself
refusals    share of answers that begin as refusals in English do (contrast.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deft_core.contrast import is_refusal, words
from deft_core.intervals import Measure, mean, ratio

__all__ = ["bleu", "chrf", "distinct_2", "distinct_2_within", "refusals"]

Floats = NDArray[np.float64]


def bleu(answers: Sequence[str | None], references: Sequence[str]) -> Measure:
    """Corpus BLEU of the answers, one reference each."""
    from sacrebleu.metrics.bleu import BLEU

    return _corpus(BLEU(), answers, references)


def chrf(answers: Sequence[str | None], references: Sequence[str]) -> Measure:
    """Corpus chrF of the answers, one reference each."""
    from sacrebleu.metrics.chrf import CHRF

    return _corpus(CHRF(), answers, references)


def _corpus(metric: Any, answers: Sequence[str | None], references: Sequence[str]) -> Measure:
    """A sacrebleu metric as sums of its own statistics; the two methods are what its significance tests resample with."""
    given = [place for place, answer in enumerate(answers) if answer is not None]
    if not given:
        return Measure(np.zeros((len(answers), 1)), lambda sums: np.full(len(sums), np.nan))
    statistics = metric._extract_corpus_statistics([answers[place] for place in given], [[references[place] for place in given]])
    sums = np.zeros((len(answers), len(statistics[0])))  # [N, K]
    sums[given] = statistics
    return Measure(sums, lambda total: np.array([metric._compute_score_from_stats(one.astype(int).tolist()).score for one in total]))


def distinct_2(answers: Sequence[str]) -> float | None:
    """Distinct bigrams over all bigrams of all answers together; None without any. No interval: an answer drawn twice adds nothing new."""
    bigrams = [bigram for answer in answers for bigram in _bigrams(answer)]
    return len(set(bigrams)) / len(bigrams) if bigrams else None


def distinct_2_within(answers: Sequence[str | None]) -> Measure:
    """Distinct bigrams of each answer over its bigrams, summed over answers."""
    each = [_bigrams(answer or "") for answer in answers]
    return ratio([len(set(bigrams)) if bigrams else np.nan for bigrams in each], [len(bigrams) for bigrams in each])


def _bigrams(text: str) -> list[tuple[str, str]]:
    found = words(text)
    return list(pairwise(found))


def refusals(answers: Sequence[str | None]) -> Measure:
    """The share of answers that refuse."""
    return mean([np.nan if answer is None else float(is_refusal(answer)) for answer in answers])
