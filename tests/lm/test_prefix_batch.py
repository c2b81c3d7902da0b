"""Which token stands where, what it sees, and what is read off it."""

import torch

from deft_core.lm.prefix_batch import batches, build
from deft_core.lm.tokens import TokenRow

END = 9
ROW = TokenRow(prompt=[1, 2], responses=[[3], [4, 5]], ended=[True, False])


def test_prefix_shared_row_written_out():
    batch = build([ROW], END)
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 5]]
    assert batch.positions.tolist() == [[0, 1, 2, 2, 3]]  # both responses go on from the prompt's two tokens
    assert (batch.mask[0, 0] == 0).int().tolist() == [
        [1, 0, 0, 0, 0],  # 1
        [1, 1, 0, 0, 0],  # 2
        [1, 1, 1, 0, 0],  # 3 sees the prompt and itself
        [1, 1, 0, 1, 0],  # 4 sees the prompt and itself, not 3
        [1, 1, 0, 1, 1],  # 5
    ]
    # 3 is predicted at the prompt's last token, its end at 3; 4 at the prompt's last token, 5 at 4; the cut response has no end
    assert batch.gather.tolist() == [1, 2, 1, 3]
    assert batch.targets.tolist() == [3, END, 4, 5]
    assert batch.lengths == [2, 2]
    assert batch.owners == [(0, 0), (0, 1)]


def test_padding_changes_nothing_but_the_offsets():
    short = TokenRow([7], [[8]], [True])
    batch = build([ROW, short], END)
    assert batch.input_ids[1].tolist() == [7, 8, END, END, END]
    assert batch.gather.tolist() == [1, 2, 1, 3, 5, 6]  # the second line starts at 1 * 5
    assert batch.owners == [(0, 0), (0, 1), (1, 0)]
    assert (batch.mask[1, 0, :2] == 0).int().tolist() == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert (batch.mask == 0).any(-1).all()  # no position is left without anything to see


def test_plain_rows_repeat_the_prompt():
    batch = build([ROW], END, layout="plain")
    assert batch.input_ids.tolist() == [[1, 2, 3, END], [1, 2, 4, 5]]
    assert batch.mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert batch.gather.tolist() == [1, 2, 5, 6]
    assert batch.targets.tolist() == [3, END, 4, 5]


def test_batches_are_longest_first_within_the_budget():
    rows = [TokenRow([0] * n, [[1], [2]], [True, True]) for n in (1, 8, 2, 3)]  # 3, 10, 4, 5 tokens
    assert batches(rows, budget=10) == [[1], [3, 2], [0]]  # 10; 5 and 4 padded to 2 * 5; 3
    assert batches(rows, budget=1) == [[1], [3], [2], [0]]  # one row at least


def test_dtype_of_the_mask_follows_the_model():
    assert build([ROW], END, dtype=torch.bfloat16).mask.dtype == torch.bfloat16
