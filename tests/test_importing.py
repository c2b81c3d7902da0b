"""The import: every row kept or refused, exact counts, fair splits, nothing left behind when nothing is usable."""

import json
import os
from collections import Counter

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core.errors import InputError
from deft_core.importing import ImportReport, import_source
from deft_core.pair_writer import split_of
from deft_core.preferences import SCHEMA
from deft_core.workspace import append_line
from tests.sources import pair, real, refused, table, written


@pytest.mark.parametrize(
    ("path", "formats", "read", "reasons"),
    [
        ("hh_rlhf_harmless_test/test.jsonl.gz", "hh", 2312, {"the two prompts differ": 5, "an answer is empty": 4}),
        (
            "finegrained_rlhf_qa_dev/dev_feedback.json",
            "qa-feedback",
            500,
            {"the comparisons are no weak order": 22, "all answers are tied: nothing is preferred": 12},
        ),
        ("raschka_dpo/instruction-data-with-preference.json", "alpaca", 1100, {"chosen and rejected are identical": 6}),
        ("llamafactory_demos/dpo_en_demo.json", "sharegpt", 300, {}),
        ("llamafactory_demos/dpo_zh_demo.json", "sharegpt", 300, {}),
        ("llamafactory_demos/v1_dpo_demo.jsonl", "typed-messages", 10, {}),
        ("llamafactory_demos/v1_dpo_demo.100rows.jsonl", "typed-messages", 100, {}),
        ("llamafactory_demos", "sharegpt, kto, typed-messages", 1010, {"single-label rows (KTO) are no pairs": 300}),
    ],
)
def test_real_data_is_read_to_the_row(workspace, path, formats, read, reasons):
    report = import_source(workspace, str(real(path)), "real")
    assert (report.format, report.rows_read, report.rows_refused) == (formats, read, sum(reasons.values()))
    assert workspace.dataset_info("real")["reasons"] == reasons
    assert report.train + report.heldout + report.judge == report.rows_kept == read - report.rows_refused == len(table(workspace, "real"))


def test_real_single_label_rows_are_refused_as_a_whole(workspace):
    path = real("llamafactory_demos/kto_en_demo.json")
    with pytest.raises(InputError, match=r"columns seen: messages, label; formats tried: kto; .*no pairs \(300 rows\)"):
        import_source(workspace, str(path), "kto")


def test_a_dataset_holds_what_was_read(workspace, tmp_path):
    source = written(
        tmp_path / "web.jsonl", [pair(0, score=1.5, topic="x", tags=[1], ok=True), pair(1, score=None, ok=False), pair(0, chosen="no")]
    )
    report = import_source(workspace, source, "web", heldout=0, judge=0)
    assert report == ImportReport("web", "trl", 3, 2, 1, 2, 0, 0)
    info = workspace.dataset_info("web")
    assert info.pop("created").endswith("+00:00")
    assert len(info.pop("fingerprint")) == 32
    assert info == {
        "name": "web",
        "format": "trl",
        "rows_read": 3,
        "rows_kept": 2,
        "rows_refused": 1,
        "train": 2,
        "heldout": 0,
        "judge": 0,
        "source": source,
        "files": ["web.jsonl"],
        "split": None,
        "heldout_fraction": 0,
        "judge_fraction": 0,
        "extra_columns": {"ok": "boolean", "score": "number", "tags": "other", "topic": "text"},
        "reasons": {"chosen and rejected are identical": 1},
    }
    assert refused(workspace, "web") == [
        {"file": "web.jsonl", "line": 3, "reason": "chosen and rejected are identical", "original": json.dumps(pair(0, chosen="no"))}
    ]


