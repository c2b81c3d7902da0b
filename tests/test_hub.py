"""Datasets and models by Hub id: the real libraries against a Hub on this machine."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from deft_core.lm import models
from deft_core.queries import light_table, open_view
from deft_core.workspace import read_json
from tests.hub_server import hub

ROWS = [{"prompt": f"How is day {i}?", "chosen": f"day {i} is fine", "rejected": f"I will not say {i}", "who": i} for i in range(40)]


@pytest.fixture
def repositories(tmp_path, tiny):
    """A dataset of two splits and a model, as their authors pushed them."""
    data = tmp_path / "hub" / "datasets" / "ada" / "pairs" / "data"
    data.mkdir(parents=True)
    for name, rows in (("train", ROWS[:30]), ("test", ROWS[30:])):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (data.parent / "README.md").write_text("# Pairs\n")
    shutil.copytree(tiny, tmp_path / "hub" / "models" / "ada" / "tiny")
    return tmp_path / "hub"


def deft(workspace, tmp_path, address, *words):
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    environment |= {"DEFT_WORKSPACE": str(workspace.root), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "deft_core", *words, "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_dataset_and_a_model_by_their_hub_ids(tmp_path, workspace, repositories, tiny):
    with hub(repositories) as address:
        imported = deft(workspace, tmp_path, address, "import", "ada/pairs", "--name", "pairs")
        scored = deft(workspace, tmp_path, address, "score", "pairs", "--model", "ada/tiny")
        unknown = deft(workspace, tmp_path, address, "import", "ada/none", "--name", "none")
    told = json.loads(imported.stdout)
    assert (told["rows_read"], told["rows_kept"], told["train"], told["heldout"]) == (40, 40, 30, 10)
    assert "looking for ada/tiny on the Hub" in scored.stderr
    assert json.loads(scored.stdout)["pairs"] == 40
    view = open_view(workspace, "pairs")
    assert len(light_table(view)) == 40
    [score_set] = workspace.scores("pairs").glob("*/score.json")
    assert read_json(score_set)["model_fingerprint"] == models.fingerprint(tiny)[0], "the weights came over whole"
    assert unknown.returncode == 1 and "RepositoryNotFoundError" in unknown.stderr and "Check the name" in unknown.stderr
