"""Containers: what is a row, on which line, and what a broken one costs."""

import gzip
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deft_core.errors import InputError
from deft_core.readers.containers import hub_parts, parts
from deft_core.readers.json_rows import json_rows

ROWS = [{"prompt": f"question {i}", "chosen": f"yes\n{i}", "rejected": "no — ünd"} for i in range(3)]


def zstd(content):
    return pa.compress(content, codec="zstd", asbytes=True)


def lines(rows=ROWS):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(path):
    """(line, record or reason) of every row of a file."""
    [part] = parts(str(path))
    return [(row.line, row.record if row.problem is None else str(row.problem)) for row in part.rows()]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (lines(), [1, 2, 3]),
        ("\n" + lines().replace("\n", "\r\n\n"), [2, 4, 6]),
        (json.dumps(ROWS), [1, 1, 1]),
        (json.dumps(ROWS, indent=1), [2, 7, 12]),
        ("\ufeff" + json.dumps(ROWS, indent=1), [2, 7, 12]),
        ("".join(json.dumps(row, indent=2) + "\n" for row in ROWS), [1, 6, 11]),
        ("".join(json.dumps(row) for row in ROWS), [1, 1, 1]),
    ],
    ids=["lines", "lines-crlf", "array", "array-indented", "array-bom", "objects-indented", "objects-on-one-line"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_json_of_every_layout_and_packing_gives_the_same_rows(tmp_path, text, at, pack):
    assert read(written(tmp_path / "data.json", pack(text.encode()))) == list(zip(at, ROWS, strict=True))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_understood(tmp_path, encoding):
    assert [row for _, row in read(written(tmp_path / "data.jsonl", lines().encode(encoding)))] == ROWS


def test_utf16_that_is_damaged_costs_the_rows_it_is_in(tmp_path):
    high, low = b"\x3d\xd8", b"\x4a\xde"
    rows = [b.encode("utf-16-le") for b in ('{"a": "', '"}\n')]
    text = b"".join(rows[0] + middle + rows[1] for middle in (high + low, high, low))
    found = read(written(tmp_path / "data.jsonl", b"\xff\xfe" + text + b"\x0a"))
    assert [(line, record["a"]) for line, record in found[:3]] == [(1, "\U0001f64a"), (2, "\udc3d\udcd8"), (3, "\udc4a\udcde")]
    assert found[3:] == [(4, "the row is not valid JSON: Expecting value at column 1")]  # half a character at the end


def test_several_gzip_members_are_one_file(tmp_path):
    assert len(read(written(tmp_path / "data.jsonl.gz", gzip.compress(lines().encode()) * 2))) == 6


def test_a_broken_line_costs_itself(tmp_path):
    text = lines() + '{"prompt": "cut\n[1, 2]\n7\n\n' + lines()
    found = read(written(tmp_path / "data.jsonl", text))
    assert [line for line, _ in found] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert [row for line, row in found if 3 < line < 8] == [
        "the row is not valid JSON: Invalid control character at at column 16",
        "the row is not an object: a list",
        "the row is not an object: a number",
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_broken_element_of_an_array_costs_itself(tmp_path, indent):
    good = [json.dumps(row, indent=indent) for row in ROWS]
    broken = good[1].replace('"yes', '"y"es')
    text = "[" + ",\n".join([good[0], broken, "null", good[2]]) + "]"
    found = [row for _, row in read(written(tmp_path / "data.json", text))]
    assert (found[0], found[-1]) == (ROWS[0], ROWS[2])
    assert found[1].startswith("the row is not valid JSON: Expecting ',' delimiter")
    assert len(found) == 3  # the null stands between the broken row and the next one that begins alike


def test_an_array_that_breaks_off_says_so(tmp_path):
    text = json.dumps(ROWS)
    assert len(read(written(tmp_path / "cut.json", text[:-1]))) == 4
    assert read(tmp_path / "cut.json")[-1] == (1, "the file ends before its array is closed")
    found = read(written(tmp_path / "cut.json", text[:-10]))
    assert [row for _, row in found[:2]] == ROWS[:2]
    assert found[2][1].startswith("the row is not valid JSON: Unterminated string") and len(found) == 3


def test_rows_longer_than_the_window_are_read_whole(tmp_path):
    rows = [{"prompt": "x" * 3_000_000, "chosen": "a", "rejected": "b"}, ROWS[0]]
    for text in (json.dumps(rows), lines(rows), json.dumps(rows, indent=1)):
        assert [row for _, row in read(written(tmp_path / "data.json", text))] == rows


def test_numbers_and_words_cut_by_the_window_stay_whole(tmp_path):
    row = json.dumps({"prompt": "x" * (1 << 20), "number": 1})
    for start in range((1 << 20) - 12, (1 << 20) + 3):
        text = "[" + " " * (start - len("[")) + "1234567, true, " + row + "]"
        assert [row for _, row in read(written(tmp_path / "data.json", text))][:2] == [
            "the row is not an object: a number",
            "the row is not an object: a boolean",
        ]


def test_memory_for_an_array_does_not_grow_with_it():
    class Endless:
        """The text of an array of 300 million characters, made as it is read."""

        def __init__(self):
            self.left, self.most = 300, 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, size):
            self.most = max(self.most, size)
            self.left -= 1
            return "[" * (self.left == 299) + '{"a": "' + "x" * 999_000 + '"},' if self.left > 0 else ""

    stream = Endless()
    assert sum(1 for _ in json_rows(lambda: stream)) > 290
    assert stream.most <= 4 << 20


def test_csv_cells_are_text_and_lines_are_those_of_the_file(tmp_path):
    text = 'prompt,chosen,rejected,score\r\nq1,"two\nlines, and ""quotes""",no,1\r\n\r\nq2,a,b,2\r\n'
    assert read(written(tmp_path / "data.csv", text)) == [
        (2, {"prompt": "q1", "chosen": 'two\nlines, and "quotes"', "rejected": "no", "score": "1"}),
        (5, {"prompt": "q2", "chosen": "a", "rejected": "b", "score": "2"}),
    ]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_csv_marks(tmp_path, ending, mark):
    path = written(tmp_path / f"data.{ending}.gz", gzip.compress(f"a{mark}b{mark}a{mark}\n1{mark}2{mark}3{mark}4\n".encode()))
    assert read(path) == [(2, {"a": "1", "b": "2", "a 3": "3", "column 4": "4"})]


def test_ragged_rows_and_an_unclosed_quote_cost_themselves(tmp_path):
    text = 'a,b\n1\n1,2\n1,2,3\n"open,2\n5,6\n"x"y,1\n7,8\n'
    assert read(written(tmp_path / "data.csv", text)) == [
        (2, "the row does not fit the header: 1 cells for 2 columns"),
        (3, {"a": "1", "b": "2"}),
        (4, "the row does not fit the header: 3 cells for 2 columns"),
        (5, "the row is not valid CSV: ',' expected after '\"'"),
        (6, {"a": "5", "b": "6"}),
        (7, "the row is not valid CSV: ',' expected after '\"'"),
        (8, {"a": "7", "b": "8"}),
    ]


def test_a_csv_cell_may_be_longer_than_the_csv_module_likes(tmp_path):
    assert read(written(tmp_path / "data.csv", "a\n" + "x" * 300_000)) == [(2, {"a": "x" * 300_000})]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_parquet_rows_are_numbered(tmp_path, pack):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "plain")
    path = written(tmp_path / "data.parquet", pack((tmp_path / "plain").read_bytes()))
    assert read(path) == list(enumerate(ROWS, start=1))


