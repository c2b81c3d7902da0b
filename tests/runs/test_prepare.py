"""A run folder is made whole from a selection and its scores, or not at all."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from deft_core import discrepancy, queries, selection, selections
from deft_core.errors import InputError, NotFoundError
from deft_core.rule import Rule
from deft_core.runs.prepare import prepare, prepare_control
from deft_core.runs.spec import Settings, read_run
from deft_core.workspace import Workspace, read_json, write_json
from tests.lm.test_checkpoints import as_nobody
from tests.runs.made import decide, scored, select
from tests.score_sets import preferences, write_dataset, write_scores


def rows(folder, name="input"):
    return pd.read_parquet(folder / f"{name}.parquet").set_index("id")


def logps(workspace):
    """Of every scored row, from the score set."""
    parts = workspace.score_set("demo", "tiny").glob("part-*.parquet")
    return pd.concat(pd.read_parquet(part, columns=["id", "logps"]) for part in parts).set_index("id")["logps"]


def test_a_run_folder_holds_all_that_the_run_needs(workspace):
    there = scored(workspace, truncated=40)
    saved = select(workspace)
    run = prepare(workspace, "best", Settings("simpo", seed=3), name="a try")
    folder = workspace.run(run.run_id)
    assert read_run(folder) == run
    assert sorted(path.name for path in folder.iterdir()) == [
        *("discrepancy.parquet", "dropped.parquet", "heldout.parquet", "input.parquet", "judge.parquet", "reference.parquet", "run.json")
    ]
    assert (run.name, run.selection, run.version, run.dataset, run.score_id, run.model) == ("a try", "best", 1, "demo", "tiny", "tiny")
    assert (run.max_length, run.layout, run.own_logits, run.control_of, run.omega) == (1024, "prefix-shared", False, None, 0.0)
    assert (run.rows, run.heldout_rows, run.judge_rows, run.truncated_rows) == (8, 4, 4, 8)
    assert (run.rule, run.scoring_seconds) == ({"keep": "highest", "by": "reward_chosen", "fraction": 0.25, "where": ""}, 10.0)
    assert run.fingerprints == saved.fingerprints | {"selection": saved.fingerprint}
    kept = rows(folder)
    assert sorted(kept.index) == list(selections.kept_rows(workspace, "best")["id"])
    for row_id, row in kept.iterrows():
        preference = there[row_id]
        assert list(row["responses"]) == [response.text for response in preference.responses]
        assert list(row["ranks"]) == [response.rank for response in preference.responses]
        assert [message["content"] for message in row["prompt"]] == [message.content for message in preference.prompt]
    assert (set(kept["split"]), set(rows(folder, "heldout")["split"]), set(rows(folder, "judge")["split"])) == (
        {"train"},
        {"heldout"},
        {"judge"},
    )
    d = [discrepancy.read_table(place)["d"].tolist() for place in (folder, workspace.score_set("demo", "tiny"))]
    assert d[0] == d[1]


def test_no_path_stands_in_the_description(workspace):
    scored(workspace)
    select(workspace)
    run = prepare(workspace, "best", Settings())
    assert str(workspace.root) not in (workspace.run(run.run_id) / "run.json").read_text()


def test_reference_log_probabilities_come_from_the_scores(workspace):
    scored(workspace)
    select(workspace)
    run = prepare(workspace, "best", Settings())
    folder = workspace.run(run.run_id)
    reference, known = rows(folder, "reference")["logps"], logps(workspace)
    assert set(reference.index) == {row for name in ("input", "heldout", "dropped") for row in rows(folder, name).index}
    assert all(list(reference[row]) == list(known[row]) for row in reference.index)


@pytest.mark.parametrize(("dtype", "there"), [(None, True), ("float32", True), ("bfloat16", False)])
def test_they_do_not_where_training_runs_in_another_precision(workspace, dtype, there):
    scored(workspace)
    select(workspace)
    run = prepare(workspace, "best", Settings(dtype=dtype))
    assert (workspace.run(run.run_id) / "reference.parquet").is_file() == there


def test_rows_without_scores_have_no_reference_yet(workspace):
    scored(workspace, done=10)
    select(workspace, rule=Rule("lowest", "characters_chosen", fraction=1.0))
    run = prepare(workspace, "best", Settings())
    assert (run.rows, run.truncated_rows) == (32, None)
    assert not (workspace.run(run.run_id) / "reference.parquet").exists()


def test_flipped_rows_have_their_answers_scores_and_references_exchanged(workspace):
    there = scored(workspace)
    heldout = list(there)[8]
    decide(workspace, "flip", *(row for place, row in enumerate(there) if place % 10 < 4), heldout)
    select(workspace, rule=Rule("highest", fraction=1.0))
    run = prepare(workspace, "best", Settings())
    folder = workspace.run(run.run_id)
    kept, reference, known = rows(folder), rows(folder, "reference")["logps"], logps(workspace)
    assert len(kept) == 32
    for place, row in enumerate(there):
        if row in kept.index:
            flip = place % 10 < 4
            first, *between, last = [response.text for response in there[row].responses]
            assert list(kept["responses"][row]) == ([last, *between, first] if flip else [first, *between, last])
            a, *middle, z = known[row]
            assert list(reference[row]) == ([z, *middle, a] if flip else [a, *middle, z])
            assert list(kept["ranks"][row]) == [response.rank for response in there[row].responses]
    assert rows(folder, "heldout")["responses"][heldout][0] == there[heldout].responses[-1].text


def test_rows_held_out_are_the_same_for_every_run_and_few_are_among_many(workspace):
    scored(workspace, 200)
    select(workspace)
    samples = [prepare(workspace, "best", Settings(seed=seed, eval_rows=most)) for seed, most in ((0, 5), (1, 5), (0, 12), (0, 64))]
    ids = [list(rows(workspace.run(run.run_id), "heldout").index) for run in samples]
    assert [run.heldout_rows for run in samples] == [5, 5, 12, 20]
    assert ids[0] == ids[1] == sorted(ids[0])
    assert set(ids[0]) < set(ids[2]) < set(ids[3])


def test_an_old_version_is_trained_by_its_number(workspace):
    scored(workspace)
    select(workspace)
    select(workspace, rule=Rule("highest", fraction=0.5))
    assert (prepare(workspace, "best", Settings()).rows, prepare(workspace, "best@1", Settings()).rows) == (16, 8)


# the random control


def test_a_control_has_as_many_rows_of_the_same_pool_by_chance(workspace):
    there = scored(workspace, 200)
    ids = list(there)
    table = queries.light_table(queries.open_view(workspace, "demo")).set_index("id")
    dropped, flipped = ids[0:100:20], ids[1]
    decide(workspace, "drop", *dropped)
    decide(workspace, "flip", flipped)
    rule = Rule("highest", fraction=0.2, where="tokens_chosen > 10")
    select(workspace, rule=rule)
    decide(workspace, "drop", *ids[100:180])  # afterwards: not what the selection was made with
    parent = prepare(workspace, "best", Settings(guidance=0.5, seed=7, epochs=2.0))
    control = prepare_control(workspace, parent.run_id, seed=5)
    kept = rows(workspace.run(control.run_id))
    assert (control.rows, control.control_of, control.omega, control.settings) == (parent.rows, parent.run_id, 0.5, parent.settings)
    assert control.rule == {"keep": "random", "by": "reward_chosen", "count": parent.rows, "where": rule.where, "seed": 5}
    assert parent.scoring_seconds == control.scoring_seconds == 50.0  # its condition is about a column of the scores
    assert len(kept) == parent.rows
    assert set(kept["split"]) == {"train"}
    assert not set(kept.index) & set(dropped)
    assert set(kept.index) & set(ids[100:180])
    assert all(table["tokens_chosen"][row] > 10 for row in kept.index if row != flipped)
    assert set(kept.index) != set(rows(workspace.run(parent.run_id)).index)
    again, other = (rows(workspace.run(prepare_control(workspace, parent.run_id, seed=seed).run_id)) for seed in (5, 6))
    assert list(again.index) == list(kept.index)
    assert set(other.index) != set(kept.index)
    heldout = [rows(workspace.run(run.run_id), "heldout").index.tolist() for run in (parent, control)]
    assert heldout[0] == heldout[1]


def test_a_control_of_fewer_rows_takes_as_many_steps(workspace):
    there = scored(workspace)
    decide(workspace, "keep", *there)
    select(workspace, rule=Rule("highest", fraction=0.25, where="tokens_chosen > 20"))
    parent = prepare(workspace, "best", Settings(epochs=1.0))
    control = prepare_control(workspace, parent.run_id)
    assert control.rows < parent.rows == 32
    assert control.settings.total_steps(control.rows) == parent.settings.total_steps(parent.rows) == 8  # 32 rows, 4 a step


def test_a_control_of_random_rows_is_another_draw(workspace):
    scored(workspace, 200)
    table = queries.light_table(queries.open_view(workspace, "demo"))
    for number, rule in enumerate([Rule("random", fraction=0.2, seed=3), Rule("stratified", fraction=0.2, within="random", seed=3)], 1):
        select(workspace, rule=rule)
        parent = prepare(workspace, f"best@{number}", Settings())
        assert parent.scoring_seconds == (None if rule.keep == "random" else 50.0)  # which random rows do without
        before, same, after = (prepare_control(workspace, parent.run_id, seed=seed) for seed in (2, 3, 4))
        assert [control.rule["seed"] for control in (before, same, after)] == [2, 4, 5]
        drawn = selection.kept(table, Rule("random", count=parent.rows, seed=4))
        assert set(rows(workspace.run(same.run_id)).index) == set(table["id"][drawn]) != set(rows(workspace.run(parent.run_id)).index)


# what is refused, with nothing left behind


def refused(workspace, error=InputError, settings=None):
    with pytest.raises(error) as found:
        prepare(workspace, "best", settings or Settings())
    assert not list(workspace.runs.glob("*/run.json"))
    assert not workspace.runs.exists() or not [path for path in workspace.runs.iterdir() if path.is_dir()]
    return str(found.value)


@pytest.mark.parametrize("count", [0, 1])
def test_a_selection_of_no_or_one_row(workspace, count):
    scored(workspace)
    select(workspace, rule=Rule("highest", count=1))
    path = workspace.selection("best") / "v1" / "kept.parquet"
    pq.write_table(pq.read_table(path).slice(0, count), path)
    words = refused(workspace)
    assert "at least 2 rows to train on" in words
    assert f"found {count} row" in words


def test_no_selection(workspace):
    scored(workspace)
    assert "no 'best'" in refused(workspace, NotFoundError)


def test_a_dataset_without_scores(workspace):
    write_dataset(workspace, "demo", preferences(40))
    select(workspace, rule=Rule("random", "characters_chosen"))
    assert "deft score demo" in refused(workspace, NotFoundError)


def test_a_selection_made_without_scores_takes_the_newest(workspace):
    made = preferences(40)
    ids = write_dataset(workspace, "demo", made)
    select(workspace, rule=Rule("random", "characters_chosen", count=8))
    write_scores(workspace, "demo", made, ids)
    run = prepare(workspace, "best", Settings())
    assert (run.score_id, run.rows, run.fingerprints["d"] is not None) == ("tiny", 8, True)


def test_scores_that_are_gone(workspace):
    scored(workspace)
    select(workspace)
    made = preferences(40)
    write_scores(workspace, "demo", made, list(scored_ids(workspace)), score_id="other")
    shutil.rmtree(workspace.score_set("demo", "tiny"))
    assert "only other" in refused(workspace, NotFoundError)


def scored_ids(workspace):
    return pd.read_parquet(workspace.pairs("demo"), columns=["id"])["id"]


@pytest.mark.parametrize("what", ["tokenizer", "model"])
def test_a_model_or_tokenizer_other_than_the_selection_was_made_with(workspace, what):
    scored(workspace)
    about = workspace.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {f"{what}_fingerprint": "one"})
    select(workspace)
    write_json(about, read_json(about) | {f"{what}_fingerprint": "another"})
    assert f"the same {what} as when best@1 was saved" in refused(workspace)


def test_a_model_folder_that_is_gone(workspace, tmp_path):
    scored(workspace)
    about = workspace.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"model": str(tmp_path / "gone")})
    select(workspace)
    assert "no such folder" in refused(workspace)


def test_a_workspace_that_may_not_be_written_to_is_left_as_it_is(workspace, monkeypatch):
    scored(workspace)
    select(workspace)
    monkeypatch.chdir(workspace.root)  # nobody may not even pass through the folders above
    workspace.root.chmod(0o555)
    with as_nobody(), pytest.raises(PermissionError, match="'runs'"):  # of which the command says what, why and what to do
        prepare(Workspace(Path()), "best", Settings())
    workspace.root.chmod(0o755)
    assert not workspace.runs.exists()


def test_a_full_disk_says_where(workspace, monkeypatch):
    scored(workspace)
    select(workspace)
    monkeypatch.setattr(
        pq.ParquetWriter, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "Error writing bytes to file"))
    )  # pyarrow's
    with pytest.raises(OSError, match="Error writing bytes to file") as raised:
        prepare(workspace, "best", Settings())
    assert Path(raised.value.filename).parent == workspace.runs
    assert list(workspace.runs.iterdir()) == []


def test_nothing_held_out(workspace):
    made = preferences(8)  # of ten rows the ninth is held out
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    select(workspace, rule=Rule("highest", fraction=1.0))
    assert "--heldout 0.1" in refused(workspace)


def test_a_log_of_decisions_that_lost_what_the_selection_was_made_with(workspace):
    there = scored(workspace)
    decide(workspace, "drop", next(iter(there)))
    select(workspace)
    workspace.overrides("demo").write_text("")
    assert "Restore overrides.jsonl" in refused(workspace)


def test_a_row_that_the_dataset_no_longer_has(workspace):
    scored(workspace)
    select(workspace)
    path = workspace.selection("best") / "v1" / "kept.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "id", [["none", *table["id"].to_pylist()[1:]]]), path)
    assert "the 8 rows of best@1" in refused(workspace)


def test_the_description_is_strict_json(workspace):
    scored(workspace)
    select(workspace)
    run = prepare(workspace, "best", Settings())
    found = json.loads((workspace.run(run.run_id) / "run.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert found["run_id"] == run.run_id
