"""What a run is said to take: the arithmetic, with numbers small enough to be done by hand."""

import numpy as np
import pytest

from deft_core import cost
from deft_core.cost import ModelSize
from deft_core.errors import InputError, NotFoundError
from deft_core.rule import Rule
from deft_core.runs.device import Device
from deft_core.runs.facts import Facts, facts
from deft_core.runs.preflight import fitting, memory_of, preflight
from deft_core.runs.prepare import source
from deft_core.runs.row_tokens import Lengths
from deft_core.runs.spec import Settings
from deft_core.runs.speeds import Speed
from deft_core.workspace import read_json, write_json
from tests.runs.made import decide, scored, select
from tests.score_sets import preferences, write_dataset, write_scores

CPU = Device("cpu", "this machine", 16e9, 12e9)
GPU = Device("gpu", "a GPU", 80e9, 80e9)
SIZE = ModelSize(parameters=1_000_000, layers=2, hidden=100, vocabulary=5_000)


def lengths(**changes):
    """Three pairs of 10, 20 and 40 prompt tokens."""
    best, worst = np.array([5.0, 10.0, 20.0]), np.array([5.0, 20.0, 40.0])
    values = {"prompt": np.array([10.0, 20.0, 40.0]), "best": best, "worst": worst, "all": best + worst, "longest": worst}
    return Lengths(**values | {"responses": np.full(3, 2.0), "cut": np.zeros(3, bool), "empty": ()} | changes)


def known(**changes):
    values = {"reference": "best@1", "dataset": "demo", "model": "tiny", "max_length": 1024, "layout": "prefix-shared", "own_logits": False}
    values |= {"rows": 3, "whole": False, "left_out": {}, "lengths": lengths(), "heldout": 10, "judge": 0, "size": SIZE}
    return Facts(**values | {"scoring_speed": 100.0, "scoring_seconds": 9.0} | changes)


def looked(settings=None, device=CPU, disk=1e12, speed=None, **changes):
    return preflight(known(**changes), settings or Settings(), device, disk, speed)


# steps and tokens


def test_steps_and_evaluations():
    # 30 rows, 4 a step: 8 steps an epoch, 16 in two; five evaluations in all are every ceil(16 / 5) = 4 steps, and one before the first
    found = looked(Settings(epochs=2.0), rows=30)
    assert (found.steps, found.evaluations, found.heldout_rows) == (16, 5, 10)
    # every 3 of 16 steps, and at the last: 6, and the first
    assert looked(Settings(epochs=2.0, eval_steps=3), rows=30).evaluations == 7
    assert looked(Settings(epochs=2.0, eval_steps=0), rows=30).evaluations == 0


@pytest.mark.parametrize(
    ("method", "tokens"),
    [
        ("dpo", 170),  # prompts 70, best 35, worst 65
        ("sft", 105),  # 70 + 35
        ("pro", 170),
    ],
)
def test_tokens_of_an_epoch_are_those_that_the_method_reads(method, tokens):
    assert looked(Settings(method)).tokens == pytest.approx(tokens)
    assert looked(Settings(method, epochs=2.0)).tokens == pytest.approx(2 * tokens)


def test_rows_that_are_not_scored_are_taken_to_be_like_the_others():
    found = looked(rows=6)
    assert found.tokens == pytest.approx(340)
    assert [problem.words for problem in found.problems if "not scored" in problem.words] == [
        "3 of 6 rows are not scored, so nobody knows how long they are"
    ]


# seconds


