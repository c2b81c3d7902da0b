"""Margins by row of a trained run: by definition, from what is known, and as a file."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core import file_names
from deft_core.lm import models, row_margins, sides
from deft_core.lm.reference import read_references, write_references
from deft_core.lm.tokens import TokenRow
from deft_core.lm.train_batch import TrainRow
from deft_core.runs import margins
from deft_core.runs.prepare import ROWS
from deft_core.runs.spec import Settings
from tests.conftest import small_rows
from tests.lm.run_folders import rows_of, run_folder, trained

pytestmark = pytest.mark.usefixtures("one_thread")


def a_row(name, ranks):
    return TrainRow(name, TokenRow([1], [[2]] * len(ranks), [True] * len(ranks)), ranks, [None] * len(ranks))


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A run of two steps on four rows, with three dropped ones beside."""
    folder = run_folder(tmp_path_factory.mktemp("runs") / "run", tiny, Settings(steps=2, lr=1e-2, warmup=0.0), small_rows(6))
    pq.write_table(pa.Table.from_pylist(rows_of(small_rows(9))[6:], ROWS), folder / file_names.DROPPED)
    trained(folder)
    return folder


def test_a_margin_is_of_the_first_best_against_the_mean_of_all_that_are_not_top():
    assert row_margins.margin([-5.0, -8.0], [1, 2]) == 3.0
    # ranks 1, 1, 2, 3: -5 - (-8 - 12) / 2 = 5
    assert row_margins.margin([-5.0, -1.0, -8.0, -12.0], [1, 1, 2, 3]) == 5.0


def test_the_table_says_what_was_learned():
    rows = [a_row("a", [1, 2]), a_row("b", [1, 2]), a_row("c", [1, 2])]
    before = {"a": [-5.0, -4.0], "b": [-5.0, -8.0], "c": [-1.0, -2.0]}
    after = {"a": [-5.0, -7.0], "b": [-6.0, -8.0], "c": [-1.0, -2.0]}
    found = row_margins.table(rows, {"a", "c"}, before, after, beta=0.5)
    assert list(found.columns) == ["id", *margins.COLUMNS]
    # a: -1 -> 2, 0.5 * 3; b: 3 -> 2, 0.5 * -1; c: 1 -> 1
    assert found.to_dict("list") == {
        "id": ["a", "b", "c"],
        "kept": [True, False, True],
        "logp_margin_before": [-1.0, 3.0, 1.0],
        "logp_margin_after": [2.0, 2.0, 1.0],
        "implicit_margin": [1.5, -0.5, 0.0],
        "learned": [True, False, False],
    }


def test_of_no_rows_it_is_empty():
    assert len(row_margins.table([], set(), {}, {}, 0.1)) == 0


def summed(lm, row, place):
    """log p of a response by the model's own forward, token by token."""
    import torch

    ids = lm.tokenizer(f"<|user|>{row['prompt'][0]['content']}\n<|assistant|>")["input_ids"]
    answer = [*lm.tokenizer(row["responses"][place])["input_ids"], lm.tokenizer.eos_token_id]
    with torch.no_grad():
        logp = torch.log_softmax(lm.model(torch.tensor([ids + answer])).logits[0].float(), -1)
    return sum(float(logp[len(ids) + at - 1, token]) for at, token in enumerate(answer))


def test_a_finished_run_has_the_margins_of_both_models(finished, tiny):
    heard = []
    found = row_margins.measure(finished, heard.append).set_index("id")
    assert found["kept"].tolist() == [True] * 6 + [False] * 3
    assert pd.read_parquet(finished / file_names.ROW_MARGINS).set_index("id").equals(found)
    base, tuned = models.load("base", tiny), models.load("tuned", finished / "model")
    for row in rows_of(small_rows(9)):
        if len(row["responses"]) == 2:
            for name, lm in (("before", base), ("after", tuned)):
                by_hand = summed(lm, row, 0) - summed(lm, row, 1)
                assert found[f"logp_margin_{name}"][row["id"]] == pytest.approx(by_hand, abs=1e-3)
    assert found["implicit_margin"].tolist() == pytest.approx((0.1 * (found["logp_margin_after"] - found["logp_margin_before"])).tolist())
    assert heard[-1] == {"phase": "margins by row: base", "done": 3, "total": 3}  # the kept rows' were computed for training


def test_what_is_known_of_the_base_is_not_read_again(finished, monkeypatch):
    known = read_references(finished)
    write_references(finished, known | {row["id"]: [-1.0, -2.0, -2.0][: len(row["responses"])] for row in rows_of(small_rows(9))[6:]})
    monkeypatch.setattr(sides, "base_model", lambda run: pytest.fail("the base was loaded"))
    found = row_margins.measure(finished)
    write_references(finished, known)
    assert found["logp_margin_before"].tolist()[6:] == [1.0, 1.0, 1.0]


def test_it_can_be_stopped_and_leaves_nothing(finished):
    (finished / file_names.ROW_MARGINS).unlink(missing_ok=True)

    def say(values):
        if "done" in values:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        row_margins.measure(finished, say)
    assert not (finished / file_names.ROW_MARGINS).exists()


def test_a_folder_without_dropped_rows_has_those_it_trained_on(finished, monkeypatch):
    monkeypatch.setattr(file_names, "DROPPED", "none.parquet")
    monkeypatch.setattr(margins, "MOST", 2)
    assert row_margins.measure(finished)["kept"].tolist() == [True, True]
