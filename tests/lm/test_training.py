"""A run equals a hand-written loop, goes on where it stopped, and says in words what ends it."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deft_core import discrepancy
from deft_core.lm import models, reference
from deft_core.lm.collator import places_of_step
from deft_core.lm.losses import Objective
from deft_core.lm.run_rows import read_rows
from deft_core.lm.train_batch import collate
from deft_core.lm.train_step import TrainStep
from deft_core.lm.training import train
from deft_core.runs import metrics
from deft_core.runs.spec import METHODS, Settings
from tests.conftest import small_rows
from tests.lm.run_folders import SIX, Evaluation, assert_same_bits, events, run_folder, stopped_after, trained, weights
from tests.tiny_model import save_model, tiny_config

pytestmark = pytest.mark.usefixtures("one_thread")


def by_hand(folder, tiny, settings, rows=22):
    """(losses, weights) of plain AdamW over whole steps: torch's loop, no Trainer, no micro-batches."""
    lm = models.load("tiny", tiny)
    found = reference.with_references(read_rows(folder / "input.parquet", lm, 1024), reference.read_references(folder))
    d = discrepancy.read_table(folder)["d"].to_numpy(np.float64)
    objective = Objective(settings.method, **settings.coefficients())
    step = TrainStep(lm.model.train(), d, objective, settings.guidance)
    named = list(step.model.named_parameters())
    decayed = [value for name, value in named if "norm" not in name]
    kept = [value for name, value in named if "norm" in name]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.999), eps=1e-8)
    warm, losses = math.ceil(settings.warmup * settings.steps), []
    for k in range(settings.steps):
        rate = k / warm if k < warm else (settings.steps - k) / (settings.steps - warm)  # linear up, linear down to 0
        for group in adam.param_groups:
            group["lr"] = settings.lr * rate
        batch = collate([found[place] for place in places_of_step(k, rows, settings.rows_per_step, settings.seed)], objective, 0)
        loss = step(batch).loss
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), settings.max_grad_norm)
        adam.step()
    return losses, lm.model.state_dict()


@pytest.mark.parametrize(
    "changes", [{}, {"method": "pro", "weight_decay": 0.1}, {"method": "sft", "guidance": 0.0}], ids=["dpo", "pro", "sft"]
)
def test_a_run_equals_a_loop_written_by_hand(tiny, tmp_path, changes):
    settings = replace(SIX, lr=1e-3, **changes)
    folder = run_folder(tmp_path / "run", tiny, replace(settings, accumulation_tokens=300))
    end = trained(folder)
    losses, expected = by_hand(folder, tiny, settings)
    steps = events(folder, "step")
    assert [step["loss"] for step in steps] == pytest.approx(losses, rel=1e-5, abs=1e-6)
    assert steps[1]["learning_rate"] == pytest.approx(1e-3)  # one step of warm-up in six: 0, 1, 4/5, ...
    assert steps[2]["learning_rate"] == pytest.approx(0.8e-3)
    found = weights(folder)
    before = load_file(tiny / "model.safetensors")
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=2e-5, rtol=0)
    assert max((found[name] - before[name]).abs().max().item() for name in found) > 1e-3
    assert (end.step, end.of, end.stopped, end.omega) == (6, 6, False, settings.guidance)


def test_methods_without_reference_run_without_it(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, Settings(method="orpo", steps=2))
    trained(folder)
    assert not (folder / "reference.parquet").exists()
    assert "margin" not in events(folder, "step")[0]
    assert "accuracy_logp" in events(folder, "step")[0]