def test_parquet_text_that_is_no_text_costs_its_row(tmp_path):
    column = pa.array([b"good", b"bad \xff", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": column}), tmp_path / "data.parquet")
    assert read(tmp_path / "data.parquet") == [(1, {"prompt": "good"}), (2, "a cell cannot be read: not UTF-8"), (3, {"prompt": "fine"})]


@pytest.mark.parametrize("name", ["data.jsonl.gz", "data.parquet"])
def test_a_file_that_breaks_off_is_one_refused_row(tmp_path, name):
    if name.endswith("gz"):
        content = gzip.compress(lines().encode())
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name)
        content = (tmp_path / name).read_bytes()
    [(line, reason)] = read(written(tmp_path / name, content[:-9]))
    assert line == 1 and "cannot be read on" in reason


def test_a_folder_is_its_data_files_sorted_and_hidden_ones_are_left_out(tmp_path):
    for name in ("b/two.jsonl", "a.csv", ".hidden.jsonl", ".git/x.json", "README.md", "c.jsonl.zst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / name, zstd(lines().encode()) if name.endswith("zst") else lines())
    assert [(part.name, part.source) for part in parts(str(tmp_path))] == [("a.csv", "a"), ("b/two.jsonl", "two"), ("c.jsonl.zst", "c")]
    assert [part.name for part in parts(f"{tmp_path}/**/*.jsonl*")] == ["b/two.jsonl", "c.jsonl.zst"]
    [alone] = parts(f"{tmp_path}/*.zst")
    assert (alone.name, alone.source) == ("c.jsonl.zst", None)


@pytest.mark.parametrize("source", ["nothing.jsonl", "/nowhere/x", "*.parquet", "~/no-such-folder-here", "~no-such-user/x.jsonl", "a b"])
def test_a_source_that_is_not_there_is_an_input_error(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="a Hub id"):
        parts(source)


@pytest.mark.parametrize("source", ["data/**.jsonl", "/data/x**/", "**a"])
def test_a_glob_that_pathlib_cannot_read_is_an_input_error(source):
    with pytest.raises(InputError, match=r"stands alone between slashes; found '?.*\*\*.*Write for example data/\*\*/\*\.jsonl"):
        parts(source)


def test_a_folder_without_data_says_what_it_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"\.jsonl.*found none"):
        parts(str(tmp_path))


def saved_dict(folder):
    splits = {name: datasets.Dataset.from_list(ROWS) for name in ("train", "test", "spring")}
    datasets.DatasetDict(splits).save_to_disk(folder)
    return str(folder)


def test_a_saved_dataset_is_read_split_by_split(tmp_path):
    found = parts(saved_dict(tmp_path / "saved"))
    assert [(part.name, part.split, part.source) for part in found] == [
        ("train", "train", None),
        ("test", "heldout", None),
        ("spring", None, "spring"),
    ]
    assert [row.record for row in found[2].rows()] == ROWS
    assert [row.line for row in found[2].rows()] == [1, 2, 3]


def test_a_saved_dataset_whose_notes_are_broken_is_an_input_error(tmp_path):
    folder = saved_dict(tmp_path / "saved")
    (tmp_path / "saved" / "test" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=r"'_data_files' in .*state\.json; found KeyError"):
        parts(folder)


def test_a_saved_dataset_that_breaks_off_is_one_refused_row(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    [file] = (tmp_path / "saved").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:300])
    [(line, reason)] = read(tmp_path / "saved")
    assert line == 1 and reason.startswith("the file cannot be read on: ")


