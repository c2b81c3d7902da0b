"""Every loss: its arithmetic by hand, and value and gradients equal to TRL's own code on the same tokens."""

import copy
import math

import pytest
import torch

from deft_core.errors import InputError
from deft_core.lm.losses import METHODS, Objective, default_beta, dpo, ipo, levels, orpo, pro, sft, simpo


def tensors(*values):
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


def test_sft_is_the_cross_entropy_of_a_token():
    lp, tokens = torch.tensor([-6.0, -2.0]), torch.tensor([3.0, 1.0])
    losses = sft(lp, tokens).rows
    assert losses.tolist() == [2.0, 2.0]  # 6 / 3, 2 / 1
    assert ((losses * tokens).sum() / tokens.sum()).item() == 2.0  # (6 + 2) / (3 + 1), the mean over tokens


def test_dpo_written_out():
    # c = -10 - -12 = 2, r = -9 - -8 = -1, beta (c - r) = 0.1 * 3 = 0.3
    found = dpo(*tensors([-10.0], [-9.0], [-12.0], [-8.0]), beta=0.1)
    assert found.watched["compared"].item() == pytest.approx(0.3)
    assert found.rows.item() == pytest.approx(math.log(1 + math.exp(-0.3)))  # 0.5544
    assert found.rows.item() == pytest.approx(0.5544, abs=1e-4)


def test_ipo_written_out():
    # c / T_c = 2 / 4 = 0.5, r / T_r = -1 / 2 = -0.5, (1 - 1 / (2 * 0.1))^2 = (1 - 5)^2 = 16
    found = ipo(*tensors([-10.0], [-9.0], [-12.0], [-8.0], [4.0], [2.0]), beta=0.1)
    assert found.watched["compared"].item() == pytest.approx(1.0)
    assert found.rows.item() == pytest.approx(16.0)


def test_simpo_written_out():
    # s_c = -10 / 4 = -2.5, s_r = -9 / 3 = -3, 2 * 0.5 - 1.5 = -0.5
    found = simpo(*tensors([-10.0], [-9.0], [4.0], [3.0]), beta=2.0, gamma=1.5)
    assert found.watched["compared"].item() == pytest.approx(-0.5)
    assert found.rows.item() == pytest.approx(math.log(1 + math.exp(0.5)))


def test_orpo_written_out():
    # p_c = 0.5: odds 1, log-odds 0; p_r = 0.2: odds 0.25, log-odds -1.3863; sigmoid(1.3863) = 0.8
    found = orpo(*tensors([2 * math.log(0.5)], [3 * math.log(0.2)], [2.0], [3.0]), weight=0.1)
    assert found.watched["compared"].item() == pytest.approx(math.log(4))
    assert found.watched["loss_likelihood"].item() == pytest.approx(math.log(2))
    assert found.watched["loss_ranking"].item() == pytest.approx(-0.1 * math.log(0.8))
    assert found.rows.item() == pytest.approx(math.log(2) - 0.1 * math.log(0.8))


def test_orpo_of_a_response_the_model_is_certain_of_is_finite_and_pushes_it_no_further():
    # s = 0 is held at -1e-7: log-odds -1e-7 - log(1 - e^-1e-7) = 16.1181; of s = -1: -1 - log(1 - e^-1) = -0.5413
    # without the clamp the gradient of log-odds, 1 / (1 - p), is infinite at p = 1; of s = -1 it is 1 / (1 - e^-1) = 1.5820
    lp = torch.tensor([0.0, -1.0], requires_grad=True)
    chosen_certain = orpo(lp[:1], lp[1:], torch.ones(1), torch.ones(1), weight=0.1).rows.sum()
    # compared 16.1181 + 0.5413 = 16.6594: -s_c = 0, and 0.1 log(1 + e^-16.6594) = 0.1 * 5.820e-8
    assert chosen_certain.item() == pytest.approx(5.820e-9, rel=1e-3, abs=0)
    chosen_certain.backward()
    # chosen: -1 of the likelihood and 0 of the ranking; rejected: 0.1 * 5.820e-8 * 1.5820
    assert lp.grad.tolist() == [-1.0, pytest.approx(9.207e-9, rel=1e-3, abs=0)]

    lp.grad = None
    rejected_certain = orpo(lp[1:], lp[:1], torch.ones(1), torch.ones(1), weight=0.1).rows.sum()
    # compared -16.6594: -s_c = 1, and 0.1 log(1 + e^16.6594) = 1.66594
    assert rejected_certain.item() == pytest.approx(2.66594, abs=1e-5)
    rejected_certain.backward()
    # rejected: 0, clamped; chosen: -1 - 0.1 * 1 * 1.5820
    assert lp.grad.tolist() == [0.0, pytest.approx(-1.15820, abs=1e-5)]