def test_seconds_from_the_speed_of_scoring():
    found = looked(Settings("simpo", eval_rows=2, new_tokens=8), judge=1)
    assert found.seconds.training == pytest.approx(3 * 170 / 100)
    # the mean prompt p is 70 / 3, the mean chosen answer 35 / 3; one evaluation reads 2 (p + 2 x 35 / 3) + 2 x 2 (p + 8) + 16 x 83 tokens,
    # and answers 2 prompts: 2 p / 100 s, then 8 steps of 2 tokens at 100 a second
    p, a = 70 / 3, 35 / 3
    answers = 2 * p / 100 + 8 * max(2 / 100, 0.03)
    one = (2 * (p + 2 * a) + 4 * (p + 8) + 16 * 83) / 100 + answers
    # at the end both models read 2 rows, the answers and 64 paragraphs; the judge reads 1 row cut to 8 tokens, and 2 x 2 answers
    final = (2 * (2 * (p + 2 * a) + 2 * (p + 8) + 64 * 83) + (p + 2 * 8) + 2 * (p + 2 * 8)) / 100 + 2 * answers
    assert found.evaluations == 2  # one step: before it and after it
    assert found.seconds.evaluating == pytest.approx(2 * one + final)
    # with one of the two prompts answered: p + 8 tokens less for each model, p + 16 less for the KL, and 8 steps of one token
    fewer = looked(Settings("simpo", eval_rows=2, answer_rows=1, new_tokens=8), judge=1).seconds.evaluating
    spared = (2 * (p + 8) + p + 16) / 100 + 2 * (answers - (p / 100 + 8 * max(1 / 100, 0.03)))
    assert fewer == pytest.approx(2 * one + final - spared)
    assert found.seconds.total == found.seconds.training + found.seconds.evaluating
    assert "scoring" in found.seconds.source


def test_seconds_from_an_earlier_run_of_the_kind():
    speed = Speed("first", 50.0, 1e9, between_seconds=3.0, final_seconds=20.0, heldout_rows=5)
    found = looked(Settings(), speed=speed)
    # 170 tokens at 50 a second; 2 evaluations of 3 s and one of 20 s over 5 rows, here over 10
    assert (found.seconds.training, found.seconds.evaluating) == (pytest.approx(3.4), pytest.approx(2 * 6 + 40))
    assert "first on this machine" in found.seconds.source


def test_checkpointing_takes_a_forward_more_and_an_automatic_omega_some_steps():
    plain = looked(Settings("simpo")).seconds.training
    assert looked(Settings("simpo", gradient_checkpointing=True)).seconds.training == pytest.approx(plain * 4 / 3)
    # all of its one step is among the first 8: 5 passes over 170 tokens more
    assert looked(Settings("simpo", guidance=None)).seconds.training == pytest.approx(plain + 5 * 170 / 100)


def test_a_reference_that_scoring_has_not_left_is_one_pass_more():
    # 3 of 6 rows are scored: 340 tokens, 3 passes and 1
    assert looked(Settings("dpo"), rows=6).seconds.training == pytest.approx(4 * 340 / 100)
    assert looked(Settings("simpo"), rows=6).seconds.training == pytest.approx(3 * 340 / 100)


def test_without_any_speed_nothing_is_said():
    assert looked(scoring_speed=None).seconds.total is None


# memory


def test_memory_is_that_of_the_largest_micro_batch():
    # rows of 20, 50 and 100 tokens, 250 a forward, 4 rows a step: 4 x 20, 4 x 50 or 2 x 100; 4 x 50 comes first, with 4 x 30 responses
    assert cost.largest_batch(np.array([20.0, 50, 100]), np.array([10.0, 30, 60]), 250, 4) == (200, 120)
    # a row longer than the budget is read by itself
    assert cost.largest_batch(np.array([900.0]), np.array([10.0]), 250, 4) == (900, 10)
    need = memory_of(known(), Settings(accumulation_tokens=250), CPU)
    assert need == cost.memory(SIZE, 200, 120)
    # in the plain layout each of two responses stands behind a prompt of its own: at most 2 (40 + 40) for the 100 of the third row
    assert memory_of(known(layout="plain"), Settings(accumulation_tokens=250), CPU) == cost.memory(SIZE, 320, 120)


def test_parts_of_full_fine_tuning():
    need = cost.memory(SIZE, 200, 120)
    # 1,000,000 weights, their gradients and two moments of 4 bytes, and the head's gradient apart, 5,000 x 100 x 4;
    # 200 x 100 x 83 a layer, two of them; 120 x 2,048 x 12
    assert (need.weights, need.gradients, need.optimiser, need.base) == (4e6, 6e6, 8e6, 4e6)
    assert (need.activations, need.logits) == (3_320_000, 2_949_120)
    assert need.training == need.process + 4e6 + 6e6 + 8e6 + 3_320_000 + 2_949_120
    assert need.evaluating == need.process + 4e6 + 8e6 + 4e6
    assert need.peak == need.training