def test_one_chosen_split_divides_nothing(tmp_path):
    [part] = parts(saved_dict(tmp_path / "saved"), "train")
    assert (part.name, part.split, part.is_split) == ("train", None, True)
    with pytest.raises(InputError, match="the splits train, test, spring"):
        parts(str(tmp_path / "saved"), "autumn")


def test_a_single_saved_dataset_is_one_part(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    [part] = parts(str(tmp_path / "saved"))
    assert (part.name, part.is_split, [row.record for row in part.rows()]) == ("saved", False, ROWS)


def test_a_hub_dataset_is_streamed_split_by_split(tmp_path):
    for name in ("train", "test"):
        written(tmp_path / f"{name}.jsonl", lines())
    found = hub_parts(str(tmp_path), None)
    assert {part.name: part.split for part in found} == {"train": "train", "test": "heldout"}
    assert [row.record for row in found[0].rows()] == ROWS
    assert [row.record for row in found[1].rows()] == ROWS


def test_a_hub_dataset_may_be_packed_with_zstd(tmp_path):
    written(tmp_path / "train.jsonl.zst", zstd(lines().encode()))
    [part] = hub_parts(str(tmp_path), None)
    assert [row.record for row in part.rows()] == ROWS


def test_a_hub_dataset_that_fails_says_what_was_tried(tmp_path):
    with pytest.raises(InputError, match=r"datasets\.load_dataset said EmptyDatasetError"):
        hub_parts(str(tmp_path), None)


def test_no_source_is_no_folder():
    with pytest.raises(InputError, match="found nothing"):
        parts(" ")
