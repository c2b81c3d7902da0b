"""Evaluations of a run: figures by definition while it trains, and the whole report of a finished one."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from deft_core import discrepancy
from deft_core.errors import ModelError, NotFoundError
from deft_core.intervals import Figure
from deft_core.lm import evaluation, judging, models, shared_readings
from deft_core.lm import heldout as heldout_module
from deft_core.lm.heldout import material, neutral_rows
from deft_core.lm.losses import Objective
from deft_core.lm.train_step import TrainStep
from deft_core.runs import metrics
from deft_core.runs.prepare import ROWS
from deft_core.runs.spec import Settings, read_run, write_run
from tests.conftest import WORDS, small_rows
from tests.lm.run_folders import rows_of, run_folder
from tests.lm.test_readings import kl_by_definition
from tests.lm.test_train_step import PEFT_ASKS, by_definition
from tests.tiny_model import tiny_config

BETA = 0.2
FIGURES = [
    "accuracy_implicit",
    "accuracy_logp",
    "margin",
    "reward_chosen",
    "reward_rejected",
    "perplexity_neutral",
    "kl",
    "kl_own",
    "answer_tokens",
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(tiny, tmp_path, monkeypatch):
    """A run on small rows with 6 held out, a judge split of 30, short answers and little neutral text."""
    neutral = tmp_path / "neutral.txt"
    neutral.write_text("".join(f"{' '.join(WORDS[place:])}\n" for place in range(5)))
    monkeypatch.setattr(heldout_module, "NEUTRAL", neutral)
    monkeypatch.setattr(evaluation, "NEUTRAL_ROWS", 3)
    made = run_folder(tmp_path / "run", tiny, Settings(beta=BETA, new_tokens=6))
    rows = rows_of(small_rows(60))
    pq.write_table(pa.Table.from_pylist(rows[20:26], ROWS), made / "heldout.parquet")
    pq.write_table(pa.Table.from_pylist(rows[30:], ROWS), made / "judge.parquet")
    return made


def d_of(folder):
    return discrepancy.read_table(folder)["d"].to_numpy(np.float64)


def training(folder, run, lm):
    return TrainStep(lm.model.train(), d_of(folder), Objective("dpo", beta=BETA), 0.0, run.layout, run.own_logits).train()


def moved(model, size=0.05):
    """The same model a step away."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return model


def load(folder, run):
    return models.load(run.model, models.local_folder(run.model))


def test_before_training_the_model_is_its_base(folder):
    run = read_run(folder)
    lm = load(folder, run)
    step = training(folder, run, lm)
    heldout = evaluation.prepare(step, lm.tokenizer, folder, run)
    found = evaluation.during(heldout, step, 0)
    assert list(found) == [name + end for name in FIGURES for end in ("", "_low", "_high")] + ["samples"]
    assert [found[name] for name in ("accuracy_implicit", "margin", "kl", "kl_own")] == [0.5, 0.0, 0.0, 0.0]
    assert [(sample["id"], sample["prompt"]) for sample in found["samples"]] == [
        (f"row-{place:03d}", row["prompt"]) for place, row in list(enumerate(small_rows(60)))[20:23]
    ]
    assert all(sample["base"] == sample["tuned"] for sample in found["samples"])
    assert step.training and step.model.training
    json.dumps(found)


def test_a_trained_model_by_definition(folder):
    run = read_run(folder)
    lm, base, d = load(folder, run), load(folder, run), d_of(folder)
    step = training(folder, run, lm)
    heldout = evaluation.prepare(step, lm.tokenizer, folder, run)
    moved(lm.model)
    found = evaluation.during(heldout, step, 5)
    hits, gains, kls, rewards = [], [], [], []
    with torch.no_grad():
        for row in material(folder, run, base).rows:
            lp, lp0 = ([float(by_definition(model, row, k, d)[0]) for k in range(len(row.ranks))] for model in (lm.model, base.model))
            implicit = [BETA * (a - b) for a, b in zip(lp, lp0, strict=True)]
            gains.append(implicit[0] - sum(implicit[1:]) / (len(implicit) - 1))
            hits.append(float(gains[-1] > 0))
            kls.append(kl_by_definition(lm.model, base.model, row.tokens.prompt, row.tokens.responses[0], row.tokens.ended[0]))
            rewards.append(float(by_definition(lm.model, row, 0, d)[2]))
    assert found["accuracy_implicit"] == np.mean(hits)
    assert found["margin"] == pytest.approx(np.mean(gains), abs=1e-3)
    assert found["reward_chosen"] == pytest.approx(np.mean(rewards), abs=1e-4)
    assert found["kl"] == pytest.approx(sum(nats for nats, _ in kls) / sum(tokens for _, tokens in kls), rel=1e-3)
    assert found["kl_own"] > 0
    assert found["margin_low"] <= found["margin"] <= found["margin_high"]
    # the base is looked for, not taken from the model given: a resumed run evaluates against the same one
    again = evaluation.prepare(step, lm.tokenizer, folder, run)
    assert [row.reference for row in again.material.rows] == [row.reference for row in heldout.material.rows]
    assert again.answers == heldout.answers


