"""Rewards under the d of each half of the conversations, against the long way round."""

import numpy as np
import pytest

from deft_core.discrepancy import head_vector, rescore
from deft_core.folds import above, compare, cosine
from deft_core.group_counts import group_of, read_counts
from deft_core.pooled import open_head, open_pooled
from deft_core.queries import light_table, open_view
from deft_core.relations import agreement
from deft_core.reliability import fold_d
from tests.score_sets import preferences, write_dataset, write_scores


def test_cosine_and_share_above():
    assert cosine(np.array([1.0, -1.0, 0.0]), np.array([1.0, 0.0, -1.0])) == pytest.approx(0.5)  # 1 / (sqrt 2 * sqrt 2)
    assert above(np.array([0.2, -0.1, 0.0, np.nan])) == pytest.approx(0.5)  # (1 + 0 + 1/2) / 3


def test_folds_are_compared_over_the_training_rows(workspace):
    made = preferences(60)
    folder = write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    view = open_view(workspace, "demo")
    pooled, head, counts = open_pooled(view), open_head(view), read_counts(folder)
    found = compare(pooled, head, counts)
    # every response's reward under each fold's d, then each row's columns, one row at a time
    vectors = np.concatenate([np.load(path) for path in sorted(folder.glob("pooled-*.npy"))])
    scores = [rescore(vectors, head_vector(head.weight, fold_d(counts, fold))) for fold in (0, 1)]
    conversations = {f"{one.content_hash()}-0": one.conversation() for one in made}
    chosen, crossed, crossed_margin = [], [], []
    for row, (start, end) in enumerate(zip(pooled.starts[:-1], pooled.starts[1:], strict=True)):
        if pooled.rows["split"][row].as_py() == "train":
            other = 1 - group_of(conversations[pooled.rows["id"][row].as_py()]) % 2
            chosen.append([score[start] for score in scores])
            crossed.append(scores[other][start])
            crossed_margin.append(scores[other][start] - scores[other][start + 1 : end].mean())
    table = light_table(view).set_index("id").loc[pooled.rows["id"].filter(pooled.train()).to_pylist()]
    own = table["reward_chosen"].to_numpy()
    assert (found.rows, found.cosine) == (48, pytest.approx(cosine(fold_d(counts, 0), fold_d(counts, 1))))
    assert (found.rank_correlation, found.kept_overlap) == pytest.approx(agreement(*np.array(chosen).T))
    assert (found.cross_rank_correlation, found.cross_kept_overlap) == pytest.approx(agreement(own, np.array(crossed)))
    assert (found.above, found.cross_above) == (above(table["reward_margin"].to_numpy()), above(np.array(crossed_margin)))
