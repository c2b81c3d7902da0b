"""Whatever a file holds: every row is kept or refused, and nothing crashes."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from deft_core.errors import InputError
from deft_core.importing import FORMATS, import_source, preview
from deft_core.workspace import Workspace
from tests.sources import pair, refused, table

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["user", "assistant", "\ud800", "\x00", "9" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text", "score", "response"]) | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
NAMES = """
prompt chosen rejected conversations system instruction input history chosen_messages rejected_messages responses scores ranks
comparisons completions output_1 output_2 label votes response_a response_b winner messages completion source split question preference
"""
columns = st.sampled_from([*NAMES.split(), *(f"prediction {i}" for i in range(1, 5))])
records = st.dictionaries(columns, junk, max_size=8).map(lambda record: json.dumps(record, ensure_ascii=False))
good = st.integers(0, 9).map(lambda number: json.dumps(pair(number)))
malformed = st.sampled_from(
    [
        "{",
        "[1, 2]",
        "null",
        "7",
        '"text"',
        '{"prompt": "a", "prompt": "b"}',
        '{"prompt": NaN}',
        "[" * 3000,
        '{"a":' * 3000,
        '{"n": ' + "9" * 5000 + "}",
        'a,b,"c',
        "\x00",
        ",",
        "]",
    ]
)


@st.composite
def files(draw):
    rows = draw(st.lists(good | records | malformed, max_size=12))
    start, joint, end = draw(
        st.sampled_from([("", "\n", ""), ("[", ",\n", "]"), ("[", ",", ""), ("", "\r\n", "\n"), ("prompt,chosen,rejected\n", "\n", "")])
    )
    text = start + joint.join(rows) + end
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"]))
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace"), draw(
        st.sampled_from([".json", ".csv", ".jsonl"])
    )


@settings(max_examples=150, deadline=None, database=None)
@given(files())
def test_whatever_a_file_holds_every_row_is_kept_or_refused(file):
    content, ending = file
    with TemporaryDirectory() as folder:
        source, workspace = Path(folder) / f"x{ending}", Workspace(Path(folder) / "workspace")
        source.write_bytes(content)
        preview(str(source))
        try:
            report = import_source(workspace, str(source), "x")
        except InputError:
            assert list((workspace.root / "datasets").iterdir()) == []
            return
        assert report.rows_kept == len(table(workspace, "x")) == report.train + report.heldout + report.judge
        assert workspace.dataset_info("x")["reasons"] == Counter(row["reason"] for row in refused(workspace, "x"))
        assert report.rows_refused == len(refused(workspace, "x"))
        assert report.rows_read == report.rows_kept + report.rows_refused
        assert all(json.dumps(json.loads(row["extra"]), ensure_ascii=False).encode() for row in table(workspace, "x"))


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(st.dictionaries(columns, junk, max_size=8), min_size=1, max_size=5), st.data())
def test_no_format_crashes_on_a_row_it_is_forced_to_read(rows, data):
    with TemporaryDirectory() as folder:
        source = Path(folder) / "x.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = preview(str(source), format=data.draw(st.sampled_from(list(FORMATS))), rows=5)
        assert all((row.preference is None) != (row.reason is None) for row in found.rows)
