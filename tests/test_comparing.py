"""Runs side by side: figures from their evaluations, differences paired by prompt."""

import pandas as pd
import pytest

from deft_core import comparing, measures
from deft_core.comparing import BASE, COSTS, compare, in_order
from deft_core.errors import InputError, NotFoundError
from deft_core.intervals import Figure
from deft_core.lm import judge
from deft_core.runs.spec import Run, Settings, read_run, write_run
from deft_core.workspace import write_json
from tests.test_measures import tables

COST = dict.fromkeys(COSTS, 1.0) | {"training_seconds": 20.0}


ABOUT_RUN = ("role", "group", "settings", "scoring_seconds")


def a_run(root, run_id, rows=None, model="m1", tokenizer="t1", can_tell=True, **changes):
    """The folder of an evaluated run, as an evaluation leaves it; `changes` are of evaluation.json, or of the run (ABOUT_RUN)."""
    folder = root / run_id
    folder.mkdir()
    prints = {"data": "d", "d": "d", "tokenizer": tokenizer, "model": model, "selection": run_id}
    about = {"rule": {}, "rows": 9, "heldout_rows": 4, "judge_rows": 0, "truncated_rows": 0, "control_of": None, "scoring_seconds": 1.0}
    where = {"dataset": "demo", "selection": "best", "version": 1, "score_id": "tiny", "model": model, "max_length": 64}
    layout = {"layout": "plain", "own_logits": False, "settings": Settings(), "code": "0", "created": "2026-01-02T03:04:05+00:00"}
    own_about = {name: changes.pop(name) for name in ABOUT_RUN if name in changes}
    write_run(folder, Run(run_id=run_id, name=run_id, fingerprints=prints, **about | where | layout | own_about))
    own, neutral = tables()
    own = own if rows is None else rows
    own.to_parquet(folder / "evaluation_rows.parquet", index=False)
    neutral.to_parquet(folder / "evaluation_neutral.parquet", index=False)
    sections = {"alignment": {}, "generalisation": {}}
    for name, one in measures.figures(own, neutral).items():
        sections[measures.MEASURES[name].section][name] = one
    verdict = judge.verdict(Figure(0.8, 0.6, 0.9, 9) if can_tell else Figure(0.5, 0.4, 0.6, 9))
    judged = {"name": "m1", "can_tell": can_tell, "words": verdict.words, "accuracy": verdict.accuracy.as_dict()}
    write_json(folder / "evaluation.json", {"new_tokens": 64} | changes | sections | {"judge": judged, "cost": COST})
    return folder


def line(found, measure, run):
    (one,) = [one for one in found.table if (one.measure, one.run) == (measure, run)]
    return one


def better_rows():
    rows, _ = tables()
    rows["accuracy_implicit_tuned"] = [1.0, 1.0, 1.0, 1.0]
    rows["margin_tuned"] = [0.5, 0.3, 0.0, 0.2]
    return rows


def test_differences_are_paired_by_prompt(tmp_path):
    found = compare([a_run(tmp_path, "one"), a_run(tmp_path, "two", better_rows())])
    assert found.runs == ("one", "two", BASE)
    one, two = line(found, "margin", "one"), line(found, "margin", "two")
    assert (one.value, one.difference) == (pytest.approx(0.15), None)
    assert two.value == pytest.approx(0.25)
    # 0.1 more on each of the four prompts: paired, there is no doubt about it
    assert (two.difference, two.difference_low, two.difference_high) == pytest.approx((0.1, 0.1, 0.1))
    assert (two.section, two.better, two.prompts) == ("alignment", "higher", 4)
    base = line(found, "accuracy_implicit", BASE)
    assert (base.value, base.difference) == (0.5, -0.25)
    assert not [one for one in found.table if (one.measure, one.run) == ("kl", BASE)]  # nothing is measured against itself


def test_lines_stand_figure_by_figure_and_costs_behind(tmp_path):
    found = compare([a_run(tmp_path, "one"), a_run(tmp_path, "two")])
    assert [(one.measure, one.run) for one in found.table][:3] == [("accuracy_implicit", name) for name in ("one", "two", BASE)]
    assert [one.measure for one in found.table if one.section == "cost" and one.run == "two"] == list(COSTS)
    assert line(found, "training_seconds", "two").value == 20.0
    measured = list(dict.fromkeys(one.measure for one in found.table))
    assert measured[measured.index("win_rate") + 1] == "judge_accuracy"  # beside what it judged
    assert (line(found, "judge_accuracy", "two").value, line(found, "judge_accuracy", "two").low) == (0.8, 0.6)
    assert line(found, "distinct_2", "two").difference is None  # no interval, no difference
    assert list(found.as_dict()) == ["table", "notes", "runs"]


def test_only_prompts_that_both_have_are_compared(tmp_path):
    rows = better_rows()
    rows.loc[3, "id"] = "z"
    found = compare([a_run(tmp_path, "one"), a_run(tmp_path, "two", rows)])
    gained = line(found, "accuracy_implicit", "two")
    # in common a, b and c: (1 + 1 + 1) / 3 - (1 + 1 + 0) / 3
    assert (gained.value, gained.difference, gained.prompts) == (1.0, pytest.approx(1 / 3), 3)
    assert "one and two have 3 held-out prompts in common, of 4 and 4." in found.notes


def test_the_order_of_rows_does_not_matter(tmp_path):
    found = compare([a_run(tmp_path, "one"), a_run(tmp_path, "two", better_rows()[::-1].reset_index(drop=True))])
    assert line(found, "margin", "two").difference_low == pytest.approx(0.1)


def test_what_cannot_be_compared_is_said(tmp_path):
    one = a_run(tmp_path, "one")
    other = compare([one, a_run(tmp_path, "two", model="m2", new_tokens=9)])
    assert other.runs == ("one", "two")  # two bases
    assert "The runs' base models differ: KL, margin and win rate are each to another base." in other.notes
    assert "Answers were cut at different lengths, so figures of answers cannot be compared." in other.notes
    assert compare([one, a_run(tmp_path, "three", model="m2", tokenizer="t2")]).notes[0].startswith("The runs' tokenizers differ")
    cannot = compare([one, a_run(tmp_path, "four", tables()[0].drop(columns=["judge_tuned", "judge_base"]), can_tell=False)])
    assert [note for note in cannot.notes if note.startswith("four: ") and "the judge cannot tell" in note]
    assert not [one for one in cannot.table if (one.measure, one.run) == ("win_rate", "four")]


def test_runs_are_put_in_order(tmp_path):
    given = [("c2", "random", "two"), ("f", "full", "one"), ("one", "run", "one"), ("two", "run", "two"), ("c", "random", "one")]
    runs = [read_run(a_run(tmp_path, run_id, role=role, group=group)) for run_id, role, group in given]
    # the first that is no control, its own control and full set, then the others as they were named
    assert [run.run_id for run in in_order(runs)] == ["one", "c", "f", "c2", "two"]
    assert [run.run_id for run in in_order(runs[:2])] == ["c2", "f"]  # controls alone


def test_bad_input(tmp_path):
    one = a_run(tmp_path, "one")
    with pytest.raises(InputError, match="at least two runs"):
        compare([one, one])
    two = a_run(tmp_path, "two")
    (two / "evaluation_rows.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match="deft evaluate two"):
        compare([one, two])
    (two / "evaluation_rows.parquet").unlink()
    with pytest.raises(NotFoundError, match=r"evaluation_rows\.parquet.*deft evaluate two"):
        compare([one, two])
    assert isinstance(comparing.read_evaluated(one).rows, pd.DataFrame)
