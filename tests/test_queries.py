"""Questions to a dataset and its scores, answered by DuckDB and checked against plain Python over the same rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core.errors import InputError, NotFoundError
from deft_core.preferences import Message, Preference, Response
from deft_core.queries import (
    View,
    columns,
    last_turns,
    light_table,
    matching_ids,
    open_view,
    refused_page,
    rows_with_token,
    texts,
    token_detail,
    user_sql,
    version,
)
from deft_core.workspace import Workspace, write_json
from tests.score_sets import SCORED, Words, preferences, write_dataset, write_demo, write_scores

ROWS = 60


@pytest.fixture
def view(partly_scored: Workspace) -> View:
    return open_view(partly_scored, "demo")


def test_the_newest_score_set_is_the_default_and_none_is_possible(partly_scored: Workspace) -> None:
    assert open_view(partly_scored, "demo").score_id == "tiny"
    assert open_view(partly_scored, "demo", None).parts == ()


def test_an_unknown_score_set_is_named_with_those_there_are(partly_scored: Workspace) -> None:
    with pytest.raises(NotFoundError, match=r"no 'other' \(there: tiny\)"):
        open_view(partly_scored, "demo", "other")


def test_columns_have_the_kinds_a_page_offers_them_by(view: View) -> None:
    kinds = {column.name: column.kind for column in columns(view)}
    assert kinds["id"] == "id"
    assert kinds["reward_chosen"] == kinds["extra_difficulty"] == "number"
    assert kinds["split"] == kinds["extra_topic"] == kinds["extra_checked"] == "category"
    assert "prompt" not in kinds and "rewards" not in kinds


def test_the_light_table_has_every_row_scored_or_not(view: View) -> None:
    table = light_table(view)
    assert len(table) == ROWS
    assert table["reward_chosen"].notna().sum() == 40
    scored = table[table["reward_chosen"].notna()]
    assert np.allclose(scored["reward_margin"], scored["reward_chosen"] - scored["reward_rejected"])
    assert table["source"].value_counts().to_dict() == {"letters": 48, "forum": 12}


def test_without_scores_the_light_table_has_no_reward(partly_scored: Workspace) -> None:
    assert "reward_chosen" not in light_table(open_view(partly_scored, "demo", None))


def test_texts_come_for_the_rows_asked_for_in_that_order(view: View) -> None:
    ids = list(light_table(view)["id"][[5, 2, 9]])
    found = texts(view, ids)
    assert list(found["id"]) == ids
    assert found["prompt"][0][0]["content"].startswith("Question 5:")


def test_texts_of_some_columns_and_of_no_rows(view: View) -> None:
    ids = list(light_table(view)["id"][:2])
    assert list(texts(view, ids, ["prompt"]).columns) == ["id", "prompt"]
    assert texts(view, []).empty and texts(view, ["unknown"]).empty
    assert list(texts(view, ["unknown", ids[1]])["id"]) == [ids[1]]


def test_a_search_reads_prompts_and_answers_and_takes_no_pattern_for_one(view: View) -> None:
    made = preferences(ROWS)
    bodies = [" ".join([m.content for m in p.prompt] + [r.text for r in p.responses]) for p in made]
    assert len(matching_ids(view, "SORRY")) == sum("sorry" in body for body in bodies)
    assert len(matching_ids(view, "sor.y")) == 0
    assert len(matching_ids(view, r"question \d\d:", regular=True)) == 50


def test_a_search_reads_one_field(view: View) -> None:
    made = preferences(ROWS)
    counts = {field: len(matching_ids(view, "sorry", field=field)) for field in ("prompt", "chosen", "rejected")}
    assert counts == {
        "prompt": sum(any("sorry" in m.content for m in p.prompt) for p in made),
        "chosen": sum(any("sorry" in r.text for r in p.responses if r.rank == 1) for p in made),
        "rejected": sum(any("sorry" in r.text for r in p.responses if r.rank > 1) for p in made),
    }
    assert len(matching_ids(view, "^question", regular=True, field="prompt")) == ROWS
    assert len(matching_ids(view, "^question", regular=True, field="chosen")) == 0


def test_an_impossible_regular_expression_is_explained(view: View) -> None:
    with pytest.raises(InputError, match="regular expression"):
        matching_ids(view, "(", regular=True)


def test_token_detail_gives_back_the_tokens_with_their_contributions(view: View) -> None:
    row = pq.read_table(view.parts[1]).to_pylist()[3]
    detail = token_detail(view, row["id"])
    answers = list(texts(view, [row["id"]])["responses"][0])
    assert [[token.text for token in response] for response in detail] == [Words.pieces(answer) for answer in answers]
    assert np.allclose([np.mean([token.contribution for token in response]) for response in detail], row["rewards"])
    assert [token.logp for token in detail[1]] == row["token_logps"][1][:-1]
    assert token_detail(view, "not a row") == []


def test_the_rows_a_token_decides_come_with_what_it_moves(view: View) -> None:
    made = {one.content_hash() + "-0": one for one in preferences(ROWS)}
    tokens = pq.read_table(view.discrepancy).to_pylist()
    token = next(one["token_id"] for one in tokens if one["bytes"] == b" sorry")
    expected = {}
    for row in (row for part in view.parts for row in pq.read_table(part).to_pylist()):
        times = [ids.count(token) for ids in row["token_ids"]]
        if any(times):
            ranks = [response.rank for response in made[row["id"]].responses]
            sums = [
                sum(r for r, one in zip(*of, strict=True) if one == token)
                for of in zip(row["token_rewards"], row["token_ids"], strict=True)
            ]
            parts = [total / length for total, length in zip(sums, row["tokens"], strict=True)]  # of the mean over T
            moved = parts[0] - np.mean([part for part, rank in zip(parts, ranks, strict=True) if rank > 1])
            expected[row["id"]] = (times[0], sum(times[1:]), moved, row["reward_margin"])  # in this set the first response alone has rank 1
    found, rows = rows_with_token(view, token, 1000)
    assert rows == len(found) == len(expected) > 10
    for one in found.itertuples():
        assert (one.in_chosen, one.in_rejected, one.moved, one.margin) == pytest.approx(expected[one.id], abs=1e-7)
    assert found["moved"].abs().is_monotonic_decreasing
    first, same = rows_with_token(view, token, 3)
    assert (same, first["id"].tolist()) == (rows, found["id"].head(3).tolist())
    assert rows_with_token(view, 10**6, 5)[1] == 0


def test_a_token_in_no_scored_row_decides_none(partly_scored: Workspace) -> None:
    found, rows = rows_with_token(open_view(partly_scored, "demo", None), 1, 5)
    assert rows == len(found) == 0


def test_a_last_answer_without_tokens_has_a_place_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, 4)
    part = folder / "part-00001.parquet"
    rows = pq.read_table(part).to_pylist()
    for column in ("token_ids", "token_rewards"):
        rows[0][column][-1] = []
    rows[0]["token_logps"][-1] = [-1.0]  # the end token's
    pq.write_table(pa.Table.from_pylist(rows, SCORED), part)
    detail = token_detail(open_view(workspace, "demo"), rows[0]["id"])
    assert len(detail) == len(rows[0]["rewards"]) and detail[-1] == [] and detail[0]


def test_refused_rows_come_in_pages(tmp_path: Path) -> None:
    rows = [{"file": "a.jsonl", "line": n, "reason": ("odd", "even")[n % 2 == 0], "original": {"n": n}} for n in range(10)]
    rows[3]["detail"] = "3 of 10"
    path = tmp_path / "refused.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"half a l', encoding="utf-8")
    assert [row.line for row in refused_page(path, 4, 3)] == [4, 5, 6]
    assert [row.line for row in refused_page(path, 1, 2, "odd")] == [3, 5]
    assert json.loads(refused_page(path, 9, 5)[0].original) == {"n": 9}
    assert [row.detail for row in refused_page(path, 2, 2)] == [None, "3 of 10"]


def test_the_version_changes_with_the_parts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    made = preferences(8)
    ids = write_dataset(workspace, "demo", made)
    before = version(workspace, open_view(workspace, "demo"))
    folder = write_scores(workspace, "demo", made, ids, done=4)
    some = version(workspace, open_view(workspace, "demo"))
    write_json(folder / "status.json", {"done": 5})
    assert version(workspace, open_view(workspace, "demo")) == some  # every second while scoring
    (folder / "part-00001.parquet").unlink()
    assert len({before, some, version(workspace, open_view(workspace, "demo"))}) == 3


def write_what_if(folder: Path, name: str, ids: list[str], rewards: list[float]) -> None:
    (folder / "columns").mkdir(exist_ok=True)
    names = [name, f"{name}_rejected", f"{name}_margin", f"{name}_mean"]
    pq.write_table(pa.table({"id": ids} | dict.fromkeys(names, rewards)), folder / "columns" / f"{name}.parquet")


def test_a_saved_what_if_is_a_column_everywhere(tmp_path: Path) -> None:
    workspace, made = Workspace(tmp_path), preferences(8)
    ids = write_dataset(workspace, "demo", made)
    folder = write_scores(workspace, "demo", made, ids)
    before = version(workspace, open_view(workspace, "demo"))
    write_what_if(folder, "plain", ids[::-1][:7], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5])  # row 0 was not scored then
    view = open_view(workspace, "demo")
    assert version(workspace, view) != before
    assert {column.name: column.kind for column in columns(view)}["plain_margin"] == "number"
    table = light_table(view).set_index("id")
    assert list(table.loc[ids, "plain"][1:]) == [6.5, 5.5, 4.5, 3.5, 2.5, 1.5, 0.5] and np.isnan(table["plain_mean"][ids[0]])
    assert user_sql(view, "SELECT sum(plain_rejected) AS total FROM pairs").to_pylist() == [{"total": 24.5}]
    with pytest.raises(InputError, match=r"plain, plain_rejected, plain_margin, plain_mean, extra_difficulty"):
        user_sql(view, "SELECT plane FROM pairs")


def test_a_damaged_part_is_explained(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, 8)
    (folder / "part-00000.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match=r"readable files of 'demo'.*part-00000") as caught:
        light_table(open_view(workspace, "demo"))
    assert f"Remove the folder {folder} and run `deft score demo`" in caught.value.remedy
    with pytest.raises(InputError) as caught:
        user_sql(open_view(workspace, "demo"), "SELECT reward_chosen FROM pairs")
    assert f"Remove the folder {folder} and run `deft score demo`" in caught.value.remedy and "part-00000" in caught.value.found


def test_damaged_pairs_are_to_be_imported_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_demo(workspace, 8)
    workspace.pairs("demo").write_bytes(b"PAR1 damaged")
    for ask in (light_table, lambda view: user_sql(view, "SELECT id FROM pairs")):
        with pytest.raises(InputError, match=r"pairs\.parquet") as caught:
            ask(open_view(workspace, "demo"))
        assert caught.value.remedy == "Import 'demo' again: `deft import SOURCE --name demo --replace`."


def test_rows_damaged_inside_a_part_are_explained(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, 8)
    part = folder / "part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:4] + bytes(len(whole) // 2 - 4) + whole[len(whole) // 2 :])  # its end, with the description, is whole
    with pytest.raises(InputError) as caught:
        light_table(open_view(workspace, "demo"))
    assert f"emove the folder {folder} and run `deft score demo`" in caught.value.remedy


@pytest.mark.parametrize(("kind", "words"), [("noise", "deft noise demo"), ("what-if", "save that what-if again")])
def test_what_can_be_made_again_is_to_be_removed_alone(tmp_path: Path, kind: str, words: str) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, 8)
    view = open_view(workspace, "demo")
    path = folder / "columns" / "plain.parquet" if kind == "what-if" else tmp_path / "noise.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"damaged")
    damaged = replace(view, **({"what_ifs": (path,)} if kind == "what-if" else {"noise": path}))
    with pytest.raises(InputError) as caught:
        light_table(damaged)
    assert f"Remove {path} and" in caught.value.remedy and words in caught.value.remedy


def test_strange_column_names_stay_columns(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names = ['a "b" / ~1 \'; DROP VIEW pairs; --', "Score", "score"]
    made = [Preference((Message("user", "q"),), (Response("x", 1), Response("y", 2)), extra={name: n for n, name in enumerate(names)})]
    write_dataset(workspace, "odd", made)
    info = workspace.dataset_info("odd") | {"extra_columns": dict.fromkeys(names, "number")}
    (workspace.dataset("odd") / "dataset.json").write_text(json.dumps(info), encoding="utf-8")
    table = light_table(open_view(workspace, "odd"))
    assert table[f"extra_{names[0]}"][0] == 0 and table["extra_Score"][0] == 1 and table["extra_score_2"][0] == 2


def test_long_texts_of_the_source_stay_out_of_memory(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    made = [Preference((Message("user", "q"),), (Response("x", 1), Response("y", 2)), extra={"topic": "z" * 500})]
    write_dataset(workspace, "long", made)
    view = open_view(workspace, "long")
    assert {column.name: column.kind for column in columns(view)}["extra_topic"] == "text"
    assert "extra_topic" not in light_table(view)
    assert user_sql(view, "SELECT length(extra_topic) AS n FROM pairs").to_pylist() == [{"n": 500}]


def test_the_sources_scores_are_columns_where_it_has_some(tmp_path: Path, view: View) -> None:
    assert "score_chosen" not in light_table(view)
    workspace, prompt = Workspace(tmp_path), (Message("user", "q"),)
    made = [
        Preference(prompt, (Response("a", 1, 9.0), Response("b", 2, 6.0), Response("c", 3, 1.0))),
        Preference(prompt, (Response("d", 1, 4.0), Response("e", 1, 4.0), Response("f", 2, 2.5))),  # the first two are tied at the top
        Preference(prompt, (Response("g", 1), Response("h", 2))),
    ]
    write_dataset(workspace, "rated", made)
    table = light_table(open_view(workspace, "rated"))
    columns = table[["score_chosen", "score_rejected", "score_margin"]].to_numpy()
    assert columns[:2].tolist() == [[9.0, 3.5, 5.5], [4.0, 2.5, 1.5]] and np.isnan(columns[2]).all()  # (6 + 1) / 2 = 3.5


# a person's own question


def test_a_query_sees_light_columns_and_texts(view: View) -> None:
    answer = user_sql(view, "SELECT id, prompt, chosen, rejected, extra_difficulty, reward_margin FROM pairs WHERE turns = 2 ORDER BY id")
    row = answer.to_pylist()[0]
    text = texts(view, [row["id"]])
    assert len(answer) == 20
    assert row["prompt"] == "\n\n".join(f"{m['role']}: {m['content']}" for m in text["prompt"][0])
    assert (row["chosen"], row["rejected"]) == (text["responses"][0][0], text["responses"][0][-1])


@pytest.mark.parametrize(
    "sql", ["DROP VIEW pairs", "SELECT 1; SELECT 2", "SET threads = 1", "EXPLAIN SELECT 1", "", "SELEC 1", "ATTACH 'x.db'"]
)
def test_only_one_select_is_run(view: View, sql: str) -> None:
    with pytest.raises(InputError, match=r"one SELECT|a query over"):
        user_sql(view, sql)


def test_no_query_reads_or_writes_a_file(view: View, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    for sql in (f"SELECT * FROM '{secret}'", f"SELECT * FROM read_csv('{secret}')", f"SELECT * FROM read_text('{view.pairs}')"):
        with pytest.raises(InputError, match="a query over"):
            user_sql(view, sql)
    before = view.pairs.read_bytes()
    for target in (view.pairs, tmp_path / "new.csv"):
        with pytest.raises(InputError, match="a query over"):
            user_sql(view, f"WITH a AS (COPY (SELECT 1) TO '{target}') SELECT 1")
    assert view.pairs.read_bytes() == before and not (tmp_path / "new.csv").exists()


def test_a_query_sees_no_variable_of_the_program(view: View) -> None:
    rows = light_table(view)
    assert len(rows)
    with pytest.raises(InputError, match="rows"):
        user_sql(view, "SELECT * FROM rows")


def test_a_query_that_takes_too_long_is_stopped(view: View) -> None:
    with pytest.raises(InputError, match=r"an answer within 0\.2 seconds"):
        user_sql(view, "SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3", seconds=0.2)


def test_a_query_that_needs_too_much_memory_is_stopped(view: View) -> None:
    with pytest.raises(InputError, match="fits into memory"):
        user_sql(view, "SELECT list(a.range) FROM range(100000000) a", memory_mb=50)


def test_a_wrong_column_is_answered_with_the_columns(view: View, partly_scored: Workspace) -> None:
    with pytest.raises(InputError, match=r"rewrd.*Columns: id, split.*extra_topic"):
        user_sql(view, "SELECT rewrd FROM pairs")
    with pytest.raises(InputError, match="deft score demo"):
        user_sql(open_view(partly_scored, "demo", None), "SELECT reward_chosen FROM pairs")


def test_last_turns_of_all_rows_come_by_id(workspace: Workspace) -> None:
    made = preferences(12)
    ids = write_dataset(workspace, "turns", made)
    found = last_turns(open_view(workspace, "turns"), 9).to_pydict()
    assert found["id"] == sorted(ids)
    assert dict(zip(*found.values(), strict=True)) == {row: one.prompt[-1].content[:9] for row, one in zip(ids, made, strict=True)}
