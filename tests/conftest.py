"""What many tests need: a small real model, a small imported dataset."""

import json

import pytest

from deft_core.importing import import_source
from deft_core.queries import open_view
from deft_core.workspace import Workspace
from tests.score_sets import write_demo

SENTENCE = "the sky is blue and rivers run to sea while old stones keep warm until evening comes round again"
WORDS = SENTENCE.split(" ")


def small_rows(count: int) -> list[dict]:
    """Pairs and, every fifth row, a ranking of three with a tie below the top; all different, lengths spread out."""
    rows = []
    for i in range(count):
        text = [" ".join(WORDS[(i * 7 + k * 3 + j) % len(WORDS)] for j in range(3 + (i * 5 + k * 4) % 14)) + f" {i}" for k in range(3)]
        prompt = f"Question {i}: {' '.join(WORDS[: 2 + i % 9])}?"
        if i % 5 == 4:
            rows.append({"prompt": prompt, "responses": text, "scores": [3, 1, 1]})
        else:
            rows.append({"prompt": prompt, "responses": text[:2], "scores": [2, 1]})
    return rows


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a two-layer random Llama with a byte-level tokenizer."""
    from tests.tiny_model import save_model, tiny_config

    return save_model(tiny_config(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def one_thread():
    """A model this small only waits for a second one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def scored(workspace):
    """A workspace with the dataset `demo`: 60 rows, all scored."""
    write_demo(workspace, 60)
    return workspace


@pytest.fixture
def view(scored):
    return open_view(scored, "demo")


@pytest.fixture(scope="session")
def partly_scored(tmp_path_factory):
    """`demo` with 40 of its 60 rows scored, in folders that are no plain text in SQL or in a pattern; to be read, not written."""
    workspace = Workspace(tmp_path_factory.mktemp("a [folder] it's?") / "w*")
    write_demo(workspace, 60, done=40)
    return workspace


@pytest.fixture
def small(workspace, tmp_path):
    """A workspace with the dataset `small`: 60 rows, of which 12 are rankings of three."""
    source = tmp_path / "small.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in small_rows(60)))
    import_source(workspace, str(source), "small")
    return workspace
