"""Blocks of the vocabulary give what the whole [N, V] gives: values, gradients, and nothing of that size in memory."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deft_core.lm.head_values import head_pass, head_values
from deft_core.lm.models import Head

N, H, V = 24, 8, 5000  # three blocks of 2,048, the last one short


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parts(bias, dtype=torch.float64):
    """h, W, b where there is one, the targets, d."""
    d = random(V, seed=4, dtype=dtype)
    leaves = [random(N, H, dtype=dtype), random(V, H, seed=1, dtype=dtype), *([random(V, seed=2, dtype=dtype)] if bias else [])]
    targets = torch.tensor([0, V - 1, 2047, 2048, *range(100, 100 + N - 4)])
    return [leaf.requires_grad_() for leaf in leaves], targets, (d - d.mean()) / d.abs().sum()


def whole(head, h, targets, d):
    """The same by the definition."""
    z = head.scale * (h @ head.weight.T + (0 if head.bias is None else head.bias))
    z = z if head.cap is None else head.cap * torch.tanh(z / head.cap)
    logp = torch.log_softmax(z, 1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(1), z @ d


def test_values_written_out():
    # h = (1, 2), W h + b = (1, 2, 3.5), scale 2: z = (2, 4, 7), log sum exp = 7.0550
    head = Head(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.tensor([0.0, 0.0, 0.5]), scale=2.0)
    found = head_values(head, torch.tensor([[1.0, 2.0]]), torch.tensor([1]), torch.tensor([0.5, 0.0, -0.5]))
    assert found.logps.item() == pytest.approx(4 - 7.0550, abs=1e-4)
    assert found.dots.item() == pytest.approx(0.5 * 2 - 0.5 * 7)
    # p = (e^2, e^4, e^7) / e^7.0550 = (0.0064, 0.0471, 0.9465); 7.0550 - (0.0064 * 2 + 0.0471 * 4 + 0.9465 * 7) = 0.2281
    assert found.entropies.item() == pytest.approx(0.2281, abs=1e-3)


def test_scoring_leaves_out_what_only_training_watches():
    leaves, targets, d = parts(bias=True, dtype=torch.float32)
    head = Head(leaves[1].detach(), leaves[2].detach(), 2.0, 5.0)
    short, long = head_pass(head, leaves[0].detach(), targets), head_pass(head, leaves[0].detach(), targets, d, entropies=True)
    assert (short.entropies, short.dots) == (None, None)
    assert torch.equal(short.logps, long.logps)
    trained = head_values(head, leaves[0], targets, d)
    assert all(torch.equal(mine, other) for mine, other in zip(trained, (long.logps, long.entropies, long.dots), strict=True))


@pytest.mark.parametrize(("bias", "scale", "cap"), [(False, 1.0, None), (True, 1.0, None), (False, 0.3, None), (True, 2.0, 5.0)])
def test_values_and_gradients_equal_the_full_log_softmax(bias, scale, cap):
    leaves, targets, d = parts(bias)
    head = Head(leaves[1], leaves[2] if bias else None, scale, cap)
    found = head_values(head, leaves[0], targets, d)
    logps, entropies, dots = whole(head, leaves[0], targets, d)
    torch.testing.assert_close(found.logps, logps, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.entropies, entropies, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.dots, dots, atol=1e-10, rtol=0)
    assert not found.entropies.requires_grad
    weights, others = random(N, seed=5), random(N, seed=6)  # any loss of log-probabilities and of d . z
    for a, b in ((1, 1), (1, 0), (0, 1)):
        ours = torch.autograd.grad(a * (weights * found.logps).sum() + b * (others * found.dots).sum(), leaves, retain_graph=True)
        theirs = torch.autograd.grad(a * (weights * logps).sum() + b * (others * dots).sum(), leaves, retain_graph=True)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-10, rtol=0)


def test_a_frozen_head_gets_no_gradient():
    (h, weight), targets, _ = parts(bias=False)
    found = head_values(Head(weight.detach()), h, targets)
    (mine,) = torch.autograd.grad(found.logps.sum(), h)
    (other,) = torch.autograd.grad(whole(Head(weight.detach()), h, targets, torch.zeros(V).double())[0].sum(), h)
    torch.testing.assert_close(mine, other, atol=1e-10, rtol=0)
    assert found.dots is None


def test_half_precision_products_are_summed_in_float32():
    (h, weight), targets, d = parts(bias=False, dtype=torch.float32)
    exact = whole(Head(weight), h, targets, d)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head_values(Head(weight), h, targets)
    assert (found.logps.dtype, found.entropies.dtype) == (torch.float32, torch.float32)
    assert 1e-6 < (found.logps - exact).abs().max().item() < 0.1  # bfloat16 keeps 8 bits: logits of about 10 are off by hundredths
    gradients = torch.autograd.grad(found.logps.sum(), [h, weight])
    assert [gradient.dtype for gradient in gradients] == [torch.float32, torch.float32]
    for mine, other in zip(gradients, torch.autograd.grad(exact.sum(), [h, weight]), strict=True):
        assert (mine - other).norm() < 0.02 * other.norm()


class Largest(TorchDispatchMode):
    """The most numbers in any tensor that an operation gives."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


def test_no_tensor_is_as_large_as_tokens_times_vocabulary():
    (h, weight), targets, d = parts(bias=False)
    with Largest() as ours:
        found = head_values(Head(weight), h, targets, d)
        torch.autograd.grad(found.logps.sum() + found.dots.sum(), [h, weight])
    with Largest() as theirs:
        whole(Head(weight), h, targets, d)
    assert ours.numbers == max(H * V, N * 2048) == 49_152  # a block of logits; W and its gradient are 40,000
    assert theirs.numbers == N * V == 120_000
