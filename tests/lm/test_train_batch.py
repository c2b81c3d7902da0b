"""What a method reads of a row, and how a step's micro-batches share its divisors."""

import pytest
import torch

from deft_core.errors import InputError
from deft_core.lm.losses import Objective
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow, collate, micro_batches, of_one_step, read_by

END = 9
PAIR = TrainRow("pair", TokenRow([1, 2], [[3], [4, 5]], [True, False]), [1, 2], [None, None], [-1.0, -2.0])
RANKING = TrainRow("ranking", TokenRow([6], [[7, 7, 7], [8], [8, 8]], [True, True, True]), [1, 2, 2], [5.0, 3.0, 2.0], [-3.0, -4.0, -5.0])


def test_grids_written_out():
    batch = collate([RANKING, PAIR], Objective("pro", gap=2.0), END)
    assert batch.ids == ("ranking", "pair")  # in the order given, not by length
    assert batch.response_tokens == [3, 1, 2, 1, 2]
    assert batch.tokens.lengths == [4, 2, 3, 2, 2]  # with the end token, but for the response that was cut
    assert batch.lengths.tolist() == [[4, 2, 3], [2, 2, 1]]
    assert batch.ranks.tolist() == [[1, 2, 2], [1, 2, 0]]
    assert batch.levels.tolist() == [[5, 3, 2], [-2, -4, 0]]  # by scores; a gap of 2 a rank
    assert batch.reference.tolist() == [[-3, -4, -5], [-1, -2, 0]]
    assert (batch.step_rows, batch.step_tokens, len(batch)) == (2, 6, 2)
    assert batch.grid(torch.tensor([1.0, 2, 3, 4, 5])).tolist() == [[1, 2, 3], [4, 5, 0]]


def test_a_method_reads_the_best_or_the_best_and_the_worst_or_all():
    assert [len(read_by(method, RANKING).ranks) for method in ("sft", "dpo", "pro")] == [1, 2, 3]
    pair = read_by("orpo", RANKING)
    assert pair.tokens == TokenRow([6], [[7, 7, 7], [8, 8]], [True, True])
    assert (pair.ranks, pair.scores, pair.reference) == ([1, 2], [5.0, 2.0], [-3.0, -5.0])
    assert read_by("orpo", pair) == pair


def test_micro_batches_divide_by_the_whole_step():
    parts = micro_batches([PAIR, RANKING, PAIR], budget=10, objective=Objective("dpo"), end_token=END)
    # 1 + 3 + 2 = 6 tokens; 2 + 1 + 2 = 5 twice: 6 alone, since 2 * 6 > 10, then two of 5
    assert [part.ids for part in parts] == [("ranking",), ("pair", "pair")]
    assert [(part.step_rows, part.step_tokens) for part in parts] == [(3, 8), (3, 8)]  # 4 + 2 + 2 predictions of chosen responses
    shared = of_one_step(parts, rows=6, tokens=20.0)
    assert [(part.step_rows, part.step_tokens) for part in shared] == [(6, 20), (6, 20)]


def test_what_cannot_be_trained_on_is_named():
    without = TrainRow("abc", PAIR.tokens, PAIR.ranks, PAIR.scores)
    assert collate([without, PAIR], Objective("simpo"), END).reference is None
    with pytest.raises(InputError, match="reference log-probabilities for dpo; found none for row abc"):
        collate([without, PAIR], Objective("dpo"), END)
    empty = TrainRow("abc", TokenRow([1], [[2], []], [True, True]), [1, 2], [None, None])
    with pytest.raises(InputError, match="responses of at least one token; found none in row abc"):
        collate([empty], Objective("simpo"), END)


def test_a_batch_moves_with_all_it_holds():
    moved = collate([PAIR], Objective("dpo"), END).to(torch.device("meta"))
    assert {tensor.device.type for tensor in (moved.slots, moved.reference, moved.tokens.input_ids, moved.tokens.mask)} == {"meta"}