@pytest.mark.filterwarnings(PEFT_ASKS)
def test_with_an_adapter_the_base_is_the_model_without_it(folder):
    from peft import LoraConfig, get_peft_model

    run = read_run(folder)
    lm = load(folder, run)
    plain = evaluation.prepare(training(folder, run, lm), lm.tokenizer, folder, run)
    config = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
    step = training(folder, run, replace(lm, model=get_peft_model(lm.model, config)))
    heldout = evaluation.prepare(step, lm.tokenizer, folder, run)
    for row, other in zip(heldout.material.rows, plain.material.rows, strict=True):
        assert row.reference == pytest.approx(other.reference, rel=1e-5)
    assert heldout.answers == plain.answers
    assert evaluation.during(heldout, step, 1)["kl"] > 1e-4
    assert any(parameter.requires_grad for parameter in step.parameters())


def test_neutral_text_has_a_start_and_every_paragraph(tiny):
    from tests.tiny_model import tiny_tokenizer

    rows = neutral_rows(tiny_tokenizer(), 2048)
    assert len(rows) == 64
    text = (Path(__file__).parents[2] / "data/neutral/paragraphs.txt").read_text().splitlines()[0]
    assert [len(rows[0].prompt), len(rows[0].responses[0])] == [1, len(text.encode()) - 1]  # a token a byte
    assert len(neutral_rows(tiny_tokenizer(), 50)[0].responses[0]) == 49


def test_without_held_out_rows_there_is_the_neutral_text(folder):
    pq.write_table(pa.Table.from_pylist([], ROWS), folder / "heldout.parquet")
    run = read_run(folder)
    lm = load(folder, run)
    step = training(folder, run, lm)
    found = evaluation.during(evaluation.prepare(step, lm.tokenizer, folder, run), step, 0)
    assert found["accuracy_implicit"] is None and found["samples"] == []
    assert found["perplexity_neutral"] > 1


# a finished run