def test_pro_written_out():
    # three responses with scores 3, 2, 0, two tokens each, s = lp / 2 = -1, -2, -0.5
    # k = 1: gaps 1 and 3, T_1 = 3: log(e^(3 * -1) + e^(1 * -2) + e^(3 * -0.5)) - 3 * -1
    # k = 2: gap 2, T_2 = 2:        log(e^(2 * -2) + e^(2 * -0.5)) - 2 * -2
    # likelihood: 0.05 * (3 - 1)^2 * 2
    first = math.log(math.exp(-3) + math.exp(-2) + math.exp(-1.5)) + 3
    second = math.log(math.exp(-4) + math.exp(-1)) + 4
    lp, tokens, level = tensors([[-2.0, -4.0, -1.0]], [[2.0, 2.0, 2.0]], [[3.0, 2.0, 0.0]])
    found = pro(lp, tokens, torch.tensor([[1, 2, 3]]), level, weight=0.05)
    assert found.watched["loss_ranking"].item() == pytest.approx(first + second)
    assert found.watched["loss_likelihood"].item() == pytest.approx(0.4)
    assert found.rows.item() == pytest.approx(first + second + 0.4)


def test_pro_of_a_pair_with_a_gap_of_one_is_the_logistic_loss_of_the_means():
    # log(e^s_1 + e^s_2) - s_1 = -log sigmoid(s_1 - s_2)
    lp, tokens, level = tensors([[-2.0, -6.0]], [[2.0, 3.0]], [[-1.0, -2.0]])
    found = pro(lp, tokens, torch.tensor([[1, 2]]), level, weight=0.0)
    assert found.rows.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_pro_leaves_ties_out():
    # ranks 1, 2, 2: L_1 sees both, L_2 and L_3 see nobody
    lp, tokens, level = tensors([[-1.0, -2.0, -3.0]], [[1.0, 1.0, 1.0]], [[-1.0, -2.0, -2.0]])
    found = pro(lp, tokens, torch.tensor([[1, 2, 2]]), level, weight=0.0)
    assert found.rows.item() == pytest.approx(math.log(math.exp(-1) + math.exp(-2) + math.exp(-3)) + 1)
    # ranks 1, 1, 2: L_1 and L_2 see the third alone
    found = pro(lp, tokens, torch.tensor([[1, 1, 2]]), torch.tensor([[-1.0, -1.0, -2.0]]), weight=0.0)
    pair = [math.log(math.exp(s) + math.exp(-3)) - s for s in (-1, -2)]
    assert found.rows.item() == pytest.approx(sum(pair))


def pro_by_loops(lp, tokens, ranks, level, weight):
    """The paper's equations for one ranking, as products of softmax probabilities: another way to the same number."""
    n, total = len(lp), 0
    for k in range(n - 1):
        below = [i for i in range(n) if ranks[i] > ranks[k]]
        if below:
            temperature = max(level[k] - level[i] for i in below)
            own = torch.exp(temperature * lp[k] / tokens[k])
            others = sum(torch.exp((level[k] - level[i]) * lp[i] / tokens[i]) for i in below)
            total = total - torch.log(own / (own + others))
    return total - weight * (n - 1) ** 2 * lp[0]