def test_what_every_step_and_every_stage_says(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, eval_steps=4, save_steps=3))
    said = []
    end = train(folder, should_stop=lambda: False, say=said.append, evaluation=Evaluation)
    kinds = [(event["event"], event["step"]) for event in events(folder)]
    expected = [("omega", 0), ("start", 0), ("evaluation", 0), *[("step", k) for k in (1, 2, 3)], ("checkpoint", 3), ("step", 4)]
    assert kinds == [*expected, ("evaluation", 4), ("step", 5), ("step", 6), ("evaluation", 6), ("checkpoint", 6), ("end", 6)]
    first = events(folder, "step")[0]
    names = {"loss", "loss_align", "loss_guidance", "reward_chosen", "reward_rejected", "margin", "accuracy_implicit", "accuracy_logp"}
    names |= {"logp_chosen", "logp_rejected", "entropy", "grad_norm", "learning_rate", "tokens_per_second", "pairs_per_second"}
    assert names | {"memory_bytes", "seconds_left", "epoch"} <= set(first)
    assert first["epoch"] == pytest.approx(1 / 6)  # 22 rows in steps of 4: six steps an epoch
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [0, 4, 6]
    assert json.loads((folder / "resolved.json").read_text()) == {"omega": 2.0, "norms": None}
    assert {value["phase"] for value in said} >= {"loading the model", "training", "evaluating", "saving the model"}
    assert [value["done"] for value in said if value["phase"] == "training"] == [1, 2, 3, 4, 5, 6]
    read = read_rows(folder / "input.parquet", models.load("tiny", tiny), 1024)
    pairs = [row.tokens for row in read]
    assert end.tokens == sum(len(row.prompt) + len(row.responses[0]) + len(row.responses[-1]) for row in pairs)  # one epoch


def documented(*pages):
    return set(re.findall(r"`([a-z_0-9]+)`", "".join((Path(__file__).parents[2] / "docs" / page).read_text() for page in pages)))


@pytest.mark.parametrize("method", METHODS)
def test_every_value_that_a_run_reports_is_documented_by_its_name(tiny, tmp_path, method):
    settings = Settings(method=method, steps=2, guidance=None, eval_rows=4, new_tokens=4)
    folder = run_folder(tmp_path / "run", tiny, settings)
    train(folder, should_stop=lambda: False, say=lambda _: None)  # evaluated for real
    assert {event["event"] for event in events(folder)} == set(metrics.EVENTS) - {"alert"}
    told = {name for event in events(folder) if event["event"] != "evaluation" for name in event}
    assert told - documented("runs.md") == set()
    figures = {re.sub("_(low|high)$", "", name) for event in events(folder, "evaluation") for name in event}
    assert figures - {"event", "step", "time"} - documented("evaluating.md") == set()
    assert {
        "accuracy_implicit",
        "accuracy_logp",
        "margin",
        "reward_chosen",
        "kl",
        "kl_own",
        "perplexity_neutral",
        "answer_tokens",
    } <= figures


def test_stopped_and_resumed_it_ends_with_the_same_bits(tiny, tmp_path):
    whole = run_folder(tmp_path / "whole", tiny, SIX)
    trained(whole)
    folder = run_folder(tmp_path / "run", tiny, SIX)
    for said in (1, 2):  # a step is said after it was asked whether to stop: this ends after step 2, then after step 5
        end = stopped_after(folder, said)
        assert end.stopped
        assert not (folder / "model").exists()
    assert (end.step, end.of) == (5, 6)
    last = trained(folder)
    assert (last.step, last.stopped) == (6, False)
    assert_same_bits(weights(folder), weights(whole))
    told = {event["step"]: event["loss"] for event in events(folder, "step")}
    assert told == {event["step"]: event["loss"] for event in events(whole, "step")}
    assert [event["step"] for event in events(folder, "start")] == [0, 2, 5]
    assert last.tokens == events(whole, "end")[0]["tokens"]
    assert len(events(folder, "evaluation")) == len(events(whole, "evaluation"))


@pytest.mark.parametrize(("number", "ends"), [(0, 0), (1, 2), (3, 6)])  # evaluations of SIX: before step 1, after 2, 4 and 6
def test_a_stop_does_not_wait_for_an_evaluation_and_it_is_made_up_for(tiny, tmp_path, number, ends):
    whole = run_folder(tmp_path / "whole", tiny, SIX)
    trained(whole)
    folder = run_folder(tmp_path / "run", tiny, SIX)

    class Long(Evaluation):
        """Asked to stop while it is under way."""

        asked = False

        @staticmethod
        def during(heldout, model, step, *, check):
            Long.asked = heldout["asked"] == number
            check()
            return Evaluation.during(heldout, model, step, check=check)

    end = train(folder, should_stop=lambda: Long.asked, say=lambda _: None, evaluation=Long)
    assert (end.step, end.stopped) == (ends, True)
    assert not (folder / "model").exists()
    assert (trained(folder).step, trained(folder).stopped) == (6, False)
    assert_same_bits(weights(folder), weights(whole))
    assert [event["step"] for event in events(folder, "evaluation")] == [event["step"] for event in events(whole, "evaluation")]