def test_halves_keep_copies_of_the_blocks_weights_and_fewer_activations():
    need = cost.memory(SIZE, 200, 120, halves=True)
    # 4,000,000 and 2 for each of 1,000,000 - 5,000 x 100; 2 x 200 x 100 x 57
    assert (need.weights, need.activations, need.base) == (5e6, 2_280_000, 4e6)
    assert memory_of(known(), Settings(accumulation_tokens=250), GPU) == cost.memory(SIZE, 200, 120, halves=True, process=0)


def test_checkpointing_keeps_the_inputs_of_blocks_and_one_block():
    # 2 layers x 200 x 100 x 4, and 200 x 100 x 83
    assert cost.memory(SIZE, 200, 120, checkpointing=True).activations == 160_000 + 1_660_000


def test_estimates_are_near_what_two_runs_of_the_default_model_took():
    default = ModelSize(134_515_008, 30, 576, 49_152)
    # 24 rows of the demo, at most 391 tokens, 4 a step: 4 x 391 tokens, 4 x 310 of them in answers; the process peaked at 5.94 GB
    assert cost.memory(default, 1564, 1240).peak == pytest.approx(5.94e9, rel=0.1)


def test_parts_under_lora():
    # a block has (1,000,000 - 5,000 x 100) / 2 = 250,000 weights; 2 layers x rank 4 x (7 x 100 + 250,000 / 100) = 25,600
    assert cost.adapter_parameters(SIZE, 4) == 25_600
    need = cost.memory(SIZE, 200, 120, rank=4, halves=True)
    assert (need.weights, need.gradients, need.optimiser) == (2e6 + 102_400, 102_400, 204_800)
    assert need.base == 2e6
    assert cost.memory(SIZE, 200, 120, rank=4).weights == 4e6 + 102_400


def test_adapters_of_the_default_model_are_counted_exactly():
    # SmolLM2-135M: 30 blocks; query and output 576 x 576, key and value 576 x 192, gate, up and down 576 x 1,536
    exact = 30 * 16 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536))
    assert cost.adapter_parameters(ModelSize(134_515_008, 30, 576, 49_152), 16) == pytest.approx(exact, rel=1e-3)


def test_a_models_own_logits_are_whole():
    # 120 x 5,000 x 12, and those of all 200 tokens, 4 bytes each
    assert cost.memory(SIZE, 200, 120, whole_logits=True).logits == 7_200_000 + 4_000_000


# what is wrong


def test_what_does_not_fit_is_red_with_the_least_change_that_helps():
    small = Device("cpu", "this machine", 1.03e9, 1.0e9)
    found = looked(device=small, settings=Settings(accumulation_tokens=4096))
    (problem,) = [one for one in found.problems if one.blocks]
    assert not found.fits
    # 1 GB for the process, 0.018 for what belongs to the weights; with 400 tokens at once 0.0125 more, with 100 at once 0.0031
    assert problem.words == "It needs about 1.0 GB of memory; this machine has 1.0 GB"
    assert problem.remedy == "With 100 tokens a forward it needs 1.0 GB."
    hopeless = looked(device=Device("cpu", "this machine", 0.5e9, 0.5e9))
    assert hopeless.problems[0].remedy == "No setting makes it fit: use a smaller model or another machine."


def test_settings_that_need_less_change_little_first():
    names = ("accumulation_tokens", "gradient_checkpointing", "lora_rank", "lr")
    offered = [tuple(getattr(one, name) for name in names) for one in fitting(known(), Settings(), CPU)]
    assert offered == [(100, False, 0, 5e-6), (100, True, 0, 5e-6), (100, False, 16, 1e-4), (100, True, 16, 1e-4)]


def test_memory_that_others_hold_is_no_reason_not_to_start():
    found = looked(device=Device("cpu", "this machine", 16e9, 0.5e9))
    assert found.fits
    assert "0.5 GB of this machine are free now" in found.problems[0].words


def test_a_device_that_nobody_can_ask_is_taken_to_do():
    assert looked(device=Device("gpu", "GPU 0", None, None)).fits


