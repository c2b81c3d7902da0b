"""A score set on disk: what it holds, how it goes on, who may write it."""

import json
import threading
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from deft_core.discrepancy import head_vector, rescore
from deft_core.errors import InputError, ModelError
from deft_core.group_counts import group_of, read_counts
from deft_core.importing import import_source
from deft_core.lm import score_parts, score_set
from deft_core.lm.models import load
from deft_core.lm.score_set import ScoreSettings, score
from deft_core.lm.scoring import Scorer, reference_scores
from deft_core.lm.tokens import token_rows
from deft_core.workspace import read_json, write_json
from tests.conftest import small_rows
from tests.tiny_model import save_model, tiny_config


@pytest.fixture
def settings(tiny):
    return ScoreSettings(model=str(tiny), batch_tokens=512)


def parts(workspace, score_id):
    return sorted(workspace.score_set("small", score_id).glob("part-*.parquet"))


def read(workspace, score_id):
    return pd.concat([pd.read_parquet(part) for part in parts(workspace, score_id)], ignore_index=True)


def test_every_row_is_scored_once_and_equals_the_definition(small, settings):
    report = score(small, "small", settings)
    assert (report.dataset, report.pairs, report.layout) == ("small", 60, "prefix-shared")
    found = read(small, report.score_id)
    pairs = pd.read_parquet(small.pairs("small")).set_index("id")
    assert sorted(found["id"]) == sorted(pairs.index)
    lm = load(settings.model, score_set.models.local_folder(settings.model))
    d = pd.read_parquet(small.score_set("small", report.score_id) / "discrepancy.parquet")["d"].to_numpy()
    for row in found.sample(10, random_state=0).itertuples():
        tokens = token_rows(lm.tokenizer, [list(pairs.prompt[row.id])], [list(pairs.responses[row.id])], 1024)[0]
        expected = reference_scores(lm, d, tokens)
        assert list(row.rewards) == pytest.approx([r for r, _ in expected], abs=1e-5)
        assert list(row.logps) == pytest.approx([float(lp.sum()) for _, lp in expected], abs=1e-3)
        assert [list(ids) for ids in row.token_ids] == tokens.responses


def test_d_counts_the_training_split_alone_whatever_the_limit(small, settings):
    report = score(small, "small", ScoreSettings(settings.model, limit=3))
    assert report.pairs == 3
    counts = pd.read_parquet(small.score_set("small", report.score_id) / "discrepancy.parquet")
    train = pd.read_parquet(small.pairs("small")).query("split == 'train'")
    # the tokenizer has one token a byte: the counts are the bytes of the answers
    assert counts["count_chosen"].sum() == sum(len(r[0].encode()) for r in train.responses)
    assert counts["count_rejected"].sum() == sum(len(text.encode()) for r in train.responses for text in r[1:])
    assert counts["d"].sum() == pytest.approx(0, abs=1e-12)


def test_counts_by_conversation_are_kept_for_the_reliability_of_d(small, settings):
    report = score(small, "small", ScoreSettings(settings.model, limit=3))
    counts = read_counts(small.score_set("small", report.score_id))
    train = pd.read_parquet(small.pairs("small")).query("split == 'train'")
    expected = Counter()  # one token a byte, token 0 is the end token; the ranking's two tied responses are both rejected
    lm = load(settings.model, score_set.models.local_folder(settings.model))
    for row in train.itertuples():
        for rank, text in zip(row.ranks, row.responses, strict=True):
            expected.update((group_of(row.conversation), token, rank == 1) for token in lm.tokenizer(text)["input_ids"])
    entries = zip(counts.groups, counts.token_ids, counts.chosen, counts.rejected, strict=True)
    found = {(group, token, side): n for group, token, *both in entries for side, n in zip((True, False), both, strict=True) if n}
    assert found == expected
    assert (counts.vocabulary, counts.conversations) == (257, train.conversation.nunique())