@pytest.fixture
def finished(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = read_run(folder)
    moved(AutoModelForCausalLM.from_pretrained(run.model)).save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(run.model).save_pretrained(folder / "model")
    metrics.append(folder, "end", 6, of=6, seconds=20.0, tokens=900, peak_memory_bytes=1000)
    return folder


def test_a_finished_run(finished):
    phases = []
    found = evaluation.evaluate_run(finished, say=lambda status: phases.append(status["phase"]))
    assert found == json.loads((finished / "evaluation.json").read_text())
    assert list(found) == ["run", "created", "prompts", "new_tokens", "alignment", "generalisation", "judge", "cost"]
    assert (found["run"], found["prompts"], found["new_tokens"]) == ("made-1", 6, 6)
    assert found["alignment"]["accuracy_implicit"]["base"] == {"value": 0.5, "low": 0.5, "high": 0.5, "prompts": 6}
    general = found["generalisation"]
    assert list(general) == [
        "perplexity_neutral",
        "kl",
        "kl_own",
        "bleu",
        "chrf",
        "distinct_2",
        "distinct_2_within",
        "answer_tokens",
        "refusal_rate",
    ]
    assert general["kl"]["base"] is None and general["kl"]["tuned"]["value"] > 0
    assert general["perplexity_neutral"]["tuned"]["prompts"] == 5
    assert "fitting the judge on 30 rows" in phases
    cost = found["cost"]
    assert (cost["scoring_seconds"], cost["training_seconds"], cost["training_tokens"], cost["training_peak_bytes"]) == (
        1.0,
        20.0,
        900,
        1000,
    )
    assert cost["total_seconds"] == pytest.approx(21.0 + cost["evaluation_seconds"])
    judge = found["judge"]
    assert (judge["kind"], judge["rows"], judge["accuracy"]["prompts"]) == ("pooled states of the base", 30, 6)
    assert judge["can_tell"] == (judge["accuracy"]["low"] > 0.5) == ("win_rate" in found["alignment"])


def test_the_figures_come_from_the_rows(finished):
    found = evaluation.evaluate_run(finished)
    rows, neutral = (pd.read_parquet(finished / f"evaluation_{name}.parquet") for name in ("rows", "neutral"))
    assert rows["id"].tolist() == [f"row-{place:03d}" for place in range(20, 26)]
    assert found["alignment"]["margin"]["tuned"]["value"] == pytest.approx(rows["margin_tuned"].mean())
    assert found["alignment"]["accuracy_logp"]["difference"]["value"] == pytest.approx(
        rows["accuracy_logp_tuned"].mean() - rows["accuracy_logp_base"].mean()
    )
    perplexity = math.exp(neutral["nats_tuned"].sum() / neutral["tokens"].sum())
    assert found["generalisation"]["perplexity_neutral"]["tuned"]["value"] == pytest.approx(perplexity)
    assert found["generalisation"]["kl_own"]["tuned"]["value"] == pytest.approx(rows["kl_own_tuned"].sum() / rows["kl_own_tokens"].sum())
    assert rows["answer_tokens_tuned"].max() <= 6
    assert rows["reference"].str.len().max() <= 6  # as many tokens as an answer may have; here a byte each


def test_a_judge_that_can_tell_gives_a_win_rate(finished, monkeypatch):
    monkeypatch.setattr(judging, "accuracy", lambda *_: Figure(0.8, 0.6, 0.9, 6))
    won = evaluation.evaluate_run(finished)["alignment"]["win_rate"]
    rows = pd.read_parquet(finished / "evaluation_rows.parquet")
    ahead = (rows["judge_tuned"] > rows["judge_base"]).sum() + 0.5 * (rows["judge_tuned"] == rows["judge_base"]).sum()
    assert won["tuned"]["value"] == ahead / 6
    assert won["judge_accuracy"] == {"value": 0.8, "low": 0.6, "high": 0.9, "prompts": 6}
    same = rows["answer_tuned"] == rows["answer_base"]
    assert (rows["judge_tuned"] == rows["judge_base"])[same].all()  # the same answer is a tie


def test_a_model_that_has_not_moved_ties_with_its_base(finished, monkeypatch):
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(judging, "accuracy", lambda *_: Figure(0.8, 0.6, 0.9, 6))
    AutoModelForCausalLM.from_pretrained(read_run(finished).model).save_pretrained(finished / "model")
    found = evaluation.evaluate_run(finished)
    assert found["alignment"]["win_rate"]["tuned"] == {"value": 0.5, "low": 0.5, "high": 0.5, "prompts": 6}
    assert found["generalisation"]["kl_own"]["tuned"]["value"] == 0


def test_again_the_judge_is_the_one_that_was_fitted(finished):
    first = evaluation.evaluate_run(finished)
    phases = []
    again = evaluation.evaluate_run(finished, say=lambda status: phases.append(status["phase"]))
    assert not [phase for phase in phases if phase.startswith("fitting")]
    assert {name: again[name] for name in ("alignment", "generalisation", "judge")} == {
        name: first[name] for name in ("alignment", "generalisation", "judge")
    }


ANSWERS = [
    "win_rate",
    "kl_own",
    "bleu",
    "chrf",
    "distinct_2",
    "answer_tokens",
    "refusal_rate",
]  # distinct_2_within: of answers with two words


def test_prompts_that_are_not_answered_have_no_figures_of_answers(finished, monkeypatch):
    monkeypatch.setattr(judging, "accuracy", lambda *_: Figure(0.8, 0.6, 0.9, 6))
    whole = evaluation.evaluate_run(finished)
    run = read_run(finished)
    write_run(finished, replace(run, settings=replace(run.settings, answer_rows=4)))
    found = evaluation.evaluate_run(finished)
    rows = pd.read_parquet(finished / "evaluation_rows.parquet")
    for column in ("answer_base", "answer_tuned", "judge_base", "judge_tuned"):
        assert rows[column].notna().tolist() == [True] * 4 + [False] * 2
    prompts = {name: figures["tuned"]["prompts"] for part in ("alignment", "generalisation") for name, figures in found[part].items()}
    assert {name: prompts[name] for name in ANSWERS} == dict.fromkeys(ANSWERS, 4)
    assert {name: prompts[name] for name in ("accuracy_implicit", "margin", "kl")} == {"accuracy_implicit": 6, "margin": 6, "kl": 6}
    for name in ("accuracy_implicit", "accuracy_logp", "margin"):
        assert found["alignment"][name] == whole["alignment"][name]


def in_workspace(finished, tmp_path, name, **settings):
    """A copy of a run folder where a workspace has it."""
    folder = shutil.copytree(finished, tmp_path / "runs" / name)
    run = read_run(folder)
    write_run(folder, replace(run, run_id=name, settings=replace(run.settings, **settings)))
    return folder


def figures_of(evaluation):
    return {name: evaluation[name] for name in ("alignment", "generalisation", "judge")}


def test_runs_of_a_workspace_read_their_base_once(finished, tmp_path):
    asked = {"base: held-out rows", "base: neutral text", "fitting the judge on 30 rows"}
    folders = [in_workspace(finished, tmp_path, name) for name in ("first", "second")]
    phases = [set(), set()]
    found = [
        evaluation.evaluate_run(folder, say=lambda one, said=said: said.add(one["phase"]))
        for folder, said in zip(folders, phases, strict=True)
    ]
    assert asked <= phases[0] and not asked & phases[1]
    assert figures_of(found[0]) == figures_of(found[1]) == figures_of(evaluation.evaluate_run(finished))
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "runs" / ".base").iterdir())
    assert kept == ["answers", "judge", "neutral", "rows"]
    assert (folders[1] / "judge.safetensors").is_file()  # a folder goes on having all it needs