def test_rows_are_stored_in_the_schema(workspace, tmp_path):
    source = written(tmp_path / "web.jsonl", [pair(0, score_chosen=2, score_rejected=1, note="ü")])
    import_source(workspace, source, "web", heldout=0, judge=0)
    assert pq.read_schema(workspace.pairs("web")).equals(SCHEMA)
    [row] = table(workspace, "web")
    assert len(row.pop("id")) == 18 and len(row.pop("conversation")) == 16
    assert json.loads(row.pop("extra")) == {"score_chosen": 2, "score_rejected": 1, "note": "ü"}
    assert row == {
        "split": "train",
        "source": "web",
        "prompt": [{"role": "user", "content": "question 0"}],
        "responses": ["yes 0", "no"],
        "ranks": [1, 2],
        "scores": [2.0, 1.0],
        "n_responses": 2,
        "turns": 1,
        "characters_prompt": 10,
        "characters_chosen": 5,
        "characters_rejected": 2,
    }


def test_duplicates_stay_apart_by_occurrence_across_row_groups(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("deft_core.pair_writer.GROUP_ROWS", 3)
    source = written(tmp_path / "twice.jsonl", [pair(i) for i in (0, 0, 1, 2, 0, 3, 1, 4, 1, 0)])
    import_source(workspace, source, "twice")
    assert pq.ParquetFile(workspace.pairs("twice")).num_row_groups == 4
    ids = [row["id"].split("-") for row in table(workspace, "twice")]
    assert [occurrence for _, occurrence in ids] == ["0", "1", "0", "0", "2", "0", "1", "0", "2", "3"]
    assert len({content for content, _ in ids}) == 5


def test_splits_follow_the_first_user_turn_in_exact_fractions_of_the_hash_space():
    places = {
        "0" * 16: "heldout",
        "1999999999998000": "heldout",
        "199999999999a000": "judge",
        "4cccccccccccc800": "judge",
        "4ccccccccccce000": "train",
    }
    assert {place: split_of(place, 0.1, 0.2) for place in places} == places
    assert split_of("f" * 16, 0.1, 0.2) == "train"


def test_all_rows_of_a_conversation_are_on_one_side(workspace, tmp_path):
    rows = [pair(i, chosen=f"yes {k}") for i in range(300) for k in range(3)]
    report = import_source(workspace, written(tmp_path / "x.jsonl", rows), "x", heldout=0.3, judge=0.2)
    sides = {}
    for row in table(workspace, "x"):
        sides.setdefault(row["conversation"], set()).add(row["split"])
    assert len(sides) == 300 and all(len(side) == 1 for side in sides.values())
    assert (report.train, report.heldout, report.judge) == (480, 246, 174)


def test_a_row_that_names_its_split_keeps_it(workspace, tmp_path):
    rows = [pair(i, split=("train", "test", "judge", "spring")[i % 4]) for i in range(40)]
    report = import_source(workspace, written(tmp_path / "x.jsonl", rows), "x", heldout=0, judge=0)
    assert (report.train, report.heldout, report.judge) == (20, 10, 10)


def test_a_split_is_chosen_by_its_column_and_divided_by_our_rule(workspace, tmp_path):
    source = written(tmp_path / "x.jsonl", [pair(i, split=("test", "train")[i % 2]) for i in range(40)])
    report = import_source(workspace, source, "x", split="test", heldout=0.5)
    assert report.rows_read == 20 and report.heldout not in (0, 20)
    with pytest.raises(InputError, match=r"'spring' in .*found test, train"):
        import_source(workspace, source, "y", split="spring")
    with pytest.raises(InputError, match=r"found no column 'split' that names the splits of its rows\. Leave --split out"):
        import_source(workspace, written(tmp_path / "y.jsonl", [pair(0)]), "y", split="spring")


def test_the_splits_of_a_saved_dataset_are_those_of_its_rows(workspace, tmp_path):
    splits = {"train": [pair(0), pair(1)], "test": [pair(2)]}
    datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in splits.items()}).save_to_disk(tmp_path / "saved")
    report = import_source(workspace, str(tmp_path / "saved"), "saved")
    assert (report.train, report.heldout, report.judge) == (2, 1, 0)
    assert {row["source"] for row in table(workspace, "saved")} == {"saved"}


