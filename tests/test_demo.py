"""The bundled demo is what its README says it is."""

import json
from collections import Counter
from pathlib import Path

import pytest

from deft_core.demo import import_demo
from deft_core.workspace import Workspace

DEMO = Path(__file__).parents[1] / "data" / "demo"
PAIRS = [json.loads(line) for line in (DEMO / "pairs.jsonl").read_text().splitlines()]
RANKINGS = [json.loads(line) for line in (DEMO / "rankings.jsonl").read_text().splitlines()]
FAULTS = json.loads((DEMO / "planted_faults.json").read_text())
BY_KEY = {row["key"]: row for row in PAIRS}


def answers(row):
    return row["chosen"][0]["content"], row["rejected"][0]["content"]


def test_sizes_and_variety():
    assert (len(PAIRS), len(RANKINGS)) == (272, 32)
    assert Counter(len(row["responses"]) for row in RANKINGS) == {3: 20, 4: 12}
    turns = Counter(sum(message["role"] == "user" for message in row["prompt"]) for row in PAIRS + RANKINGS)
    assert set(turns) == {1, 2, 3, 4, 5}
    assert len({row["source"] for row in PAIRS}) == 8


def test_every_answer_has_20_to_120_words():
    blank = {fault["key"] for fault in FAULTS["empty_answers"]}
    texts = [text for row in PAIRS if row["key"] not in blank for text in answers(row)]
    texts += [text for row in RANKINGS for text in row["responses"]]
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= 20
    assert max(lengths) <= 120


def test_length_does_not_give_the_label_away():
    decided = [row for row in PAIRS if len(set(answers(row))) == 2 and all(text.strip() for text in answers(row))]
    shorter = sum(len(chosen) < len(rejected) for chosen, rejected in map(answers, decided))
    assert shorter / len(decided) == pytest.approx(0.5, abs=0.05)


def test_planted_faults_are_where_the_side_file_says():
    assert {fault: len(rows) for fault, rows in FAULTS.items()} == {
        "swapped": 15,
        "exact_duplicates": 8,
        "near_duplicates": 8,
        "identical_sides": 5,
        "empty_answers": 3,
    }
    for fault in FAULTS["exact_duplicates"]:
        copy, original = BY_KEY[fault["key"]], BY_KEY[fault["of"]]
        assert (copy["prompt"], answers(copy)) == (original["prompt"], answers(original))
    for fault in FAULTS["near_duplicates"]:
        assert answers(BY_KEY[fault["key"]]) != answers(BY_KEY[fault["of"]])
    assert all(len(set(answers(BY_KEY[fault["key"]]))) == 1 for fault in FAULTS["identical_sides"])
    assert all("" in [text.strip() for text in answers(BY_KEY[fault["key"]])] for fault in FAULTS["empty_answers"])


def test_import_keeps_296_of_304_and_is_done_once(tmp_path):
    workspace = Workspace(tmp_path)
    report = import_demo(workspace)
    assert (report.rows_read, report.rows_kept, report.rows_refused) == (304, 296, 8)
    created = workspace.dataset_info("demo")["created"]
    assert import_demo(workspace) == report
    assert workspace.dataset_info("demo")["created"] == created
    refused = [json.loads(line) for line in workspace.refused("demo").read_text().splitlines()]
    expected = {fault["key"] for kind in ("identical_sides", "empty_answers") for fault in FAULTS[kind]}
    assert {json.loads(row["original"])["key"] for row in refused} == expected