def test_what_was_read_for_other_lengths_is_not_taken_over(finished, tmp_path):
    evaluation.evaluate_run(in_workspace(finished, tmp_path, "first"))
    shorter = in_workspace(finished, tmp_path, "shorter", new_tokens=3)
    evaluation.evaluate_run(shorter)
    assert pd.read_parquet(shorter / "evaluation_rows.parquet")["answer_tokens_base"].max() <= 3
    assert len(list((tmp_path / "runs" / ".base").glob("rows-*"))) == 2


def test_a_damaged_reading_is_made_again(finished, tmp_path):
    first = evaluation.evaluate_run(in_workspace(finished, tmp_path, "first"))
    for path in (tmp_path / "runs" / ".base").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    assert figures_of(evaluation.evaluate_run(in_workspace(finished, tmp_path, "second"))) == figures_of(first)


def test_seconds_that_were_spared_are_in_the_cost(finished, monkeypatch):
    monkeypatch.setattr(shared_readings, "rows", lambda *given: (given[-1](), 1000.0))
    assert 1000 < evaluation.evaluate_run(finished)["cost"]["evaluation_seconds"] < 2000


def test_too_few_rows_for_a_judge(finished):
    (finished / "judge.parquet").unlink()
    judge = evaluation.evaluate_run(finished)["judge"]
    assert (judge["kind"], judge["can_tell"]) == ("none", False)
    assert judge["words"].startswith("No judge: the judge split has 0 rows, and at least 20 are needed.")


def test_a_run_without_a_model_says_so(folder):
    with pytest.raises(NotFoundError, match="the trained model of made-1"):
        evaluation.evaluate_run(folder)


def test_a_finished_run_without_held_out_rows(finished):
    pq.write_table(pa.Table.from_pylist([], ROWS), finished / "heldout.parquet")
    found = evaluation.evaluate_run(finished)
    assert (found["prompts"], found["alignment"]["margin"]["tuned"]["value"]) == (0, None)
    assert found["judge"]["words"] == "No held-out pairs to try the judge on: no win rate."
    assert found["generalisation"]["perplexity_neutral"]["tuned"]["prompts"] == 5


def test_a_base_that_was_changed_since_is_refused(finished):
    run = read_run(finished)
    write_run(finished, replace(run, fingerprints=run.fingerprints | {"model": "another"}))
    with pytest.raises(ModelError, match=r"the base that made-1 began with \(another\)"):
        evaluation.evaluate_run(finished)


def test_a_reward_model_and_bartscore_by_name(finished, tmp_path):
    from transformers import BartConfig, BartForConditionalGeneration, LlamaForSequenceClassification

    from tests.tiny_model import tiny_tokenizer

    reward = tmp_path / "reward"
    torch.manual_seed(1)
    LlamaForSequenceClassification(tiny_config(num_labels=1, pad_token_id=0)).save_pretrained(reward)
    tiny_tokenizer().save_pretrained(reward)
    bart = tmp_path / "bart"
    size = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 256}
    tokens = {
        "vocab_size": 257,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": 0,
    }
    BartForConditionalGeneration(BartConfig(**size, **heads, **tokens)).save_pretrained(bart)
    tiny_tokenizer().save_pretrained(bart)
    found = evaluation.evaluate_run(finished, reward_model=str(reward), bart_model=str(bart))
    assert (found["judge"]["kind"], found["judge"]["name"]) == ("reward model", str(reward))
    assert found["judge"]["can_tell"] == ("win_rate" in found["alignment"])
    assert found["alignment"].get("win_rate", {}).get("judge_accuracy") in (None, found["judge"]["accuracy"])
    assert found["generalisation"]["bart_score"]["tuned"]["value"] < 0
