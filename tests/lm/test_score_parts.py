"""The parts of a score set: their bounds, the rows they are made of, their columns, and who works on which."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock, Timeout

from deft_core.errors import InputError
from deft_core.lm import score_parts
from deft_core.lm.scoring import ResponseScore
from deft_core.lm.tokens import TokenRow


def test_part_bounds_double_up_to_256_or_a_256th_or_8192():
    assert score_parts.part_bounds(60) == [(0, 16), (16, 48), (48, 60)]
    sizes = [end - start for start, end in score_parts.part_bounds(2303)]
    assert sizes == [16, 32, 64, 128, 256, 256, 256, 256, 256, 256, 256, 256, 15]
    assert max(end - start for start, end in score_parts.part_bounds(1_000_000)) == 1_000_000 // 256
    assert max(end - start for start, end in score_parts.part_bounds(10_000_000)) == 8_192


@pytest.mark.parametrize("wanted", [60, 21])
def test_rows_lie_ready_in_the_order_of_their_ids(small, tmp_path, wanted):
    (tmp_path / "..in-order.parquet.1.tmp").write_text("left by a process that was killed")
    (tmp_path / "..in-order.parquet.1.tmp.spill").mkdir()
    score_parts.put_in_order(tmp_path, small.pairs("small"), wanted)
    expected = pd.read_parquet(small.pairs("small"), columns=["id", "prompt", "responses", "ranks"]).sort_values("id")[:wanted]
    assert score_parts.rows_in_order(tmp_path) == wanted
    assert [path.name for path in tmp_path.iterdir() if "in-order" in path.name] == [".in-order.parquet"]
    whole = pq.read_table(tmp_path / ".in-order.parquet")
    pq.write_table(whole, tmp_path / ".in-order.parquet", row_group_size=8)
    assert pq.ParquetFile(tmp_path / ".in-order.parquet").num_row_groups == -(-wanted // 8) > 2
    for start, end in [(0, wanted), (0, 8), (3, 5), (7, 9), (8, 16), (15, wanted), (wanted - 1, wanted)]:
        found = score_parts.rows_of(tmp_path, start, end)
        assert found["id"] == expected["id"].tolist()[start:end]
        assert found["responses"] == [list(row) for row in expected["responses"][start:end]]
        assert found["prompt"] == [list(row) for row in expected["prompt"][start:end]]
        assert found["ranks"] == [list(row) for row in expected["ranks"][start:end]]
    score_parts.tidy(tmp_path, 60)  # no part is there yet
    assert score_parts.rows_in_order(tmp_path) == wanted


def test_rows_that_cannot_be_read_are_said(tmp_path):
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match="Import the dataset again"):
        score_parts.put_in_order(tmp_path, tmp_path / "pairs.parquet", 3)


def test_columns_of_a_ranking_with_a_tie_below_the_top():
    def response(reward, token_logps):
        values = np.array(token_logps, dtype=np.float32)
        return ResponseScore(reward, float(values.sum()), np.zeros(len(values) - 1, np.float32), values, np.zeros(1, np.float32))

    row = TokenRow([0] * 7, [[1], [1, 2], [1, 2, 3]], [True] * 3, removed=5)
    scores = [response(0.5, [-1, -1]), response(0.1, [-1, -1, -4]), response(0.2, [-2, -2, -2, -2])]
    columns = score_parts.score_columns([1, 2, 2], row, scores)
    assert columns["reward_chosen"] == 0.5
    assert columns["reward_rejected"] == pytest.approx(0.15)  # (0.1 + 0.2) / 2
    assert columns["reward_margin"] == pytest.approx(0.35)
    assert columns["reward_mean"] == pytest.approx(0.8 / 3)
    assert (columns["logp_chosen"], columns["logp_rejected"], columns["logp_margin"]) == (-2, -7, 5)  # (-6 - 8) / 2
    assert (columns["mean_logp_chosen"], columns["mean_logp_rejected"]) == (-1, -2)  # (-6/3 - 8/4) / 2
    assert columns["perplexity_rejected"] == pytest.approx(np.exp(2))
    assert (columns["tokens_prompt"], columns["tokens_chosen"], columns["tokens_rejected"], columns["truncated_tokens"]) == (7, 1, 2.5, 5)


def test_parts_that_somebody_works_on_are_passed_over(tmp_path):
    other = FileLock(tmp_path / ".part-00001.lock")
    with other:
        assert list(score_parts.taken(tmp_path, 60, 60)) == [(0, 0, 16), (2, 48, 60)]
    taken = score_parts.taken(tmp_path, 60, 60)
    assert next(taken) == (0, 0, 16)
    with pytest.raises(Timeout):
        FileLock(tmp_path / ".part-00000.lock").acquire(blocking=False)
    assert next(taken) == (1, 16, 48)
    FileLock(tmp_path / ".part-00000.lock").acquire(blocking=False).lock.release()  # free again
    score_parts.tidy(tmp_path, 60)
    assert list(tmp_path.iterdir()) == []
