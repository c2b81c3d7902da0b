"""The study's tables, from results made up so that every figure can be had by hand; and those of its README, from its own."""

import json
import math
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

STUDY = Path(__file__).parents[1] / "docs" / "study"


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The module, with an empty folder of results."""
    monkeypatch.syspath_prepend(str(STUDY))
    module = import_module("tables")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def figures(values):
    """Of an evaluation's section: name -> (base, tuned)."""
    return {name: {"base": {"value": base}, "tuned": {"value": tuned}} for name, (base, tuned) in values.items()}


def write(tables, arm, number, said=None, part="primary", dataset="hh", **more):
    """A run's two files; `said`: of every held-out row, by metric."""
    one = {"name": f"{arm}-{number}", "part": part, "arm": arm, "number": number, "dataset": dataset}
    (tables.RESULTS / f"{arm}-{number}.json").write_text(json.dumps(one | more))
    if said is not None:
        table = pd.DataFrame(said)
        table.assign(id=[f"row-{k:03d}" for k in range(len(table))]).to_parquet(tables.RESULTS / f"{arm}-{number}.parquet")


def hold_out(tables, rows):
    """Held-out rows, each a conversation of its own."""
    table = pd.DataFrame({"id": [f"row-{k:03d}" for k in range(rows)], "conversation": range(rows)})
    table.to_parquet(tables.RESULTS / "heldout-hh.parquet")


def test_what_an_arm_selects_is_its_mean_over_subsets(tables):
    columns = dict.fromkeys(tables.SELECTED, 0.0)
    rows = [{"id": name} | columns | {"tokens_chosen": n, "kept_highest": k, "kept_pro-highest": 1 - k} for name, n, k in ROWS_OF_FOUR]
    for dataset, first in (("hh", 0), ("qa", 2)):
        pd.DataFrame(rows[first:]).to_parquet(tables.RESULTS / f"training-{dataset}.parquet")
    for number, ids in enumerate((["a", "b"], ["c", "d"], ["c", "d"])):
        write(tables, "random", number, ids=ids)
    write(tables, "highest", 0, ids=["a", "c"])
    write(tables, "highest-guided", 0, part="exploratory", ids=["a", "c"])
    write(tables, "pro-highest", 0, part="exploratory", dataset="qa", ids=["c"])
    found = tables.selects().set_index("arm")
    # all of hh: (1 + 2 + 30 + 50) / 4 = 20.75; of qa (30 + 50) / 2; random: ((1 + 2) / 2 + (30 + 50) / 2) / 2 = 20.75, of two different
    # subsets; highest (1 + 30) / 2; guided runs have the rows of the arm without guidance
    lengths = {"all training rows, hh": "20.8", "highest": "15.5", "random": "20.8", "all training rows, qa": "40.0", "pro-highest": "30.0"}
    assert found["tokens_chosen"].to_dict() == lengths
    assert found["subsets"].to_dict() == dict.fromkeys(lengths, 1) | {"random": 2}
    assert found["rows"].to_dict() == dict(zip(lengths, (4, 2, 2, 2, 1), strict=True))
    # of rows a and c draws of d keep 1.0 and 0.5 in the mean: 0.75; of c under the other dataset's rule 1 - 0.5
    assert found["kept by draws of d"].to_dict() == dict.fromkeys(lengths, "") | {"highest": "0.75", "pro-highest": "0.50"}


def test_tables_take_the_places_of_the_ones_that_are_there(tables, monkeypatch):
    frames = {"arms": lambda: pd.DataFrame({"arm": ["a"], "runs": [2]}), "power": lambda: pd.DataFrame({"x": ["y"]})}
    monkeypatch.setattr(tables, "TABLES", frames)
    text = "Words.\n\n<!-- arms -->\n| old |\n|---|\n| 1 |\n\n| not ours |\n\n<!-- power -->\nMore.\n"
    expected = (
        "Words.\n\n<!-- arms -->\n| arm | runs |\n|---|---|\n| a | 2 |\n\n| not ours |\n\n<!-- power -->\n| x |\n|---|\n| y |\nMore.\n"
    )
    assert tables.with_tables(text) == tables.with_tables(expected) == expected


