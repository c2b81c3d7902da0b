"""The whole computation: on the demo against its planted faults, and the file it leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from deft_core import queries
from deft_core.demo import DEMO, import_demo
from deft_core.errors import InputError
from deft_core.noise import stored, workbench
from deft_core.noise.report import report
from deft_core.noise.signals import STORED
from deft_core.status import read_status
from deft_core.workspace import Workspace, write_json
from tests.score_sets import preferences, write_dataset, write_scores

FAULTS = json.loads((Path(__file__).parents[2] / "data" / "demo" / "planted_faults.json").read_text())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("demo"))
    import_demo(workspace)
    workbench.compute(workspace, DEMO)
    return workspace


def groups(table: pd.DataFrame, column: str) -> set[frozenset[str]]:
    return {frozenset(rows["extra_key"]) for _, rows in table.dropna(subset=column).groupby(column)}


def planted(fault: str) -> set[frozenset[str]]:
    return {frozenset((row["key"], row["of"])) for row in FAULTS[fault]}


@pytest.mark.parametrize(("column", "fault"), [("exact_duplicate", "exact_duplicates"), ("near_duplicate", "near_duplicates")])
def test_the_demos_duplicates_are_found_all_and_nothing_else(demo, column, fault):
    table = queries.light_table(queries.open_view(demo, DEMO))
    assert groups(table, f"noise_{column}") == planted(fault)  # precision 8 / 8, recall 8 / 8
    assert len(planted(fault)) == 8


def test_the_demos_other_counts(demo):
    # the leak: near duplicates d136 and d270 lie on two sides; the other language: a French exercise
    expected = {"same_sides": 0, "leak": 2, "wrong_language": 1, "personal_data": 0, "length": 0, "swapped": None, "reward_reversed": None}
    found = report(demo, DEMO)
    assert found.counts == {"exact_duplicate": 16, "near_duplicate": 16} | expected
    assert found.rows == 296 and found.limits == {}
    assert found.notes["wrong_language"].startswith("main language en, 99.9%")


def test_the_columns_are_those_the_queries_know(demo):
    table = pq.read_table(demo.noise(DEMO))
    assert table.column_names == ["id", *stored.COLUMNS]
    assert list(stored.COLUMNS) == [signal.column for signal in STORED]
    assert table.column("id").to_pylist() == pq.read_table(demo.pairs(DEMO), columns=["id"]).column("id").to_pylist()


def test_the_first_row_of_a_group_is_the_one_that_comes_first_in_the_data(demo):
    ids = pq.read_table(demo.pairs(DEMO), columns=["id", "extra"]).to_pandas()
    keys = [json.loads(extra)["key"] for extra in ids["extra"]]
    earlier = {min((row["key"], row["of"]), key=keys.index) for row in FAULTS["near_duplicates"]}
    firsts = stored.first_ids(demo.noise(DEMO), "noise_near_duplicate")
    assert {keys[list(ids["id"]).index(one)] for one in firsts} == earlier


def test_they_are_columns_everywhere(demo):
    view = queries.open_view(demo, DEMO)
    kinds = {column.name: column.kind for column in queries.columns(view)}
    assert {name: kinds[name] for name in stored.COLUMNS} == stored.COLUMNS
    question = "SELECT count(noise_exact_duplicate) AS rows, count(DISTINCT noise_exact_duplicate) AS groups FROM pairs"
    assert queries.user_sql(view, question).to_pylist() == [{"rows": 16, "groups": 8}]
    assert len(queries.where_ids(view, "noise_leak IS NOT NULL")) == 2
    assert set(stored.COLUMNS) < set(queries.relation.column_names(view))


def test_nothing_but_the_file_and_a_finished_status_is_left(demo):
    folder = demo.noise_work(DEMO)
    assert {path.name for path in folder.iterdir()} == {".lock", "status.json"}
    status = read_status(folder)
    assert (status["state"], status["done"], status["total"]) == ("finished", 296, 296)


@pytest.fixture
def small(tmp_path):
    workspace, made = Workspace(tmp_path), preferences(30)
    ids = write_dataset(workspace, "small", made)
    write_scores(workspace, "small", made, ids)
    return workspace


def test_with_scores_swapped_pairs_are_counted_and_their_limits_named(small):
    found = report(small, "small")
    assert found.counts["leak"] is None  # not computed yet
    table = queries.light_table(queries.open_view(small, "small"))
    below = np.all([table[name] < limit for name, limit in found.limits["swapped"].items()], axis=0)
    assert found.counts["swapped"] == below.sum() > 0


def test_other_data_make_the_columns_stale(small):
    assert stored.found(small, "small").state == "missing"
    before = queries.version(small, queries.open_view(small, "small"))
    workbench.compute(small, "small")
    assert stored.found(small, "small").state == "current"
    assert queries.version(small, queries.open_view(small, "small")) != before
    info = small.dataset_info("small")
    write_json(small.dataset("small") / "dataset.json", info | {"fingerprint": "another"})
    assert stored.found(small, "small").state == "stale"
    view = queries.open_view(small, "small", None)
    assert view.noise is None and "noise_leak" not in queries.light_table(view)


def test_a_damaged_file_is_as_good_as_none(small):
    small.noise("small").write_bytes(b"PAR1 no")
    assert stored.found(small, "small").state == "damaged"
    assert "noise_leak" not in queries.light_table(queries.open_view(small, "small"))


def test_two_computations_at_once_are_refused(small):
    said = []

    def again(status):
        if not said:
            said.append(status)
            with pytest.raises(InputError, match="one computation of noise columns at a time"):
                workbench.compute(small, "small")

    workbench.compute(small, "small", again)
    assert stored.found(small, "small").state == "current"


def test_a_failure_stands_in_the_status_and_leaves_no_scratch(small):
    small.pairs("small").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="readable texts of 'small'"):
        workbench.compute(small, "small")
    folder = small.noise_work("small")
    assert read_status(folder)["state"] == "failed" and not (folder / "scratch").exists()