RANKINGS = [
    ([1, 2], [2.0, 1.0]),
    ([1, 2, 3, 4, 5], [9.0, 7.5, 7.0, 3.0, 1.0]),
    ([1, 1, 2], [4.0, 4.0, 1.0]),
    ([1, 2, 2, 3], [None, None, None, None]),
    ([1, 2, 3, 3, 3, 4, 5], [7.0, 6.0, 5.0, 5.0, 5.0, 1.0, 0.0]),
]


def test_pro_equals_explicit_loops_for_rankings_of_any_length():
    draw = torch.Generator().manual_seed(0)
    n = max(len(ranks) for ranks, _ in RANKINGS)
    lp, tokens, level = (torch.full((len(RANKINGS), n), fill, dtype=torch.float64) for fill in (0, 1, 0))
    ranks = torch.zeros(len(RANKINGS), n, dtype=torch.long)
    for row, (own, scores) in enumerate(RANKINGS):
        ranks[row, : len(own)] = torch.tensor(own)
        tokens[row, : len(own)] = torch.randint(1, 9, (len(own),), generator=draw).double()
        lp[row, : len(own)] = -2 * tokens[row, : len(own)] * torch.rand(len(own), generator=draw).double()
        level[row, : len(own)] = torch.tensor(levels(own, scores, gap=1.0)[0]).double()
    lp.requires_grad_()
    found = pro(lp, tokens, ranks, level, weight=0.05).rows
    (gradient,) = torch.autograd.grad(found.sum(), lp)
    for row, (own, _) in enumerate(RANKINGS):
        one = lp[row, : len(own)].detach().requires_grad_()
        expected = pro_by_loops(one, tokens[row], own, level[row].tolist(), 0.05)
        (expected_gradient,) = torch.autograd.grad(expected, one)
        assert found[row].item() == pytest.approx(expected.item(), rel=1e-12)
        assert gradient[row].tolist() == pytest.approx([*expected_gradient.tolist(), *[0.0] * (n - len(own))], rel=1e-10)


def test_without_gaps_the_ranking_term_would_have_no_gradient_which_is_why_there_is_a_constant_one():
    lp, tokens = tensors([[-1.0, -2.0]], [[1.0, 1.0]])
    (flat,) = torch.autograd.grad(pro(lp, tokens, torch.tensor([[1, 2]]), torch.zeros(1, 2).double(), weight=0.0).rows.sum(), lp)
    assert flat.tolist() == [[0.0, 0.0]]
    level, by_scores = levels([1, 2], [None, None], gap=1.0)
    assert (level, by_scores) == ([-1.0, -2.0], False)
    (steep,) = torch.autograd.grad(pro(lp, tokens, torch.tensor([[1, 2]]), torch.tensor([level]).double(), weight=0.0).rows.sum(), lp)
    assert steep[0].tolist() == pytest.approx([-1 / (1 + math.e), 1 / (1 + math.e)])  # -sigmoid(s_2 - s_1), and back


@pytest.mark.parametrize(
    ("ranks", "scores", "expected"),
    [
        ([1, 2, 2], [5.0, 3.0, 3.0], ([5.0, 3.0, 3.0], True)),
        ([1, 2, 2], [5.0, 3.0, 4.0], ([5.0, 3.0, 4.0], True)),  # ties by rank may differ in score
        ([1, 2, 3], [5.0, None, 3.0], ([-2.0, -4.0, -6.0], False)),  # one is missing
        ([1, 2, 3], [5.0, 3.0, 4.0], ([-2.0, -4.0, -6.0], False)),  # against the ranks
        ([1, 2], [5.0, 5.0], ([-2.0, -4.0], False)),  # no gap between ranks
        ([1, 2], [math.inf, 5.0], ([-2.0, -4.0], False)),
    ],
)
def test_levels(ranks, scores, expected):
    assert levels(ranks, scores, gap=2.0) == expected