@pytest.mark.slow  # 10,000 draws a contrast
def test_the_tables_of_the_study_are_those_of_its_results(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))
    tables = import_module("tables")
    text = (STUDY / "README.md").read_text(encoding="utf-8")
    assert "| highest - random | accuracy_implicit | 5, 20 |" in text
    assert set(tables.TABLES) == {line[5:-4] for line in text.splitlines() if line.startswith("<!-- ")}
    assert tables.with_tables(text) == text


def test_guided_runs_are_compared_with_the_same_runs_without_guidance(tables):
    hold_out(tables, 2)
    runs = {"highest": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], "highest-guided": [[0.0, 0.5], [1.0, 0.5]], "random": [[0.0, 0.0]]}
    for arm, values in (runs | {"middle": [[0.5, 0.5]], "highest-10": [[1.0, 1.0]]}).items():
        for number, of_rows in enumerate(values):
            evaluation = {"generalisation": figures({"kl": (0.0, 0.1 * number)})}
            write(tables, arm, number, {"accuracy_implicit": of_rows}, evaluation=evaluation)
    found = tables.exploratory().set_index("arm")
    # highest-10 has nothing yet that it is compared with
    assert found["against"].to_dict() == {"middle": "random", "highest-guided": "highest"}
    # each run with the one of its number: (0, 0.5) - (0, 0) and (1, 0.5) - (1, 0), so 0.25 in the mean and nothing of the run of number 2;
    # rows differ by 0 and 0.5 whatever the run: of two rows drawn the mean is 0, 0.25 or 0.5
    assert found["accuracy_implicit"]["highest-guided"] == "+0.2500 (95.0%: +0.0000 to +0.5000)"
    assert found["accuracy_implicit"]["middle"] == "+0.5000 (95.0%: +0.5000 to +0.5000)"
    # two guided runs and the two of their numbers; middle 0.5 above the one random run: (1 + 0) / (1 + 1)
    assert found["runs"].to_dict() == {"middle": "1, 1", "highest-guided": "2, 2"}
    assert found["means"].to_dict() == {"middle": "0.5000, 0.0000", "highest-guided": "0.5000, 0.2500"}
    assert found["KL"].to_dict() == {"middle": "0.000, 0.000", "highest-guided": "0.050, 0.050"}  # of runs 0 and 1: (0 + 0.1) / 2
    assert found["rank p"].to_dict() == {"middle": "0.500", "highest-guided": ""}
    # never 0 or below in 10,000 draws: 1 / 10,000, times 2; 0 in a quarter of them: twice 0.25, then times 1
    assert found["p (Holm)"]["middle"] == "< 0.001"
    assert float(found["p (Holm)"]["highest-guided"]) == pytest.approx(0.5, abs=0.03)


def test_the_smallest_difference_by_the_tuning_runs(tables):
    # means 1 and 0.25 of 4 rows: 0.75 apart, 0.5625 squared; the rows' differences 1, 1, 1, 0 have the variance 0.25, over 4 rows 0.0625.
    # So half of 0.5625 - 0.0625 between subsets, 0.25, which is 0.5 squared; over rows sqrt(0.25 / 2 x 1.05) = 0.3623
    settings = {"lr": 2e-5, "epochs": 2.0}
    for number, values in enumerate([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]):
        write(tables, "lr2e-05-epochs2", number, {"accuracy_implicit": values}, part="tuning", settings=settings)
    found = tables.power()
    smallest = 3.083 * math.sqrt(0.13125 / 691 + 0.25 / 20 + 0.0001 / 5)  # 3.083 x 0.11274
    assert smallest == pytest.approx(0.3476, abs=1e-4)
    assert found.loc[0].tolist() == [2e-5, 2.0, "0.362", "0.5000", "0.3476"]


