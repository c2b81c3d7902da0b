"""A preview: the first rows as an import would read them, without reading more."""

import gzip
import json
import os

import pytest

from deft_core.errors import InputError
from deft_core.importing import import_source, preview
from tests.sources import pair, refused, written


def test_a_preview_shows_kept_and_refused_rows_as_they_would_be_read(tmp_path):
    source = written(tmp_path / "x.jsonl", [pair(0), pair(1, chosen="no"), pair(2), pair(3, note=1)])
    found = preview(source)
    assert (found.columns, found.format, found.problem) == (["prompt", "chosen", "rejected", "note"], "trl", None)
    assert [(row.line, row.original, row.reason) for row in found.rows] == [
        (1, json.dumps(pair(0)), None),
        (2, json.dumps(pair(1, chosen="no")), "chosen and rejected are identical"),
        (3, json.dumps(pair(2)), None),
    ]
    assert found.rows[0].preference.responses[0].text == "yes 0" and found.rows[1].preference is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "The source holds no rows."),
        ("{", "None of the first rows is an object with columns."),
        ('{"a": 1}', "No known format has these columns: a."),
    ],
)
def test_a_preview_says_what_is_wrong_with_the_whole(tmp_path, content, problem):
    (tmp_path / "x.jsonl").write_text(content)
    assert preview(str(tmp_path / "x.jsonl")).problem == problem


def test_a_preview_of_nothing_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        preview(str(tmp_path / "nothing.jsonl"))


def test_a_preview_reads_only_the_first_rows(workspace, tmp_path):
    rows = "".join(json.dumps(pair(i, note=os.urandom(400).hex())) + "\n" for i in range(5_000))
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-1000])
    found = preview(str(tmp_path / "x.jsonl.gz"), rows=100)
    assert [row.reason for row in found.rows] == [None] * 100
    import_source(workspace, str(tmp_path / "x.jsonl.gz"), "x")
    last = refused(workspace, "x")[-1]
    assert (last["reason"], last["detail"]) == ("the file cannot be read on", "Truncated compressed stream")