def test_an_objective_checks_its_coefficients():
    with pytest.raises(InputError, match="a method among dpo, pro, sft, ipo, simpo, orpo; found 'ppo'"):
        Objective("ppo")
    with pytest.raises(InputError, match="a beta above 0; found 0"):
        Objective(beta=0)
    with pytest.raises(InputError, match="a likelihood weight of at least 0; found nan"):
        Objective("pro", likelihood_weight=math.nan)
    assert [method for method in METHODS if Objective(method).needs_reference] == ["dpo", "ipo"]
    assert (default_beta("dpo"), default_beta("simpo")) == (0.1, 2.0)
    assert (Objective("ipo", beta=0.3).implicit_beta, Objective("simpo", beta=2.0).implicit_beta) == (0.3, 0.1)


# ---- the same tokens through TRL's own trainers

END = 0
EXAMPLES = [
    {"prompt_ids": [5, 6, 7], "chosen_ids": [8, 9, 10, END], "rejected_ids": [11, END]},
    {"prompt_ids": [21, 22, 23, 24, 25], "chosen_ids": [30, END], "rejected_ids": [31, 32, 33, 34, 35, END]},
    {"prompt_ids": [40], "chosen_ids": [41, 42, 43], "rejected_ids": [44, 45, END]},
]
SIDES = ("chosen_ids", "rejected_ids")
TEXTS = [{"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "d", "chosen": "e", "rejected": "f"}]


@pytest.fixture(scope="module")
def models():
    """(policy, reference): two tiny models with different weights."""
    from transformers import AutoModelForCausalLM

    from tests.tiny_model import tiny_config

    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(AutoModelForCausalLM.from_config(tiny_config(tie_word_embeddings=seed == 0)))
    return found


@pytest.fixture
def settings(tmp_path):
    """Arguments that every TRL trainer gets here: nothing leaves the machine, nothing is thrown in for speed."""
    settings = {"output_dir": str(tmp_path), "report_to": [], "use_cpu": True, "disable_tqdm": True}
    return settings | {"bf16": False, "activation_checkpointing": False}


def logps(model, side):
    """(lp, T) of each example's side: one plain forward each, a full log-softmax."""
    out = []
    for example in EXAMPLES:
        prompt, answer = example["prompt_ids"], example[side]
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        out.append(torch.log_softmax(logits.float(), 1).gather(1, torch.tensor(answer)[:, None]).sum())
    return torch.stack(out), torch.tensor([float(len(example[side])) for example in EXAMPLES])


def assert_same(policy, loss, their_model, their_loss):
    """Values and the gradients of every parameter within 1e-5 of each other (of the largest, where that is above 1: IPO's)."""
    ours = torch.autograd.grad(loss, list(policy.parameters()))
    theirs = torch.autograd.grad(their_loss, list(their_model.parameters()))
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-5)
    largest = max(gradient.abs().max().item() for gradient in theirs)
    assert largest > 1e-3  # there is something to compare
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5 * max(1, largest), rtol=0)


def dpo_trainer(models, settings, **changes):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from tests.tiny_model import tiny_tokenizer

    policy, reference = (copy.deepcopy(model) for model in models)
    arguments = DPOConfig(**settings | changes)
    return DPOTrainer(policy, reference, args=arguments, train_dataset=Dataset.from_list(TEXTS), processing_class=tiny_tokenizer(None))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # TRL 1.16 asks for it
@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_dpo_and_ipo_equal_trls_trainer(models, settings, method):
    trainer = dpo_trainer(models, settings, loss_type=["sigmoid" if method == "dpo" else "ipo"], beta=0.1)
    theirs = trainer.compute_loss(trainer.model, trainer.data_collator(EXAMPLES))
    policy, reference = models
    (chosen, tokens_chosen), (rejected, tokens_rejected) = (logps(policy, side) for side in SIDES)
    with torch.no_grad():
        references = [logps(reference, side)[0] for side in SIDES]
    lengths = [tokens_chosen, tokens_rejected] if method == "ipo" else []
    losses = {"dpo": dpo, "ipo": ipo}[method](chosen, rejected, *references, *lengths, beta=0.1)
    assert_same(policy, losses.rows.mean(), trainer.model, theirs)
    if method == "dpo":  # what TRL logs as rewards/margins is what the loss compares
        assert losses.watched["compared"].mean().item() == pytest.approx(trainer._metrics["train"]["rewards/margins"][0], abs=1e-5)


