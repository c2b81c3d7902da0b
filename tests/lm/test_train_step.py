"""A step equals the definition: every response in a plain forward of its own, a full log-softmax, the loss written on top."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deft_core.errors import ModelError
from deft_core.lm import losses
from deft_core.lm.losses import METHODS, Objective
from deft_core.lm.scoring import Scorer
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow, collate, micro_batches, of_one_step
from deft_core.lm.train_step import StepOutput, TrainStep, auto_omega, metrics
from tests.lm.test_scoring import COMMON, GEMMA2, GPT2, some_d
from tests.tiny_model import tiny_config

END = 0
OMEGA = 5.0  # so large that no tolerance hides the term's gradient


pytestmark = pytest.mark.usefixtures("one_thread")


def train_rows(reference=True):
    """Two pairs and a ranking of four with a tie, lengths spread out, one response cut."""
    draw = torch.Generator().manual_seed(3)
    ids = lambda count: torch.randint(1, 257, (count,), generator=draw).tolist()  # noqa: E731
    rows = [
        TrainRow("a", TokenRow(ids(9), [ids(4), ids(11)], [True, True]), [1, 2], [2.0, 1.0]),
        TrainRow("b", TokenRow(ids(3), [ids(8), ids(1)], [False, True]), [1, 2], [None, None]),
        TrainRow("c", TokenRow(ids(5), [ids(6), ids(2), ids(3), ids(7)], [True] * 4), [1, 2, 2, 3], [9.0, 5.0, 5.0, 1.0]),
    ]
    if not reference:
        return rows
    return [replace(row, reference=[-5.0 * len(response) - k for k, response in enumerate(row.tokens.responses)]) for row in rows]


def build(config, **changes):
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, **changes).train()


def by_definition(model, row, k, d):
    """(lp, T, R) of response k of a row."""
    prompt, response = row.tokens.prompt, row.tokens.responses[k]
    targets = torch.tensor(response + [END] * row.tokens.ended[k])
    logits = model(input_ids=torch.tensor([prompt + response]), use_cache=False).logits[0, len(prompt) - 1 :].float()
    logp = torch.log_softmax(logits, 1)
    lp = logp[: len(targets)].gather(1, targets[:, None]).sum()
    return lp, float(len(targets)), logp[: len(response)].mean(0) @ torch.tensor(d, dtype=torch.float32)


def row_loss(objective, row, lp, T):
    """The method's loss of one row from its responses' lp and T, the first against the last."""
    lp, T = torch.stack(lp), torch.tensor(T)
    if objective.method == "sft":
        return -lp[0] / T[0]
    if objective.method == "simpo":
        return losses.simpo(lp[0], lp[-1], T[0], T[-1], objective.beta, objective.gamma).rows
    if objective.method == "orpo":
        return losses.orpo(lp[0], lp[-1], T[0], T[-1], objective.odds_weight).rows
    if objective.method == "pro":
        level = torch.tensor([losses.levels(row.ranks, row.scores, objective.gap)[0]])
        return losses.pro(lp[None], T[None], torch.tensor([row.ranks]), level, objective.likelihood_weight).rows[0]
    c, r = lp[0] - row.reference[0], lp[-1] - row.reference[-1]
    if objective.method == "dpo":
        return torch.log1p(torch.exp(-objective.beta * (c - r)))
    return (c / T[0] - r / T[-1] - 1 / (2 * objective.beta)) ** 2


def loss_by_definition(model, rows, objective, d):
    """(L_align, mean R of the chosen), one response after the other."""
    each, tokens, rewards = [], [], []
    for row in rows:
        lp, T, R = zip(*(by_definition(model, row, k, d) for k in range(len(row.ranks))), strict=True)
        each.append(row_loss(objective, row, lp, T))
        tokens.append(T[0])
        rewards.append(R[0])
    weights = torch.tensor(tokens) / sum(tokens) if objective.method == "sft" else torch.full((len(rows),), 1 / len(rows))
    return (torch.stack(each) * weights).sum(), torch.stack(rewards).mean()


def assert_step_equals_definition(model, objective, layout, omega=OMEGA, own_logits=False):
    d, rows = some_d(), train_rows()
    step = TrainStep(model, d, objective, omega, layout, own_logits)
    out = step(collate(rows, objective, END, layout))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    align, reward = loss_by_definition(model, rows, objective, d)
    assert out.align.item() == pytest.approx(align.item(), rel=1e-5, abs=1e-5)
    assert out.guidance.item() == pytest.approx(-omega * reward.item(), abs=1e-5)
    assert out.loss.item() == pytest.approx((align - omega * reward).item(), rel=1e-5, abs=1e-5)
    ours = torch.autograd.grad(out.loss, learning, materialize_grads=True)
    theirs = torch.autograd.grad(align - omega * reward, learning, materialize_grads=True)
    largest = max(gradient.abs().max().item() for gradient in theirs)
    assert largest > 1e-3
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5 * max(1, largest), rtol=0)


@pytest.mark.parametrize("layout", ["prefix-shared", "plain"])
@pytest.mark.parametrize("method", METHODS)
def test_loss_and_gradients_equal_separate_plain_sequences(method, layout):
    assert_step_equals_definition(build(tiny_config(tie_word_embeddings=True)), Objective(method), layout)


def configs():
    from transformers import CohereConfig, Gemma2Config, GPT2Config, PhiConfig

    return {
        "gemma2, soft-capped": (Gemma2Config(**GEMMA2), "prefix-shared"),
        "gemma2, window of 8": (Gemma2Config(**GEMMA2, sliding_window=8), "plain"),
        "gpt2": (GPT2Config(**GPT2), "prefix-shared"),
        "phi, bias": (PhiConfig(**COMMON), "prefix-shared"),
        "cohere, logit scale": (CohereConfig(**COMMON, num_key_value_heads=2), "prefix-shared"),
    }


@pytest.mark.parametrize("family", ["gemma2, soft-capped", "gemma2, window of 8", "gpt2", "phi, bias", "cohere, logit scale"])
def test_other_architectures_equal_the_definition_too(family):
    config, layout = configs()[family]
    model = build(config)
    TrainStep(model, some_d(), Objective())  # no dropout, in the definition either
    assert_step_equals_definition(model, Objective("dpo"), layout)


@pytest.mark.parametrize("own_logits", [False, True])
def test_a_frozen_head_and_the_models_own_logits(own_logits):
    model = build(tiny_config(tie_word_embeddings=False))
    model.lm_head.weight.requires_grad_(False)
    assert_step_equals_definition(model, Objective("dpo"), "plain", own_logits=own_logits)


PEFT_ASKS = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # peft 0.21 asks the model for it


def adapted(targets):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(build(tiny_config(tie_word_embeddings=True)), LoraConfig(r=4, target_modules=targets, init_lora_weights=False))
    return model.train()


@pytest.mark.filterwarnings(PEFT_ASKS)
def test_an_adapter_equals_the_definition():
    model = adapted(["q_proj", "v_proj", "down_proj"])
    assert not TrainStep(model, some_d(), Objective()).head_learns
    assert_step_equals_definition(model, Objective("dpo"), "prefix-shared")


@pytest.mark.filterwarnings(PEFT_ASKS)
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_an_adapter_on_the_head_is_refused():
    with pytest.raises(ModelError, match="an LM head without an adapter"):
        TrainStep(adapted(["q_proj", "lm_head"]), some_d(), Objective())


@pytest.mark.parametrize("method", ["sft", "dpo", "pro"])
def test_micro_batches_add_up_to_the_step(method):
    model, objective = build(tiny_config()), Objective(method)
    step = TrainStep(model, some_d(), objective, OMEGA)
    whole = step(collate(train_rows(), objective, END))
    whole.loss.backward()
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    parts = micro_batches(train_rows(), 30, objective, END)
    assert len(parts) > 1
    outputs = []
    for part in parts:
        outputs.append(step(part))
        outputs[-1].loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-5)
    apart, together = metrics(outputs), metrics([whole])
    assert apart == pytest.approx(together, rel=1e-5, abs=1e-6)


def test_without_guidance_the_loss_is_the_alignment_loss_and_the_rewards_are_still_reported():
    model, batch = build(tiny_config()), collate(train_rows(), Objective(), END)
    guided, free = (TrainStep(model, some_d(), Objective(), omega)(batch) for omega in (OMEGA, 0.0))
    assert free.guidance.item() == 0
    assert torch.equal(free.loss, free.align)
    assert torch.equal(free.align, guided.align)
    assert torch.equal(free.watched["reward_chosen"], guided.watched["reward_chosen"])


def test_what_is_watched_is_by_the_definition():
    model, rows, d = build(tiny_config()), train_rows(), some_d()
    found = TrainStep(model, d, Objective("pro"))(collate(rows, Objective("pro"), END)).watched
    for place, row in enumerate(rows):
        with torch.no_grad():
            lp, T, R = zip(*(by_definition(model, row, k, d) for k in range(len(row.ranks))), strict=True)
        others = range(1, len(row.ranks))  # a ranking's rejected is the mean over all that are not top
        mean = lambda values, others=others: sum(float(values[k]) for k in others) / len(others)  # noqa: E731
        implicit = [0.1 * (float(value) - reference) for value, reference in zip(lp, row.reference, strict=True)]
        s = [float(value) / length for value, length in zip(lp, T, strict=True)]
        expected = {
            "reward_chosen": float(R[0]),
            "reward_rejected": mean(R),
            "logp_chosen": float(lp[0]),
            "logp_rejected": mean(lp),
            "mean_logp_chosen": s[0],
            "mean_logp_rejected": mean(s),
            "implicit_chosen": implicit[0],
            "implicit_rejected": mean(implicit),
            "margin": implicit[0] - mean(implicit),
            "accuracy_implicit": float(implicit[0] > mean(implicit)),
            "accuracy_logp": float(s[0] > mean(s)),
            "tokens_chosen": len(row.tokens.responses[0]),
            "tokens_rejected": mean([len(response) for response in row.tokens.responses]),
        }
        assert {name: float(found[name][place]) for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert set(found) - set(expected) == {"entropy", "loss_ranking", "loss_likelihood"}


def test_the_entropy_is_the_mean_over_a_rows_predictions():
    model, (_, row, _) = build(tiny_config()), train_rows()
    entropies = []
    for response, ended in zip(row.tokens.responses, row.tokens.ended, strict=True):
        logits = model(input_ids=torch.tensor([row.tokens.prompt + response])).logits[0, len(row.tokens.prompt) - 1 :]
        logp = torch.log_softmax(logits, 1)[: len(response) + ended]
        entropies += (-(logp.exp() * logp).sum(1)).tolist()
    found = TrainStep(model, some_d(), Objective())(collate([row], Objective(), END))
    assert found.watched["entropy"].item() == pytest.approx(sum(entropies) / len(entropies), abs=1e-5)
    assert len(entropies) == 10  # 8 of the cut response, 1 + 1 of the other


def test_sft_reads_the_chosen_alone():
    found = TrainStep(build(tiny_config()), some_d(), Objective("sft"))(collate(train_rows(), Objective("sft"), END))
    assert set(found.watched) == {f"{name}_chosen" for name in ("reward", "logp", "mean_logp", "tokens", "implicit")} | {"entropy"}


def test_the_first_step_of_dpo_against_itself(tiny):
    # the scorer's log-probabilities are the reference: c = r = 0, the loss is log 2, every comparison a tie
    from deft_core.lm.models import load

    lm = load("tiny", tiny)
    rows = train_rows(reference=False)
    scored = Scorer(lm, some_d()).score([row.tokens for row in rows])
    rows = [replace(row, reference=[score.logp for score in scores]) for row, scores in zip(rows, scored, strict=True)]
    out = TrainStep(lm.model.train(), some_d(), Objective("dpo"))(collate(rows, Objective("dpo"), END))
    assert out.align.item() == pytest.approx(math.log(2), abs=1e-5)
    assert out.watched["margin"].abs().max().item() < 1e-4


def test_ties_are_worth_one_half():
    row = train_rows()[0]
    same = replace(row, tokens=replace(row.tokens, responses=row.tokens.responses[:1] * 2), reference=[-20.0, -20.0])
    found = TrainStep(build(tiny_config()), some_d(), Objective())(collate([same], Objective(), END)).watched
    assert (found["accuracy_implicit"].item(), found["accuracy_logp"].item(), found["margin"].item()) == (0.5, 0.5, 0.0)


def test_the_automatic_weight_makes_the_term_a_tenth_of_the_loss():
    model, objective = build(tiny_config()), Objective("dpo")
    step = TrainStep(model, some_d(), objective)
    parts = micro_batches(train_rows(), 30, objective, END)
    omega, norms = auto_omega(step, [parts])
    assert step.omega == omega
    assert len(norms) == 1
    out = step(collate(train_rows(), objective, END))
    sizes = []
    for value in (out.align, out.guidance):
        gradients = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
        sizes.append(math.sqrt(sum(gradient.square().sum().item() for gradient in gradients)))
    assert sizes[1] == pytest.approx(0.1 * sizes[0], rel=1e-4)
    assert norms[0] == pytest.approx((sizes[0], sizes[1] / omega), rel=1e-4)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_is_off():
    from transformers import GPT2Config

    model = build(GPT2Config(**GPT2, resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5))
    step, batch = TrainStep(model, some_d(), Objective()).train(), collate(train_rows(), Objective(), END)
    assert step(batch).loss.item() == step(batch).loss.item()
    model = build(tiny_config(attention_dropout=0.5))
    step = TrainStep(model, some_d(), Objective()).train()
    assert step(batch).loss.item() == step(batch).loss.item()


def test_metrics_add_losses_and_average_rows():
    one = StepOutput(*(torch.tensor(x) for x in (1.0, 0.75, 0.25)), torch.zeros(2), {"margin": torch.tensor([1.0, 2.0])})
    two = StepOutput(*(torch.tensor(x) for x in (3.0, 2.0, 1.0)), torch.zeros(1), {"margin": torch.tensor([6.0])})
    assert metrics([one, two]) == {"loss": 4.0, "loss_align": 2.75, "loss_guidance": 1.25, "margin": 3.0}
    assert metrics([one, two], processes=2) == {"loss": 2.0, "loss_align": 1.375, "loss_guidance": 0.625, "margin": 3.0}


def one_of_two(rank, folder):
    """Rank 0 has one row of the step, rank 1 the others; both end with the gradients of the whole."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for method in ("sft", "dpo"):
        model, objective, rows = build(tiny_config(tie_word_embeddings=True)), Objective(method), train_rows()
        step = TrainStep(model, some_d(), objective, OMEGA)
        whole = collate(rows, objective, END)
        expected = torch.autograd.grad(step(whole).loss, list(model.parameters()))
        mine = collate(rows[:1] if rank == 0 else rows[1:], objective, END)
        (part,) = of_one_step([mine], rows=whole.step_rows / 2, tokens=whole.step_tokens / 2)
        wrapped = torch.nn.parallel.DistributedDataParallel(step)
        wrapped(part).loss.backward()
        for parameter, gradient in zip(model.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-5)
        (Path(folder) / f"{method} {rank}").write_text(str(len(expected)))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    compared = {path.name: int(path.read_text()) for path in tmp_path.glob("* ?")}
    assert compared == {"dpo 0": 20, "dpo 1": 20, "sft 0": 20, "sft 1": 20}  # two layers of nine, the embedding, the last norm
