"""Which rows a run's margins are taken of, and how they join the rows of their dataset."""

import pandas as pd
import pytest

from deft_core import file_names, queries
from deft_core.errors import InputError, NotFoundError
from deft_core.rule import Rule
from deft_core.runs import margins
from deft_core.runs.prepare import prepare, prepare_control
from deft_core.runs.spec import Settings
from tests.runs.made import decide, scored, select


def ids(folder, name):
    return set(pd.read_parquet(folder / f"{name}.parquet")["id"])


def of_split(workspace, split):
    table = pd.read_parquet(workspace.pairs("demo"))
    return set(table["id"][table["split"] == split])


def write_margins(workspace, run_id):
    """As an evaluation leaves them: the kept rows gained, the dropped ones lost."""
    folder = workspace.run(run_id)
    rows = [(row, True, -1.0, 3.0) for row in sorted(ids(folder, "input"))] + [
        (row, False, 2.0, 1.0) for row in sorted(ids(folder, "dropped"))
    ]
    table = pd.DataFrame(rows, columns=["id", "kept", "logp_margin_before", "logp_margin_after"])
    table["implicit_margin"] = 0.1 * (table["logp_margin_after"] - table["logp_margin_before"])
    table["learned"] = table["implicit_margin"] > 0
    table.to_parquet(folder / file_names.ROW_MARGINS, index=False)
    return table


@pytest.fixture
def measured(workspace):
    scored(workspace)
    select(workspace)
    run = prepare(workspace, "best", Settings())
    return workspace, run.run_id, write_margins(workspace, run.run_id)


def test_as_many_rows_that_were_not_kept_come_along_with_their_references(workspace):
    scored(workspace)
    select(workspace)
    folder = workspace.run(prepare(workspace, "best", Settings()).run_id)
    kept, dropped = ids(folder, "input"), ids(folder, "dropped")
    assert (len(kept), len(dropped)) == (8, 8)
    assert dropped < of_split(workspace, "train") - kept
    assert dropped < ids(folder, "reference")


def test_where_fewer_are_left_all_of_them_do_and_of_a_full_set_none(workspace):
    scored(workspace)
    select(workspace, "most", Rule("highest", fraction=0.75))
    select(workspace, "all", Rule("highest", fraction=1.0))
    most, whole = (workspace.run(prepare(workspace, name, Settings()).run_id) for name in ("most", "all"))
    assert (len(ids(most, "input")), len(ids(most, "dropped"))) == (24, 8)  # 32 training rows
    assert ids(whole, "dropped") == set()


def test_more_than_the_most_are_drawn_by_chance_and_always_the_same(workspace, monkeypatch):
    scored(workspace)
    monkeypatch.setattr(margins, "MOST", 3)
    kept = of_split(workspace, "train")
    some = margins.sample(kept)
    assert len(some) == 3 and some < kept and margins.sample(sorted(kept, reverse=True)) == some
    assert len(margins.dropped_ids(workspace.pairs("demo"), some)) == 3


def test_flipped_rows_are_dropped_as_they_are_turned(workspace):
    there = scored(workspace)
    decide(workspace, "flip", *there)
    select(workspace)
    folder = workspace.run(prepare_control(workspace, prepare(workspace, "best", Settings()).run_id).run_id)
    for _, row in pd.read_parquet(folder / "dropped.parquet").iterrows():
        assert row["responses"][0] == there[row["id"]].responses[-1].text


def test_they_are_columns_of_the_rows_they_were_taken_of(measured):
    workspace, run_id, written = measured
    view = queries.open_view(workspace, "demo", run_id=run_id)
    table = queries.light_table(view).set_index("id")
    assert set(table.index[table["kept"].notna()]) == set(written["id"])
    for _, row in written.iterrows():
        own = table.loc[row["id"]]
        assert (own["kept"], own["learned"]) == (str(row["kept"]).lower(), str(row["learned"]).lower())
        assert own["implicit_margin"] == row["implicit_margin"]
    kinds = {column.name: column.kind for column in queries.columns(view)}
    assert {name: kinds[name] for name in margins.COLUMNS} == margins.COLUMNS
    assert "kept" not in queries.light_table(queries.open_view(workspace, "demo"))


def test_a_persons_own_sql_sees_them(measured):
    workspace, run_id, _ = measured
    view = queries.open_view(workspace, "demo", run_id=run_id)
    assert queries.user_sql(view, "select count(*) as n from pairs where kept and learned").to_pylist() == [{"n": 8}]
    assert len(queries.where_ids(view, "NOT kept AND logp_margin_before > 0")) == 8


def test_the_version_of_a_view_changes_with_them(measured):
    workspace, run_id, _ = measured
    without, with_run = (queries.open_view(workspace, "demo", run_id=name) for name in (None, run_id))
    assert queries.version(workspace, without) != queries.version(workspace, with_run)


def test_a_run_that_has_none_or_is_of_another_dataset_is_refused(measured):
    workspace, run_id, _ = measured
    with pytest.raises(InputError, match="a run on 'other'"):
        queries.view._margins(workspace, "other", run_id)
    (workspace.run(run_id) / file_names.ROW_MARGINS).unlink()
    with pytest.raises(NotFoundError, match=f"deft evaluate {run_id} --rows"):
        queries.open_view(workspace, "demo", run_id=run_id)


def test_a_damaged_file_says_what_makes_it_again(measured):
    workspace, run_id, _ = measured
    (workspace.run(run_id) / file_names.ROW_MARGINS).write_bytes(b"half")
    with pytest.raises(InputError, match=f"Run `deft evaluate {run_id} --rows`"):
        queries.light_table(queries.open_view(workspace, "demo", run_id=run_id))