def test_without_evaluations_nothing_is_read_before_or_between(tiny, tmp_path):
    class Unwanted:
        @staticmethod
        def prepare(*_, **__):
            raise AssertionError("no evaluation was asked for")

    folder = run_folder(tmp_path / "run", tiny, replace(SIX, eval_steps=0))
    end = train(folder, should_stop=lambda: False, say=lambda _: None, evaluation=Unwanted)
    assert (end.step, end.stopped, events(folder, "evaluation")) == (6, False, [])
    assert (folder / "model" / "config.json").is_file()


def test_a_half_written_checkpoint_is_not_taken(tiny, tmp_path):
    whole = run_folder(tmp_path / "whole", tiny, SIX)
    trained(whole)
    folder = run_folder(tmp_path / "run", tiny, SIX)
    assert stopped_after(folder, 2).step == 3
    growing = folder / "checkpoints" / ".growing" / "checkpoint-4"
    growing.mkdir(parents=True)
    (growing / "trained.safetensors").write_bytes(b"half")
    trained(folder)
    assert_same_bits(weights(folder), weights(whole))


def test_asked_before_its_first_step_it_leaves_everything_as_it_is(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    end = train(folder, should_stop=lambda: True, say=lambda _: None, evaluation=Evaluation)
    assert (end.step, end.of, end.stopped) == (0, 6, True)
    assert not (folder / "metrics.jsonl").exists()


def test_a_finished_run_called_again_gives_the_same_end(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    first = trained(folder)
    before = weights(folder)
    left = sorted(path.name for path in (folder / "checkpoints" / "checkpoint-6").iterdir())
    assert left == ["cost.json", "trained.safetensors", "trainer_state.json"]
    again = trained(folder)
    assert (again.step, again.tokens, again.seconds, again.stopped) == (6, first.tokens, first.seconds, False)
    assert_same_bits(weights(folder), before)
    assert len(events(folder, "step")) == 6


def test_the_automatic_weight_is_measured_once_and_kept(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, guidance=None))
    end = trained(folder)
    (omega,) = events(folder, "omega")
    ratios = sorted(0.1 * align / reward for align, reward in omega["norms"])
    assert len(ratios) == 6  # the run has fewer than eight steps
    assert end.omega == omega["omega"] == pytest.approx((ratios[2] + ratios[3]) / 2)
    shutil.rmtree(folder / "checkpoints")
    assert trained(folder).omega == end.omega
    assert len(events(folder, "omega")) == 1


def test_a_control_takes_the_weight_it_is_given(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, guidance=None), omega=3.5)
    assert trained(folder).omega == 3.5
    assert events(folder, "start")[0]["omega"] == 3.5


