"""A run folder as prepare writes it, without a workspace: small rows, the tiny model, d counted over those rows."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

from deft_core import discrepancy
from deft_core.lm import models
from deft_core.lm.tokens import token_bytes, token_rows
from deft_core.lm.training import train
from deft_core.preferences import SCHEMA
from deft_core.runs.spec import Run, Settings, write_run
from tests.conftest import small_rows

ROWS = pa.schema([SCHEMA.field(name) for name in ("id", "split", "source", "prompt", "responses", "ranks", "scores")])

SIX = Settings(steps=6, lr=1e-3, guidance=2.0, seed=5)


def rows_of(source):
    """Rows of input.parquet; the ids tell their places."""
    made = []
    for place, row in enumerate(source):
        ranks = [1] + [2] * (len(row["responses"]) - 1)
        prompt = [{"role": "user", "content": row["prompt"]}]
        own = {
            "responses": row["responses"],
            "ranks": ranks,
            "scores": [None if score is None else float(score) for score in row["scores"]],
        }
        made.append({"id": f"row-{place:03d}", "split": "train", "source": "made", "prompt": prompt} | own)
    return made


def write_d(folder, tokenizer, rows, vocabulary):
    tokens = token_rows(tokenizer, [row["prompt"] for row in rows], [row["responses"] for row in rows], 1024)
    chosen, rejected = np.zeros(vocabulary, np.int64), np.zeros(vocabulary, np.int64)
    for row in tokens:
        np.add.at(chosen, row.responses[0], 1)
        for response in row.responses[1:]:
            np.add.at(rejected, response, 1)
    discrepancy.table(token_bytes(tokenizer, vocabulary), chosen, rejected).to_parquet(folder / "discrepancy.parquet", index=False)


def run_folder(folder, model, settings=None, source=None, **changes):
    """The folder of a run on these rows (22 small ones, of which 4 are rankings); `changes` are of the Run."""
    from transformers import AutoConfig, AutoTokenizer

    rows = rows_of(source or small_rows(22))
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, ROWS), folder / "input.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:4], ROWS), folder / "heldout.parquet")
    write_d(folder, AutoTokenizer.from_pretrained(model), rows, AutoConfig.from_pretrained(model).vocab_size)
    model_hash, tokenizer_hash = models.fingerprint(model)
    run = Run(
        run_id="made-1",
        name="a run that was made",
        created="2026-01-02T03:04:05+00:00",
        dataset="made",
        selection="few",
        version=1,
        score_id="tiny-1",
        model=str(model),
        max_length=1024,
        layout="prefix-shared",
        own_logits=False,
        fingerprints={"data": "d1", "d": "d2", "tokenizer": tokenizer_hash, "model": model_hash, "selection": "s1"},
        rule={"keep": "highest", "by": "reward_chosen"},
        rows=len(rows),
        heldout_rows=4,
        judge_rows=0,
        truncated_rows=0,
        settings=settings or Settings(),
        control_of=None,
        scoring_seconds=1.0,
        code="0",
    )
    write_run(folder, replace(run, **changes))
    return folder


class Evaluation:
    """Stands in for deft_core.lm.evaluation; counts nothing and looks at nothing."""

    @staticmethod
    def prepare(model, tokenizer, folder, run, *, say, check):
        return {"asked": 0}

    @staticmethod
    def during(heldout, model, step, *, check):
        heldout["asked"] += 1
        sample = {"prompt": "p", "base": "b", "tuned": "t"}
        return {"accuracy_implicit": 0.5, "accuracy_implicit_low": 0.4, "accuracy_implicit_high": 0.6, "samples": [sample]}


def events(folder, kind=None):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if kind in (None, line["event"])]


def trained(folder, **changes):
    return train(folder, should_stop=lambda: False, say=lambda _: None, evaluation=Evaluation, **changes)


def stopped_after(folder, said):
    """Asked to stop once so many steps have been said."""
    steps = []

    def say(values):
        if values["phase"] == "training":
            steps.append(values["done"])

    return train(folder, should_stop=lambda: len(steps) >= said, say=say, evaluation=Evaluation)


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