@pytest.mark.parametrize(("heldout", "judge"), [(-0.1, 0), (0, -0.1), (0.5, 0.5), (float("nan"), 0)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(workspace, heldout, judge):
    with pytest.raises(InputError, match="leave rows for training"):
        import_source(workspace, "never read", "x", heldout=heldout, judge=judge)


def test_files_of_a_folder_are_sources_and_may_differ_in_format(workspace, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    written(folder / "plain.jsonl", [pair(0), pair(1, source="own")])
    written(folder / "ranked.jsonl", [{"prompt": "q", "responses": ["a", "b"], "ranks": [2, 1]}])
    (folder / "empty.jsonl").touch()
    report = import_source(workspace, str(folder), "mixed")
    assert (report.format, report.rows_kept) == ("trl, ranking", 3)
    assert [row["source"] for row in table(workspace, "mixed")] == ["plain", "own", "ranked"]


def test_a_taken_name_is_refused_before_anything_is_read(workspace, tmp_path):
    import_source(workspace, written(tmp_path / "x.jsonl", [pair(0)]), "x")
    with pytest.raises(InputError, match=r"'x' is taken.*--replace"):
        import_source(workspace, "never read", "x")


def test_replacing_keeps_the_decisions_also_one_being_written_meanwhile(workspace, tmp_path):
    source = written(tmp_path / "x.jsonl", [pair(0)])
    import_source(workspace, source, "x")
    log = workspace.dataset("x") / "overrides.jsonl"
    append_line(log, 1)
    with log.open("a") as handle:
        import_source(workspace, written(tmp_path / "x.jsonl", [pair(0), pair(1)]), "x", replace=True)
        handle.write("2\n")
    append_line(log, 3)
    assert log.read_text() == "1\n2\n3\n"
    assert len(table(workspace, "x")) == 2


def test_replacing_keeps_the_decisions_where_files_cannot_be_linked(workspace, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError("links")

    source = written(tmp_path / "x.jsonl", [pair(0)])
    import_source(workspace, source, "x")
    log = workspace.dataset("x") / "overrides.jsonl"
    append_line(log, 1)
    monkeypatch.setattr(os, "link", no_links)
    import_source(workspace, source, "x", replace=True)
    assert log.read_text() == "1\n"


def test_the_fingerprint_follows_content_and_splits(workspace, tmp_path):
    source = written(tmp_path / "x.jsonl", [pair(i) for i in range(50)])
    prints = []
    for name, options in {"a": {}, "b": {}, "c": {"heldout": 0.5}}.items():
        import_source(workspace, source, name, **options)
        prints.append(workspace.dataset_info(name)["fingerprint"])
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found none"),
        (b"\n \n", "found none"),
        (b"[]", "found none"),
        (b'{"a": 1}\n{"b": 2}\n', r"columns seen: a, b; formats tried: hh, trl,.*no known format has these columns \(2 rows\)"),
        (b"garbage\n", r"columns seen: none; .*the row is not valid JSON \(1 rows\)"),
        (json.dumps(pair(0, chosen="no")).encode(), r"formats tried: trl; reasons: chosen and rejected are identical \(1 rows\)"),
    ],
)
def test_a_source_without_a_usable_row_is_an_error_that_leaves_nothing_behind(workspace, tmp_path, content, found):
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=found):
        import_source(workspace, str(tmp_path / "x.jsonl"), "x")
    assert list((workspace.root / "datasets").iterdir()) == []


def test_bytes_that_are_not_utf8_refuse_a_row_by_its_texts_and_are_replaced_in_its_other_columns(workspace, tmp_path):
    rows = [json.dumps(pair(i, note="café" if i == 1 else "", source="é" if i == 1 else "s"), ensure_ascii=False) for i in range(3)]
    rows[2] = rows[2].replace("yes", "naïve")
    (tmp_path / "x.jsonl").write_bytes("\n".join(rows).encode("latin-1"))
    report = import_source(workspace, str(tmp_path / "x.jsonl"), "x")
    assert (report.rows_kept, report.rows_refused) == (2, 1)
    assert json.loads(table(workspace, "x")[1]["extra"]) == {"note": "caf\ufffd"}
    [bad] = refused(workspace, "x")
    assert bad["reason"].startswith("the text holds bytes that are not UTF-8") and "na\\udcefve" in bad["original"]


def test_utf16_that_is_damaged_refuses_a_row_as_utf8_does(workspace, tmp_path):
    rows = [json.dumps(pair(0)), json.dumps(pair(1)).replace("yes", "y#s"), json.dumps(pair(2, note="#"))]
    text = "\n".join(rows).encode("utf-16").replace("#".encode("utf-16-le"), b"\x3d\xd8")
    (tmp_path / "x.jsonl").write_bytes(text)
    report = import_source(workspace, str(tmp_path / "x.jsonl"), "x")
    assert (report.rows_kept, report.rows_refused) == (2, 1)
    assert json.loads(table(workspace, "x")[1]["extra"])["note"] == "\ufffd\ufffd"
    [bad] = refused(workspace, "x")
    assert (bad["line"], bad["reason"].split(",")[0]) == (2, "the text holds bytes that are not UTF-8")


def test_refused_rows_carry_the_reason_they_are_counted_by_and_their_own_detail_beside_it(workspace, tmp_path):
    source = written(tmp_path / "x.jsonl", [pair(0), pair(1, chosen=1), pair(2, chosen=[]), pair(3, chosen="no"), pair(4, chosen=2)])
    import_source(workspace, source, "x")
    found = refused(workspace, "x")
    assert workspace.dataset_info("x")["reasons"] == Counter(row["reason"] for row in found)
    assert [list(row) for row in found[:1]] == [["file", "line", "reason", "detail", "original"]]
    assert [(row["reason"], row.get("detail")) for row in found] == [
        ("a conversation is neither text nor a list of messages", "a number"),
        ("the conversation does not end with an assistant turn", None),
        ("chosen and rejected are identical", None),
        ("a conversation is neither text nor a list of messages", "a number"),
    ]


def test_a_very_long_row_that_is_refused_is_cut_and_says_so(workspace, tmp_path):
    source = written(
        tmp_path / "x.jsonl", [pair(0), pair(1, chosen="x" * 5_000_000, rejected="x" * 5_000_000), pair(2, note="x" * 5_000_000)]
    )
    report = import_source(workspace, source, "x")
    assert (report.rows_kept, report.rows_refused) == (2, 1)
    [bad] = refused(workspace, "x")
    assert bad["original"].endswith("xxx [cut here: the first 100,000 characters of the row]") and len(bad["original"]) == 100_052


def test_values_json_cannot_hold_are_kept_as_what_is_nearest(workspace, tmp_path):
    from datetime import date

    rows = [pair(0, score=float("nan"), day=date(2026, 1, 2), raw=b"\x00\xff", parts=[{"x": float("inf")}])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    import_source(workspace, str(tmp_path / "x.parquet"), "x")
    [row] = table(workspace, "x")
    assert json.loads(row["extra"]) == {"score": None, "day": "2026-01-02", "raw": "AP8=", "parts": [{"x": None}]}
    assert workspace.dataset_info("x")["extra_columns"] == {"day": "text", "parts": "other", "raw": "text", "score": "number"}


def test_progress_counts_the_rows_read(workspace, tmp_path):
    seen = []
    import_source(workspace, written(tmp_path / "x.jsonl", [pair(i) for i in range(2500)]), "x", progress=seen.append)
    assert seen == [1000, 2000, 2500]