def test_another_d_rescored_from_the_pooled_states_equals_scoring_with_it(small, settings):
    report = score(small, "small", settings)
    folder = small.score_set("small", report.score_id)
    other = np.roll(pd.read_parquet(folder / "discrepancy.parquet")["d"].to_numpy(), 17)
    pooled = np.concatenate([np.load(path, mmap_mode="r") for path in sorted(folder.glob("pooled-*.npy"))])
    fast = rescore(pooled, head_vector(np.load(folder / "head.npy", mmap_mode="r"), other))
    lm = load(settings.model, score_set.models.local_folder(settings.model))
    pairs = pd.read_parquet(small.pairs("small")).set_index("id")
    ids = read(small, report.score_id)["id"]
    rows = token_rows(lm.tokenizer, [list(p) for p in pairs.prompt[ids]], [list(r) for r in pairs.responses[ids]], 1024)
    slow = [s.reward for scores in Scorer(lm, other).score(rows) for s in scores]
    assert fast.tolist() == pytest.approx(slow, abs=1e-6)


def test_a_limited_set_goes_on_to_the_same_bits_as_one_scored_at_once(small, settings, tmp_path):
    for limit in (5, 20, 21):
        assert score(small, "small", ScoreSettings(settings.model, limit, settings.batch_tokens)).pairs == limit
    report = score(small, "small", settings)
    first = [part.read_bytes() for part in parts(small, report.score_id)]
    for path in small.score_set("small", report.score_id).iterdir():
        path.unlink()
    score(small, "small", settings)
    assert [part.read_bytes() for part in parts(small, report.score_id)] == first


def test_a_set_goes_on_with_its_own_batches_whatever_suits_the_device(small, settings):
    whole = score(small, "small", ScoreSettings(settings.model, batch_tokens=150))
    first = [part.read_bytes() for part in parts(small, whole.score_id)]
    for path in small.score_set("small", whole.score_id).iterdir():
        path.unlink()
    score(small, "small", ScoreSettings(settings.model, limit=16, batch_tokens=150))
    report = score(small, "small", ScoreSettings(settings.model))  # without a word: not 512, which suits the device
    assert [part.read_bytes() for part in parts(small, report.score_id)] == first
    assert read_json(small.score_set("small", report.score_id) / "score.json")["batch_tokens"] == 150


def test_a_set_does_not_go_on_with_other_batches_that_are_asked_for(small, settings, monkeypatch):
    report = score(small, "small", ScoreSettings(settings.model, limit=16, batch_tokens=150))
    folder = small.score_set("small", report.score_id)
    before = (folder / "status.json").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(score_set.models, "load", lambda *_: pytest.fail("the model was loaded"))
        with pytest.raises(InputError, match=r"--batch-tokens 150, with which .* began; found 151") as caught:
            score(small, "small", ScoreSettings(settings.model, batch_tokens=151))
    assert "Leave --batch-tokens out" in str(caught.value)
    assert (folder / "status.json").read_bytes() == before  # what is scored stays as it is, and goes on
    assert score(small, "small", ScoreSettings(settings.model, batch_tokens=150)).pairs == 60


def test_finished_parts_are_not_computed_again(small, settings):
    report = score(small, "small", settings)
    whole = parts(small, report.score_id)
    before = [part.stat().st_mtime_ns for part in whole]
    bits = whole[1].read_bytes()
    whole[1].unlink()
    score(small, "small", settings)
    assert [part.stat().st_mtime_ns for part in parts(small, report.score_id)][::2] == before[::2]
    assert whole[1].read_bytes() == bits


def test_a_finished_set_needs_no_model(small, settings, monkeypatch):
    report = score(small, "small", settings)
    monkeypatch.setattr(score_set.models, "load", lambda *_: pytest.fail("the model was loaded"))
    assert score(small, "small", settings) == report


def test_other_truncation_starts_a_new_set_and_lists_what_it_cut(small, settings):
    first = score(small, "small", settings)
    second = score(small, "small", ScoreSettings(settings.model, max_length=60))
    assert first.score_id != second.score_id
    assert set(small.score_ids("small")) == {first.score_id, second.score_id}
    cut = read(small, second.score_id).query("truncated_tokens > 0")
    assert len(cut) == read_json(small.score_set("small", second.score_id) / "status.json")["truncated"] > 0
    assert read_json(small.score_set("small", first.score_id) / "status.json")["truncated"] == 0


