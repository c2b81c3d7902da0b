"""KL block by block equals its definition."""

import math

import pytest
import torch

from deft_core.lm.divergence import kl


def test_written_out():
    # p = (3/4, 1/4), q = (1/2, 1/2): 3/4 log(3/2) + 1/4 log(1/2) = 0.304099 - 0.173287 = 0.130812
    p, q = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([[5.0, 5.0]])
    assert kl(lambda rows: p[:, rows], lambda rows: q[:, rows], 2).item() == pytest.approx(0.130812, abs=1e-6)


def test_many_blocks_equal_the_full_softmax():
    torch.manual_seed(0)
    z, y = 4 * torch.randn(7, 5000), 4 * torch.randn(7, 5000)  # three blocks
    expected = torch.nn.functional.kl_div(torch.log_softmax(y, 1), torch.log_softmax(z, 1), reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(kl(lambda rows: z[:, rows], lambda rows: y[:, rows], 5000), expected, atol=1e-5, rtol=1e-5)


def test_from_itself_it_is_nought():
    z = torch.randn(3, 3000)
    assert kl(lambda rows: z[:, rows], lambda rows: z[:, rows], 3000).tolist() == [0.0, 0.0, 0.0]