def test_disk():
    # all weights: two checkpoints of 12 MB at once; left: the weights of the last one and the model, 4 MB each
    found = looked(disk=20e6)
    assert (found.disk.peak_bytes, found.disk.left_bytes) == (24e6, 8e6)
    assert [problem.words for problem in found.problems if problem.blocks] == ["It needs up to 0.0 GB of disk; 0.0 GB are free"]
    # adapters of 25,600 numbers: 12 x 25,600 x 4 / 3 beside the merged model and the adapter; left: 4 x 25,600 twice and the model
    peak, left = cost.disk_bytes(SIZE, 4)
    assert (peak, left) == (pytest.approx(409_600 + 4e6 + 102_400), pytest.approx(102_400 + 4e6 + 102_400))


def test_rows_that_training_refuses_and_rows_that_are_cut():
    found = looked(lengths=lengths(empty=("a", "b", "c", "d"), cut=np.array([True, True, False])))
    assert [problem.blocks for problem in found.problems] == [True, False, False]
    assert found.problems[0].words.endswith("a, b, c …")
    assert found.problems[1].words == "2 of 3 rows lose tokens to the limit of 1,024 tokens"
    assert found.problems[2].words == "1 steps in all: that hardly moves a model"


# what the files say


def test_facts_of_a_selection(workspace):
    there = list(scored(workspace, 100, truncated=100))
    decide(workspace, "drop", there[0])
    select(workspace, rule=Rule("highest", fraction=0.1))
    about = workspace.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"parameters": 35_040, "layers": 2})
    found = facts(workspace, source(workspace, "best"))
    # 80 training rows, 8 of them by the rule; one of the others was dropped by hand
    assert found.rows + sum(found.left_out.values()) == 80
    assert found.left_out["dropped by hand"] == 1
    assert (found.left_out["outside of the rule's pool"], found.heldout, found.judge) == (0, 10, 10)
    assert (len(found.lengths), found.lengths.truncated) == (found.rows, found.rows)
    assert (found.size.parameters, found.size.hidden, found.scoring_speed, found.scoring_seconds) == (35_040, 8, 310.0, 25.0)
    assert set(found.lengths.prompt) == {12}
    assert found.max_length == (found.lengths.prompt + found.lengths.longest).max() < 1024  # what cut rows come to, not what was asked for
    full = facts(workspace, source(workspace, "best"), full=True)
    assert (full.rows, full.left_out["not kept by the rule"]) == (79, 0)


def test_a_flipped_row_has_its_lengths_exchanged(workspace):
    scored(workspace)
    select(workspace, rule=Rule("highest", fraction=1.0))
    before = facts(workspace, source(workspace, "best@1")).lengths
    decide(workspace, "flip", *scored_ids(workspace))
    select(workspace, rule=Rule("highest", fraction=1.0))
    after = facts(workspace, source(workspace, "best@2")).lengths
    assert (after.best.tolist(), after.worst.tolist()) == (before.worst.tolist(), before.best.tolist())
    assert after.all.tolist() == before.all.tolist()
    assert (before.limit, facts(workspace, source(workspace, "best@1")).max_length) == (None, 1024)


def scored_ids(workspace):
    from deft_core import queries

    table = queries.light_table(queries.open_view(workspace, "demo"))
    return table["id"][table["split"] == "train"].tolist()


def test_nothing_held_out_is_said_as_a_run_would_say_it(workspace):
    made = preferences(8)  # of ten rows the ninth is held out
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    select(workspace, rule=Rule("highest", fraction=1.0))
    with pytest.raises(InputError, match="rows held out"):
        facts(workspace, source(workspace, "best"))


def test_what_a_run_would_be_refused_for_is_said_at_once(workspace, tmp_path):
    made = preferences(40)
    ids = write_dataset(workspace, "demo", made)
    select(workspace, rule=Rule("random", "characters_chosen"))
    with pytest.raises(NotFoundError, match="scores of 'demo'"):
        facts(workspace, source(workspace, "best"))
    write_scores(workspace, "demo", made, ids)
    select(workspace)
    about = workspace.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"model": str(tmp_path / "gone")})
    with pytest.raises(InputError, match="no such folder"):
        facts(workspace, source(workspace, "best"))