def test_a_second_scorer_says_who_is_at_work_and_then_finds_it_done(small, settings):
    report = score(small, "small", settings)
    folder = small.score_set("small", report.score_id)
    other = FileLock(folder / ".lock", thread_local=False)
    other.acquire()
    heard = []

    def say(status):
        heard.append(status["phase"])
        if "is at work" in status["phase"]:
            other.release()

    done = []
    thread = threading.Thread(target=lambda: done.append(score(small, "small", settings, say)))
    thread.start()
    thread.join(60)
    assert done == [report]
    assert heard[-1] == f"process {read_json(folder / 'status.json')['pid']} is at work on this score set: finished"


def test_one_that_shares_the_work_leads_where_nobody_does(small, settings):
    assert score(small, "small", settings, share=True).pairs == 60
    folder = small.score_set("small", small.score_ids("small")[0])
    assert not list(folder.glob(".part-*"))


def test_one_that_shares_the_work_takes_parts_from_the_leader(small, settings):
    report = score(small, "small", settings)
    folder = small.score_set("small", report.score_id)
    expected = {path.name: path.read_bytes() for path in folder.glob("p*-0000*")}
    for k in (1, 2):
        (folder / f"part-{k:05d}.parquet").unlink()
    score_parts.put_in_order(folder, small.pairs("small"), 60)
    lead, busy = FileLock(folder / ".lock", thread_local=False), FileLock(folder / ".part-00001.lock", thread_local=False)
    lead.acquire()
    busy.acquire()  # the leader works on that one
    heard = []

    def say(status):
        heard.append(status["phase"])
        if "is at work" in status["phase"]:  # nothing is left to take
            assert sorted(path.name for path in folder.glob("part-*")) == ["part-00000.parquet", "part-00002.parquet"]
            lead.release()  # it is killed
            busy.release()

    done = []
    thread = threading.Thread(target=lambda: done.append(score(small, "small", settings, say, share=True)))
    thread.start()
    thread.join(60)
    assert [one.pairs for one in done] == [60]
    assert any("leads, this one helps" in words for words in heard)
    assert {path.name: path.read_bytes() for path in folder.glob("p*-0000*")} == expected


def test_rows_cut_to_fit_are_counted_once_when_a_limit_grows(small, settings):
    for limit in (20, None):
        report = score(small, "small", ScoreSettings(settings.model, limit, max_length=60))
    folder = small.score_set("small", report.score_id)
    assert read_json(folder / "status.json")["truncated"] == len(read(small, report.score_id).query("truncated_tokens > 0")) > 20


def test_a_set_killed_after_its_last_part_is_finished_by_the_next_run(small, settings, monkeypatch):
    report = score(small, "small", settings)
    path = small.score_set("small", report.score_id) / "status.json"
    write_json(path, read_json(path) | {"state": "running", "pid": 2**22 + 1, "started": 0.0, "done": 59})
    monkeypatch.setattr(score_set.models, "load", lambda *_: pytest.fail("the model was loaded"))
    assert score(small, "small", settings).pairs == 60
    assert (read_json(path)["state"], read_json(path)["done"]) == ("finished", 60)


def test_a_resumption_stopped_while_loading_forgets_nothing(small, settings, monkeypatch):
    report = score(small, "small", ScoreSettings(settings.model, limit=16))

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(score_set.models, "load", stopped)
        score(small, "small", settings)
    status = read_json(small.score_set("small", report.score_id) / "status.json")
    assert (status["state"], status["done"], status["total"]) == ("stopped", 16, 60)
    assert score(small, "small", ScoreSettings(settings.model, limit=16)).pairs == 16


def test_scores_of_replaced_data_are_not_scores_of_the_new(small, settings, tmp_path):
    first = score(small, "small", settings)
    assert small.score_ids("small") == [first.score_id]
    import_source(small, str(tmp_path / "small.jsonl"), "small", heldout=0.5, replace=True)
    assert small.score_ids("small") == []
    assert score(small, "small", settings).score_id != first.score_id


def test_data_replaced_while_it_is_scored_ends_the_scoring(small, settings, tmp_path):
    def replace(status):
        if status["phase"] == "scoring" and not replaced:
            replaced.append(True)
            other = tmp_path / "other.jsonl"
            other.write_text("".join((tmp_path / "small.jsonl").read_text().splitlines(keepends=True)[:50]))
            import_source(small, str(other), "small", replace=True)

    replaced = []
    with pytest.raises(InputError, match="as it was when scoring began"):
        score(small, "small", settings, replace)