def test_the_chance_of_rows_is_not_taken_for_one_of_subsets(tables):
    # means 0.75 and 0.5: 0.0625 squared, all of it the chance of 4 rows that differ by 1, 0, 0, 0: 0.25 / 4
    for number, values in enumerate([[1.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]):
        write(tables, "one", number, {"accuracy_implicit": values}, part="tuning", settings={"lr": 1e-5, "epochs": 1.0})
    assert tables.power()["spread between subsets"].tolist() == ["0.0000"]


def test_what_is_said_of_every_arm_is_the_mean_over_its_runs(tables):
    for number, (accuracy, won, can_tell) in enumerate([(0.5, 0.9, True), (0.7, 0.7, True), (0.6, None, False)]):
        alignment = figures({"margin": (0.0, 0.1), "accuracy_logp": (0.4, 0.5), "accuracy_implicit": (0.5, accuracy)})
        alignment |= {"win_rate": {"tuned": {"value": won}}} if can_tell else {}
        names = ("kl", "kl_own", "perplexity_neutral", "bleu", "chrf", "answer_tokens")
        generalisation = figures(dict.fromkeys(names, (2.0, 3.0)) | {"kl": (None, 0.25)})
        judge = {"can_tell": can_tell, "accuracy": {"value": 0.625}}
        cost = {"scoring_seconds": 10.0, "training_seconds": 20.0 + number}
        evaluation = {"alignment": alignment, "generalisation": generalisation, "judge": judge, "cost": cost}
        write(tables, "highest", number, evaluation=evaluation, rows=58)
    before, found = tables.arms().to_dict("records")
    assert (before["arm"], before["accuracy_implicit"], before["kl"], before["bleu"]) == ("before training, hh", "0.500", "", "2.000")
    assert (found["runs"], found["rows"], found["accuracy_implicit"], found["kl"]) == (3, 58, "0.600", "0.250")
    # of 0.5, 0.7 and 0.6: sqrt((0.01 + 0.01 + 0) / 2) = 0.1; win rates of the two runs whose judge can tell: (0.9 + 0.7) / 2
    assert (found["between runs"], found["win rate"]) == ("0.1000", "0.80 (judge 0.62)")
    assert (found["scoring s"], found["training s"]) == ("10", "21")


def test_a_judge_that_cannot_tell_in_any_run_gives_no_win_rate(tables):
    assert tables.win_rate([{"evaluation": {"judge": {"can_tell": False}}}]) == "cannot tell"


def test_pairs_of_random_draws_that_are_said_to_differ(tables):
    # two runs that are always right and one that never is: of the pairs (0, 1), (0, 2), (1, 2) the last two differ, whatever rows are drawn
    hold_out(tables, 64)
    for number, value in enumerate([1.0, 1.0, 0.0]):
        write(tables, "random", number, {"accuracy_implicit": [value] * 64})
    found = tables.pairs()
    assert found["comparisons"].tolist() == [15, 3]  # five draws of 64 rows, and all rows once
    assert found["said to differ"].tolist() == ["10 (67%)", "2 (67%)"]


def test_the_other_accuracy_beside_random_rows(tables):
    hold_out(tables, 2)
    for arm in ("highest", "lowest", *tables.RANKED, "full"):
        write(tables, arm, 0, {"accuracy_logp": [1.0, 1.0] if arm == "highest" else [0.0, 0.0]})
    for number, values in enumerate([[0.5, 0.5], [1.0, 1.0]]):
        write(tables, "random", number, {"accuracy_logp": values})
    found = tables.logp().set_index("contrast")
    # 1 - (0.5 + 1) / 2; of two runs drawn the mean is 0.5, 0.75 or 1. One of two random runs is as high: (1 + 1) / 3; none as low: 1 / 3
    assert found["accuracy_logp"]["highest - random"] == "+0.2500 (95.0%: +0.0000 to +0.5000)"
    assert found["rank p"].to_dict() == dict.fromkeys(found.index, "0.333") | {"highest - random": "0.667"}


def test_a_table_that_there_is_not_is_said_in_words(tables, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tables.py", "power", "nonsense"])
    with pytest.raises(SystemExit, match=r"Expected tables of tuning, .*; found nonsense"):
        tables.main()


def test_a_contrast_waits_for_both_of_its_arms(tables):
    hold_out(tables, 2)
    for arm in ("highest", "random"):
        write(tables, arm, 0, {"accuracy_implicit": [1.0, 0.0], "margin": [0.25, 0.25]})
    found = tables.primary()
    assert found["contrast"].tolist() == ["highest - random"] * 2
    assert found["difference"].tolist() == ["+0.0000 (97.5%: +0.0000 to +0.0000)"] * 2


ROWS_OF_FOUR = [("a", 1, 1.0), ("b", 2, 0.0), ("c", 30, 0.5), ("d", 50, 0.5)]