def test_lora_leaves_an_adapter_and_a_merged_model_that_say_the_same(tiny, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = run_folder(tmp_path / "run", tiny, replace(SIX, lora_rank=4, lr=1e-2))
    trained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    ids = torch.randint(1, 257, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        untouched = base(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(folder / "model")(ids).logits
        with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
            adapted = PeftModel.from_pretrained(base, folder / "model" / "adapter")(ids).logits
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=0)
    assert (merged - untouched).abs().max() > 1e-2
    config = json.loads((folder / "model" / "adapter" / "adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert torch.equal(weights(folder)["model.embed_tokens.weight"], load_file(tiny / "model.safetensors")["model.embed_tokens.weight"])


def test_lora_resumes_with_the_same_bits(tiny, tmp_path):
    settings = replace(SIX, lora_rank=4, lr=1e-2)
    whole, folder = run_folder(tmp_path / "whole", tiny, settings), run_folder(tmp_path / "run", tiny, settings)
    trained(whole)
    assert stopped_after(folder, 3).step == 4
    trained(folder)
    assert_same_bits(weights(folder), weights(whole))


def test_checkpointed_activations_and_bfloat16_learn_too(tiny, tmp_path):
    plain = run_folder(tmp_path / "plain", tiny, SIX)
    trained(plain)
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, gradient_checkpointing=True))
    trained(folder)
    for name, value in weights(folder).items():
        torch.testing.assert_close(value, weights(plain)[name], atol=1e-5, rtol=0)
    half = run_folder(tmp_path / "half", tiny, replace(SIX, dtype="bfloat16"))
    trained(half)
    assert {value.dtype for value in weights(half).values()} == {torch.float32}
    losses = [[event["loss"] for event in events(one, "step")] for one in (plain, half)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]
    lora = run_folder(tmp_path / "lora", tiny, replace(SIX, dtype="bfloat16", lora_rank=4))
    trained(lora)
    assert {value.dtype for value in weights(lora).values()} == {torch.bfloat16}


def test_a_tracker_hears_every_step_and_evaluation(tiny, tmp_path, monkeypatch):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    heard = []

    class Tracker(TrainerCallback):
        def on_log(self, args, state, control, logs, **_):
            heard.append((state.global_step, dict(logs)))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "made", Tracker)
    folder = run_folder(tmp_path / "run", tiny, replace(SIX, report_to="made", eval_steps=6))
    trained(folder)
    told = {step: logs for step, logs in heard if "grad_norm" in logs}
    assert {step: logs["margin"] for step, logs in told.items()} == {event["step"]: event["margin"] for event in events(folder, "step")}
    assert [step for step, logs in heard if "eval_accuracy_implicit" in logs] == [0, 6]
    assert "train_runtime" in heard[-1][1]


def test_a_model_without_a_chat_template_reads_lines(tmp_path):
    bare = save_model(tiny_config(), tmp_path / "bare", template=None)
    folder = run_folder(tmp_path / "run", bare, SIX)
    trained(folder)
    losses, _ = by_hand(folder, bare, SIX)
    assert [step["loss"] for step in events(folder, "step")] == pytest.approx(losses, rel=1e-5)


def test_rows_longer_than_the_context_are_cut(tmp_path):
    short = save_model(tiny_config(max_position_embeddings=48), tmp_path / "short")
    folder = run_folder(tmp_path / "run", short, SIX)
    end = trained(folder)
    assert end.step == 6
    rows = read_rows(folder / "input.parquet", models.load("short", short), 1024)
    assert max(row.tokens.longest_sequence() for row in rows) == 48


def test_known_references_are_taken_and_missing_ones_added(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    reference.write_references(folder, {"row-000": [-7.0, -8.0]})
    trained(folder)
    known = reference.read_references(folder)
    assert len(known) == 22
    assert known["row-000"] == [-7.0, -8.0]


def test_pro_says_how_many_rows_have_no_scores(tiny, tmp_path):
    source = [row | {"scores": [None] * len(row["scores"])} if place < 3 else row for place, row in enumerate(small_rows(22))]
    folder = run_folder(tmp_path / "run", tiny, Settings(method="pro", steps=1), source)
    trained(folder)
    assert events(folder, "start")[0]["rows_without_scores"] == 3


def test_the_card_says_what_the_model_was_made_from(tiny, tmp_path):
    folder = run_folder(tmp_path / "run", tiny, SIX)
    trained(folder)
    text = (folder / "model" / "README.md").read_text()
    for words in (
        "tags: [deft, dpo]",
        "- selection: few@1",
        "- discrepancy d: d2",
        "- guidance weight (omega): 2",
        "- beta: 0.1",
        "22 preferences",
    ):
        assert words in text
    assert "| accuracy_implicit | 0.5 [0.4, 0.6] | 0.5 [0.4, 0.6] |" in text
    assert str(tiny.parent) not in text
