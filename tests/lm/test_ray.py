"""Scoring on a cluster of two nodes of one core each, made by Ray's own test utility; one of them, or an actor, is killed in the middle."""

import json
import socket
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from deft_core.errors import InputError, ModelError
from deft_core.importing import import_source
from deft_core.lm.ray_engine import RayEngine, stretches
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.workspace import read_json
from tests.conftest import small_rows
from tests.tiny_model import save_model, tiny_config

ROWS = 1500  # parts of 16, 32, 64, 128 and 256, the last of 236


@pytest.fixture
def many(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("deft_core.pair_writer.GROUP_ROWS", 100)  # 15 row groups
    source = tmp_path / "many.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in small_rows(ROWS)))
    import_source(workspace, str(source), "many")
    return workspace


@pytest.fixture
def cluster():
    """A head without cores and two nodes of one core each."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.two = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def scored(workspace, report):
    """The light columns of a set in the order of ids, and its pooled vectors."""
    folder = workspace.score_set("many", report.score_id)
    table = pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("part-*.parquet"))], ignore_index=True)
    return table, np.concatenate([np.load(path) for path in sorted(folder.glob("pooled-*.npy"))])


def check_equal(workspace, report, expected):
    table, pooled = scored(workspace, report)
    assert table["id"].tolist() == expected[0]["id"].tolist() and len(table) == ROWS
    for name in ("reward_chosen", "reward_rejected", "reward_margin", "mean_logp_chosen", "mean_logp_rejected"):
        assert np.abs(table[name] - expected[0][name]).max() < 1e-5, name
    assert [ids.tolist() for row in table["token_ids"] for ids in row] == [ids.tolist() for row in expected[0]["token_ids"] for ids in row]
    assert np.abs(pooled - expected[1]).max() < 1e-5


def counts_of(folder):
    return pd.read_parquet(folder / "counts.parquet")


def local(workspace, settings):
    """What this machine scores and counts, then out of the way."""
    report = score(workspace, "many", settings)
    found, folder = scored(workspace, report), workspace.score_set("many", report.score_id)
    d, about = pd.read_parquet(folder / "discrepancy.parquet"), read_json(folder / "score.json")
    counts = counts_of(folder)
    folder.rename(folder.with_name(".local"))
    return found, d, about, counts


def test_row_groups_are_counted_in_few_stretches_each_of_them_once():
    assert stretches(15, 2) == [(0, 1), (1, 3), (3, 5), (5, 7), (7, 9), (9, 11), (11, 13), (13, 15)]  # 4 x 2; bounds at 15 k / 8, cut
    assert stretches(1, 2) == [(0, 1)]
    assert stretches(3, 16) == [(0, 1), (1, 2), (2, 3)]
    many = stretches(10_000, 512)
    assert len(many) == 128 and many[0] == (0, 78) and many[-1] == (9921, 10_000)  # 10,000 / 128 = 78.1
    assert [k for start, end in many for k in range(start, end)] == list(range(10_000))


@pytest.mark.slow
def test_a_cluster_scores_as_this_machine_does_and_goes_on_with_what_it_began(many, tiny, cluster):
    settings = ScoreSettings(str(tiny), batch_tokens=150)
    expected, d, about, counts = local(many, settings)
    report = score(many, "many", ScoreSettings(str(tiny), 100, 150), engine=RayEngine())
    assert (report.pairs, report.score_id, report.layout) == (100, about["score_id"], "prefix-shared")
    assert score(many, "many", ScoreSettings(str(tiny), 300, 150)).pairs == 300  # this machine goes on
    whole = score(many, "many", settings, engine=RayEngine())  # and the cluster again
    check_equal(many, whole, expected)
    folder = many.score_set("many", whole.score_id)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "discrepancy.parquet"), d)
    pd.testing.assert_frame_equal(counts_of(folder), counts)
    same = ("dataset_fingerprint", "model_fingerprint", "tokenizer_fingerprint", "layout", "batch_tokens", "pairs", "dtype", "device")
    assert {name: read_json(folder / "score.json")[name] for name in same} == {name: about[name] for name in same}
    status = read_json(folder / "status.json")
    assert (status["state"], status["done"], status["total"]) == ("finished", ROWS, ROWS)
    assert not list(folder.glob(".part-*")) and not (folder / ".in-order.parquet").exists()


@pytest.mark.slow
def test_an_actor_and_a_node_that_are_killed_in_the_middle_change_no_score(many, tiny, cluster):
    settings = ScoreSettings(str(tiny), batch_tokens=150)
    expected, *_ = local(many, settings)
    killed = []

    def say(status):
        if status["phase"] == "scoring" and status["done"] >= 16 and not killed:
            actors = [process for process in psutil.process_iter(["cmdline"]) if "_PartWorker" in " ".join(process.info["cmdline"] or [])]
            assert len(actors) == 2
            actors[0].kill()
            killed.append(status["done"])
        elif status["phase"] == "scoring" and len(killed) == 1 and status["done"] > killed[0]:
            cluster.remove_node(cluster.two[1], allow_graceful=False)
            killed.append(status["done"])

    report = score(many, "many", settings, say, engine=RayEngine())
    assert len(killed) == 2 and killed[1] < ROWS
    check_equal(many, report, expected)


@pytest.mark.slow
def test_what_goes_wrong_on_the_cluster_is_said_in_its_own_words(many, tiny, tmp_path, cluster):
    with pytest.raises(InputError, match=r"a node with 2 cores; found .*1 cores and 0 GPUs.* smaller --slot-cpus"):
        score(many, "many", ScoreSettings(str(tiny)), engine=RayEngine(2))
    narrow = save_model(tiny_config(vocab_size=100), tmp_path / "narrow")
    with pytest.raises(ModelError, match="whose tokens the model has logits for"):
        score(many, "many", ScoreSettings(str(narrow)), engine=RayEngine())
    status = read_json(next(many.scores("many").glob("narrow-*/status.json")))
    assert status["state"] == "failed" and "Use the tokenizer the model was trained with" in status["message"]
    cluster.add_node(num_cpus=1, num_gpus=1)  # Ray takes anybody's word for it
    with pytest.raises(ModelError, match=r"a GPU, as Ray says this node has; found torch .*, which sees none"):
        score(many, "many", ScoreSettings(str(tiny)), engine=RayEngine())


def test_without_ray_it_is_said_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install -r requirements-ray\.txt"):
        RayEngine()


def test_a_ray_that_is_there_and_fails_says_why(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "ray.py").write_text("raise ImportError('libfoo.so: cannot open')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"found one that fails: libfoo\.so: cannot open"):
        RayEngine()


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        started = time.monotonic()
        with pytest.raises(InputError, match=rf"a Ray cluster at {address}; found .*Connection refused.* set RAY_ADDRESS"):
            RayEngine()
    assert time.monotonic() - started < 60  # Ray alone tries for minutes; importing it takes some seconds


def test_a_slot_has_a_core():
    with pytest.raises(InputError, match="at least one core a slot; found 0"):
        RayEngine(0)
