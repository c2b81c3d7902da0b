"""A selection as a file: what stands in it, that it is read back before it counts, and what is refused."""

import gzip
import json
import shutil
import socket

import pandas as pd
import pyarrow.parquet as pq
import pytest

from deft_core import overrides, queries, selections
from deft_core.demo import import_demo
from deft_core.errors import InputError, NotFoundError
from deft_core.export import LAYOUTS, check, default_ending, export, job
from deft_core.export.columns import Census
from deft_core.export.layouts import flipped
from deft_core.importing import import_source
from deft_core.preferences import Message, Preference, Response
from deft_core.rule import Rule
from tests.score_sets import preferences, write_dataset, write_scores


@pytest.fixture
def without_trl(monkeypatch):
    monkeypatch.setattr(check, "find_spec", lambda _: None)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "we[ir]d'*out"  # `datasets` takes such a path for a pattern
    folder.mkdir()
    return folder


def select(workspace, dataset, flips=(), ids=None, score_id=None):
    """The selection `best` of all rows of a dataset, or of those named."""
    ids = list(ids or queries.light_table(queries.open_view(workspace, dataset, None))["id"])
    rows = pd.DataFrame({"id": ids, "flipped": [row in flips for row in ids], "by": "rule", "value": 0.5})
    return selections.save(workspace, "best", selections.Draft(dataset, score_id, Rule("highest"), rows, 0, {}))