def test_a_model_with_few_positions_cuts_rows_to_them(small, tmp_path):
    folder = save_model(tiny_config(max_position_embeddings=60), tmp_path / "short")
    report = score(small, "small", ScoreSettings(str(folder)))
    found = read(small, report.score_id)
    assert (found["tokens_prompt"] + found["tokens"].map(max)).max() == 60
    assert read_json(small.score_set("small", report.score_id) / "score.json")["max_length"] == 1024  # as asked: who goes on asks the same


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(small, tmp_path):
    folder = save_model(tiny_config(vocab_size=100), tmp_path / "narrow")
    with pytest.raises(ModelError, match="whose tokens the model has logits for"):
        score(small, "small", ScoreSettings(str(folder)))


def test_a_window_shorter_than_a_sequence_is_noticed_whatever_other_rows_look_like(workspace, tmp_path):
    import transformers

    # by all its tokens the ranking is the longest row, but only the pair has a sequence longer than the window of 64
    rows = [{"prompt": "q", "responses": [c * 20 for c in "abcdefgh"], "scores": [8, 7, 6, 5, 4, 3, 2, 1]}]
    rows += [{"prompt": "a long question " * 4, "responses": ["yes", "no"], "scores": [2, 1]}, *small_rows(3)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_source(workspace, str(source), "windowed", heldout=0, judge=0)
    settings = {"vocab_size": 257, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    settings |= {"num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 0, "initializer_range": 0.3, "sliding_window": 64}
    folder = save_model(transformers.MistralConfig(**settings), tmp_path / "mistral")
    assert score(workspace, "windowed", ScoreSettings(str(folder))).layout == "plain"


def test_the_models_size_is_kept_for_estimates_of_what_training_takes(small, settings):
    report = score(small, "small", settings)
    about = read_json(small.score_set("small", report.score_id) / "score.json")
    # embedding and head 2 x 257 x 32; a layer: q, o 2 x 32 x 32, k, v 2 x 32 x 16, feed-forward 3 x 32 x 64, two norms of 32; a last norm
    assert (about["parameters"], about["layers"]) == (2 * 8_224 + 2 * (2_048 + 1_024 + 6_144 + 64) + 32, 2)


def test_status_of_a_finished_set(small, settings):
    report = score(small, "small", settings)
    status = read_json(small.score_set("small", report.score_id) / "status.json")
    assert (status["state"], status["done"], status["total"], status["seconds_left"]) == ("finished", 60, 60, 0.0)
    assert status["pairs_per_second"] > 0


def test_nothing_is_called_finished_before_it_is(small, settings):
    said = []
    score(small, "small", settings, lambda status: said.append(status["phase"]))
    phases = list(dict.fromkeys(said))
    assert phases == [
        "starting",
        "putting the rows in order",
        "loading the model",
        "counting tokens",
        "checking the layout against a plain forward",
        "scoring",
        "finished",
    ]
    assert said.count("starting") == said.count("finished") == 1


def test_an_unknown_model_is_an_error_in_words_and_in_the_status(small, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="no such folder"):
        score(small, "small", ScoreSettings(model="nobody/nothing"))
    status = read_json(small.scores("small") / "status.json")
    assert status["state"] == "failed"
    assert "Check the name" in status["message"]


@pytest.mark.parametrize("name", ["/nope", "./nope", "../nope", "~/nope", "models/of/mine"])
def test_a_path_that_is_not_there_is_answered_as_a_path(small, name):
    with pytest.raises(ModelError, match=f"a folder with a model .*; found no such folder: {name}. Check the path"):
        score(small, "small", ScoreSettings(model=name))


def test_a_file_is_no_models_folder(small, tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="found a file: "):
        score(small, "small", ScoreSettings(model=str(tmp_path / "model.safetensors")))


def test_a_folder_without_safetensors_is_an_error(small, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"config.json and \*.safetensors.*; found pytorch_model.bin"):
        score(small, "small", ScoreSettings(model=str(tmp_path / "model")))


def test_settings_are_checked():
    with pytest.raises(InputError, match="a --batch-tokens of at least 1; found 0"):
        ScoreSettings(batch_tokens=0)