def test_sft_equals_trls_trainer(models, settings):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from tests.tiny_model import tiny_tokenizer

    policy = models[0]
    arguments = SFTConfig(**settings, completion_only_loss=True)
    texts = Dataset.from_list([{"prompt": row["prompt"], "completion": row["chosen"]} for row in TEXTS])
    trainer = SFTTrainer(copy.deepcopy(policy), args=arguments, train_dataset=texts, processing_class=tiny_tokenizer(None))
    rows = [
        {
            "input_ids": example["prompt_ids"] + example["chosen_ids"],
            "labels": [-100] * len(example["prompt_ids"]) + example["chosen_ids"],
        }
        for example in EXAMPLES
    ]
    theirs = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    chosen, tokens = logps(policy, "chosen_ids")
    loss = (sft(chosen, tokens).rows * tokens).sum() / tokens.sum()
    assert_same(policy, loss, trainer.model, theirs)


def labelled(side, name):
    """One side of EXAMPLES as the padded tensors that TRL's CPO and ORPO trainers take."""
    width = max(len(example["prompt_ids"] + example[side]) for example in EXAMPLES)
    rows = []
    for example in EXAMPLES:
        prompt, answer = example["prompt_ids"], example[side]
        pad = width - len(prompt) - len(answer)
        rows.append((prompt + answer + [END] * pad, [1] * (width - pad) + [0] * pad, [-100] * len(prompt) + answer + [-100] * pad))
    ids, mask, labels = (torch.tensor(list(column)) for column in zip(*rows, strict=True))
    return {f"{name}_input_ids": ids, f"{name}_attention_mask": mask, f"{name}_labels": labels}


def labelled_batch():
    return labelled("chosen_ids", "chosen") | labelled("rejected_ids", "rejected")


def pair_trainer(name, models, settings, **changes):
    """TRL's CPO or ORPO trainer around a copy of the policy."""
    from datasets import Dataset
    from trl.experimental import cpo, orpo

    from tests.tiny_model import tiny_tokenizer

    config, trainer = {"cpo": (cpo.CPOConfig, cpo.CPOTrainer), "orpo": (orpo.ORPOConfig, orpo.ORPOTrainer)}[name]
    arguments = config(**settings, max_length=64, **changes)
    texts = Dataset.from_list(TEXTS)
    return trainer(copy.deepcopy(models[0]), args=arguments, train_dataset=texts, processing_class=tiny_tokenizer(None))


def test_simpo_equals_trls_cpo_trainer(models, settings):
    trainer = pair_trainer("cpo", models, settings, loss_type="simpo", beta=2.0, simpo_gamma=1.0, cpo_alpha=0.0)
    theirs, _ = trainer.get_batch_loss_metrics(trainer.model, labelled_batch())
    (chosen, tokens_chosen), (rejected, tokens_rejected) = (logps(models[0], side) for side in SIDES)
    losses = simpo(chosen, rejected, tokens_chosen, tokens_rejected, beta=2.0, gamma=1.0)
    assert_same(models[0], losses.rows.mean(), trainer.model, theirs)


def test_the_odds_ratio_term_equals_trls_orpo_trainer(models, settings):
    trainer = pair_trainer("orpo", models, settings, beta=0.1)
    their_chosen, their_rejected = trainer.concatenated_forward(trainer.model, labelled_batch())[:2]
    theirs = -trainer.odds_ratio_loss(their_chosen, their_rejected)[0].mean()
    (chosen, tokens_chosen), (rejected, tokens_rejected) = (logps(models[0], side) for side in SIDES)
    losses = orpo(chosen, rejected, tokens_chosen, tokens_rejected, weight=0.1)
    assert losses.watched["loss_ranking"].mean().item() == pytest.approx(theirs.item(), abs=1e-5)
    # without the likelihood term -s_c, which TRL takes over the prompt too
    assert_same(models[0], (losses.rows + chosen / tokens_chosen).mean(), trainer.model, theirs)