def imported(workspace, tmp_path, rows, name="mine"):
    source = tmp_path / f"{name}.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_source(workspace, str(source), name)
    return list(queries.light_table(queries.open_view(workspace, name, None))["id"])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def stored(workspace, dataset):
    """By id: the rows as the dataset holds them."""
    table = pq.read_table(workspace.pairs(dataset)).to_pylist()
    return {
        row["id"]: Preference(
            tuple(Message(**message) for message in row["prompt"]),
            tuple(Response(*answer) for answer in zip(row["responses"], row["ranks"], row["scores"], strict=True)),
        )
        for row in table
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_says_what_the_demo_says(workspace, folder, layout):
    import_demo(workspace)
    there = stored(workspace, "demo")
    flips = set(list(there)[::5])
    select(workspace, "demo", flips)
    path = folder / f"demo{default_ending(layout)}"
    report = export(workspace, "best@1", path, layout)
    assert (report.path, report.rows, report.layout, report.selection) == (str(path), 296, layout, "best@1")
    assert [reader.split()[0] for reader in report.read_back_by] == (["datasets", "trl"] if layout.startswith("trl") else ["datasets"])
    records = pq.read_table(path).to_pylist() if layout == "parquet" else lines(path)
    name = "id" if layout == "parquet" else "deft_id"
    assert sum(len(row.responses) > 2 for row in there.values()) == 32
    assert sorted(record[name] for record in records) == sorted(there)
    for record in records:
        row = there[record[name]]
        row = flipped(row) if record[name] in flips else row
        assert LAYOUTS[layout].back(record).content_hash() == LAYOUTS[layout].meant(row).content_hash()


def test_parquet_can_be_imported_again_flips_and_rankings_included(workspace, folder):
    import_demo(workspace)
    there = stored(workspace, "demo")
    flips = set(list(there)[::5])
    select(workspace, "demo", flips)
    export(workspace, "best", folder / "demo.parquet", "parquet")
    shutil.copy(folder / "demo.parquet", folder.parent / "again.parquet")
    report = import_source(workspace, str(folder.parent / "again.parquet"), "again")
    assert (report.rows_read, report.rows_kept, report.format) == (296, 296, "ranking")
    meant = [flipped(row) if row_id in flips else row for row_id, row in there.items()]
    assert sorted(row.content_hash() for row in stored(workspace, "again").values()) == sorted(row.content_hash() for row in meant)


def test_what_rides_along(workspace, folder):
    made = preferences(12)
    ids = write_dataset(workspace, "made", made)
    write_scores(workspace, "made", made, ids)
    select(workspace, "made", {ids[1]}, score_id="tiny")
    overrides.append(workspace, "made", "note", [ids[1]], "answers were swapped")
    overrides.append(workspace, "made", "tag", ids[:2], "odd")
    export(workspace, "best", folder / "made.jsonl", "llamafactory")
    by_id = {record["deft_id"]: record for record in lines(folder / "made.jsonl")}
    light = queries.light_table(queries.open_view(workspace, "made")).set_index("id")
    record, row = by_id[ids[1]], light.loc[ids[1]]
    assert [name for name in record if not name.startswith(("deft_", "extra_"))] == ["conversations", "chosen", "rejected"]
    assert [name for name in record if name.startswith("extra_")] == ["extra_difficulty", "extra_topic", "extra_checked"]
    assert (record["extra_topic"], record["extra_checked"]) == (made[1].extra["topic"], True)
    assert (record["deft_flipped"], record["deft_by"], record["deft_value"]) == (True, "rule", 0.5)
    assert (record["deft_note"], record["deft_tags"]) == ("answers were swapped", ["odd"])
    assert (record["deft_source"], record["deft_split"]) == (made[1].source, "train")
    assert record["deft_reward_chosen"] == pytest.approx(row["reward_rejected"])  # a flipped pair: its scores change places too
    assert record["deft_reward_margin"] == pytest.approx(-row["reward_margin"])
    assert record["deft_tokens_chosen"] == row["tokens_rejected"]
    other = by_id[ids[2]]
    assert (other["deft_note"], other["deft_tags"], other["deft_flipped"]) == (None, None, False)
    assert other["deft_reward_chosen"] == pytest.approx(light.loc[ids[2], "reward_chosen"])
    export(workspace, "best", folder / "made.parquet", "parquet")
    whole = pq.read_table(folder / "made.parquet").to_pandas().set_index("id")
    assert whole.loc[ids[1], "reward_chosen"] == pytest.approx(row["reward_rejected"])
    assert (whole.loc[ids[1], "note"], list(whole.loc[ids[1], "tags"])) == ("answers were swapped", ["odd"])
    assert list(whole.columns[:4]) == ["prompt", "responses", "ranks", "response_scores"]


def test_the_sources_scores_are_those_of_the_answers_exported(workspace, folder):
    prompt = (Message("user", "q"),)
    made = [
        Preference(prompt, (Response("a", 1, 9.0), Response("b", 2, 5.0), Response("c", 3, 1.0))),
        Preference(prompt, (Response("d", 1, 9.0), Response("e", 2, 5.0), Response("f", 3, 1.0))),  # to be flipped
        Preference(prompt, (Response("g", 1), Response("h", 2))),  # the source has no scores
    ]
    ids = write_dataset(workspace, "rated", made)
    select(workspace, "rated", {ids[1]})
    export(workspace, "best", folder / "rated.jsonl", "llamafactory")
    records = {record["deft_id"]: record for record in lines(folder / "rated.jsonl")}
    whole = queries.light_table(queries.open_view(workspace, "rated")).set_index("id")
    assert whole.loc[ids[0], "score_rejected"] == 3  # of the table: (5 + 1) / 2, but the answer exported is c alone
    sides = [(*(records[row][side]["value"] for side in ("chosen", "rejected")), *source_scores(records[row])) for row in ids]
    assert sides == [("a", "c", 9, 1, 8), ("f", "d", 1, 9, -8), ("g", "h", None, None, None)]  # 9 - 1, 1 - 9
    select(workspace, "rated", ids=ids[2:])
    export(workspace, "best", folder / "bare.jsonl", "llamafactory")
    assert not [name for name in lines(folder / "bare.jsonl")[0] if "score" in name]


def source_scores(record):
    return [record[f"deft_score_{name}"] for name in ("chosen", "rejected", "margin")]


def test_a_lost_score_set_is_said(workspace, folder):
    made = preferences(8)
    ids = write_dataset(workspace, "made", made)
    scores = write_scores(workspace, "made", made, ids)
    select(workspace, "made", score_id="tiny")
    shutil.rmtree(scores)
    report = export(workspace, "best", folder / "made.jsonl", "llamafactory")
    assert report.notes == ["The score set tiny is no longer there: the file has no scores."]
    assert "deft_reward_chosen" not in lines(folder / "made.jsonl")[0]


def test_questions_alone_stay_as_they_are(workspace, tmp_path, folder, without_trl):
    imported(workspace, tmp_path, [{"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}])
    select(workspace, "mine")
    phases = []
    report = export(workspace, "best", folder / "mine.jsonl", "trl", progress=lambda status: phases.append(status["phase"]))
    (record,) = lines(folder / "mine.jsonl")
    assert [record[side] for side in ("prompt", "chosen", "rejected")] == ["The sky is", " blue.", " green."]
    assert report.notes == [
        "Each prompt is the question as it is: all of them are a single user turn.",
        "TRL is not installed: its formatting was not checked.",
    ]
    assert list(dict.fromkeys(phases)) == ["looking through the rows", "writing", "reading back"]
    assert report.read_back_by == [f"datasets {check.version('datasets')}"]


def test_endings(workspace, tmp_path, folder):
    imported(
        workspace, tmp_path, [{"prompt": "a?", "chosen": "yes\u2028", "rejected": "no"}, {"prompt": "b?", "chosen": "Ja", "rejected": "Nö"}]
    )
    select(workspace, "mine")
    for ending in (".jsonl", ".json", ".jsonl.gz", ".json.gz"):
        export(workspace, "best", folder / f"mine{ending}", "axolotl")
    assert [record["chosen"]["content"] for record in json.loads((folder / "mine.json").read_text(encoding="utf-8"))] == ["yes", "Ja"]
    assert gzip.decompress((folder / "mine.jsonl.gz").read_bytes()) == (folder / "mine.jsonl").read_bytes()
    assert gzip.decompress((folder / "mine.json.gz").read_bytes()) == (folder / "mine.json").read_bytes()


def test_a_long_array_is_refused(workspace, tmp_path, folder, monkeypatch):
    imported(workspace, tmp_path, [{"prompt": "a?", "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    monkeypatch.setattr(job, "ARRAY_BYTES", 100)
    with pytest.raises(InputError, match="Write JSON lines"):
        export(workspace, "best", folder / "mine.json", "axolotl")
    assert list(folder.iterdir()) == []


def test_llamafactory_finds_the_file_by_its_entry(workspace, tmp_path, folder):
    imported(workspace, tmp_path, [{"prompt": "a?", "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    info = folder / "dataset_info.json"
    info.write_text('{"other": {"file_name": "other.json"}}')
    report = export(workspace, "best", folder / "mine.jsonl", "llamafactory")
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    entry = {"file_name": "mine.jsonl", "formatting": "sharegpt", "ranking": True, "columns": columns}
    assert json.loads(info.read_text()) == {"other": {"file_name": "other.json"}, "mine": entry}
    assert report.dataset_info == str(info)
    assert report.snippet == f'stage: dpo\ndataset_dir: "{folder}"\ndataset: mine\n'
    with pytest.raises(InputError, match="no other entry 'other'"):
        export(workspace, "best", folder / "other.jsonl", "llamafactory")
    assert not (folder / "other.jsonl").exists()


# what is refused


def test_rows_that_a_trainer_would_misread_are_named(workspace, tmp_path, folder):
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    rows = [{"prompt": "a?", "chosen": "yes", "rejected": "no"}]
    rows += [{"prompt": turns, "chosen": f"yes {i}", "rejected": "no"} for i in range(5)]
    ids = imported(workspace, tmp_path, rows)
    select(workspace, "mine")
    path = folder / "mine.jsonl"
    path.write_text("as it was")
    with pytest.raises(InputError) as caught:
        export(workspace, "best", path, "llamafactory", replace=True)
    assert caught.value.found == f"row {ids[1]}: turn 2 is 'user' where it skips all but assistant (and 4 more of 6 rows)"
    assert f"`deft decide mine drop --id {ids[1]} --id {ids[2]} --id {ids[3]} …`" in caught.value.remedy
    assert [entry.name for entry in folder.iterdir()] == ["mine.jsonl"]
    assert path.read_text() == "as it was"
    report = export(workspace, "best", path, "llamafactory", replace=True, leave_out=True)
    assert (report.rows, report.left_out, [record["deft_id"] for record in lines(path)]) == (1, ids[1:], ids[:1])
    words = f"Left out, since LLaMA-Factory would misread them: 5, the first {ids[1]}: turn 2 is 'user' where it skips all but assistant."
    assert report.notes == [words]


def test_a_file_without_a_row_is_an_error_though_misread_rows_may_be_left_out(workspace, tmp_path, folder):
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    imported(workspace, tmp_path, [{"prompt": turns, "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    with pytest.raises(InputError, match="turn 2 is 'user'"):
        export(workspace, "best", folder / "mine.jsonl", "llamafactory", leave_out=True)


def test_answers_that_a_reader_takes_for_dates_are_an_error(workspace, tmp_path, folder, without_trl):
    rows = [{"prompt": f"Which day {i}?", "chosen": f"2024-05-0{i}", "rejected": f"2023-05-0{i}"} for i in (1, 2)]
    ids = imported(workspace, tmp_path, rows)
    select(workspace, "mine")
    with pytest.raises(InputError) as caught:
        export(workspace, "best", folder / "mine.jsonl", "trl")
    assert caught.value.expected == f"row 1 ({ids[0]}) as it was meant, when the file is read back for TRL"
    assert list(folder.iterdir()) == []


def test_a_file_with_too_few_rows_is_an_error(workspace, tmp_path, folder, monkeypatch):
    imported(workspace, tmp_path, [{"prompt": f"{i}?", "chosen": "yes", "rejected": "no"} for i in range(3)])
    select(workspace, "mine")
    write = job.write_json_rows

    def short(path, records, ending):
        write(path, [*records][:-1], ending)

    monkeypatch.setattr(job, "write_json_rows", short)
    with pytest.raises(InputError) as caught:
        export(workspace, "best", folder / "mine.jsonl", "axolotl")
    assert (caught.value.expected, caught.value.found) == ("3 rows when the file is read back", "2")
    assert list(folder.iterdir()) == []


def test_a_chat_template_that_refuses_the_roles_is_an_error(workspace, tmp_path, folder):
    from tests.tiny_model import tiny_tokenizer

    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}{{ messages }}"
    tiny_tokenizer(refusing).save_pretrained(tmp_path / "model")
    made = [Preference((Message("system", "s"), Message("user", "q")), (Response("a", 1), Response("b", 2)), source="x")]
    ids = write_dataset(workspace, "made", made)
    scores = write_scores(workspace, "made", made, ids)
    about = json.loads((scores / "score.json").read_text())
    (scores / "score.json").write_text(json.dumps(about | {"model": str(tmp_path / "model")}))
    select(workspace, "made", score_id="tiny")
    with pytest.raises(InputError) as caught:
        export(workspace, "best", folder / "made.jsonl", "trl-chat")
    assert caught.value.expected == f"row 1 ({ids[0]}) as it was meant, after TRL's own formatting"
    assert caught.value.found == "the chat template refuses the conversation: no system role"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "name, layout, words",
    [
        ("mine.txt", "trl", "a file name that ends in .jsonl or .json"),
        (".jsonl", "trl", "a file name that ends in .jsonl or .json"),
        ("mine.jsonl.gz", "llamafactory", "a file name that ends in .jsonl or .json for llamafactory"),
        ("mine.jsonl", "parquet", "a file name that ends in .parquet"),
        ("none/mine.jsonl", "trl", "a file in a folder that is there"),
        ("there.jsonl", "trl", "the name of a new file"),
        ("folder.jsonl", "trl", "the name of a new file"),
        ("mine.jsonl", "csv", "a layout among trl, trl-chat, llamafactory, axolotl, parquet"),
    ],
)
def test_targets_that_are_refused(workspace, folder, name, layout, words):
    (folder / "there.jsonl").write_text("")
    (folder / "folder.jsonl").mkdir()
    with pytest.raises(InputError) as caught:
        export(workspace, "best", folder / name, layout)
    assert caught.value.expected.startswith(words)


def test_a_selection_of_rows_that_are_no_longer_there(workspace, tmp_path, folder):
    imported(workspace, tmp_path, [{"prompt": "a?", "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    source = tmp_path / "other.jsonl"
    source.write_text('{"prompt": "b?", "chosen": "yes", "rejected": "no"}\n')
    import_source(workspace, str(source), "mine", replace=True)
    with pytest.raises(NotFoundError, match="the dataset was imported again"):
        export(workspace, "best", folder / "mine.jsonl")
    with pytest.raises(NotFoundError, match="no 'worst'"):
        export(workspace, "worst", folder / "mine.jsonl")


# types of columns


def test_rows_that_show_a_type_come_first(workspace, tmp_path, folder):
    """Of 12 MB, the last row alone has a value of `late`, and the one before it a day that is no date."""
    rows = [
        {"prompt": f"{i}?", "chosen": "word " * 8000 + str(i), "rejected": "no", "late": None, "day": f"2024-05-{i % 28 + 1:02}"}
        for i in range(300)
    ]
    rows[298]["day"] = "some day"
    rows[299]["late"] = "at last"
    ids = imported(workspace, tmp_path, rows)
    select(workspace, "mine")
    report = export(workspace, "best", folder / "mine.jsonl", "llamafactory")
    assert report.rows == 300
    assert [record["deft_id"] for record in lines(folder / "mine.jsonl")] == [ids[298], ids[299], *ids[:298]]


def test_kinds_of_columns():
    census = Census()
    for row in (
        {"n": 1, "f": 1, "mixed": 1, "none": None, "tags": [], "inf": float("inf"), "flag": True, "huge": 2**70},
        {"n": 2, "f": 1.5, "mixed": "one", "none": None, "tags": ["a"], "inf": 0.5, "flag": False, "huge": 1},
    ):
        census.add(row)
    kinds = {"n": "integer", "f": "number", "mixed": "json", "flag": "boolean", "huge": "json", "tags": "texts", "inf": "number"}
    assert census.columns() == kinds
    assert census.leading() == {1}


def test_nothing_goes_over_the_network(workspace, tmp_path, folder, monkeypatch, without_trl):
    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    imported(workspace, tmp_path, [{"prompt": "a?", "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    assert export(workspace, "best", folder / "mine.jsonl.gz", "trl").rows == 1


def test_progress_has_its_phases(workspace, tmp_path, folder):
    imported(workspace, tmp_path, [{"prompt": "a?", "chosen": "yes", "rejected": "no"}])
    select(workspace, "mine")
    heard = []
    export(workspace, "best", folder / "mine.parquet", "parquet", progress=heard.append)
    assert [status["phase"] for status in heard] == ["looking through the rows", "writing", "reading back"]
    assert all(status["total"] == 1 for status in heard)
