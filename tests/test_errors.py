"""What is taken from the errors of other libraries."""

import pyarrow as pa
import pytest

from deft_core.discrepancy import read_table
from deft_core.errors import InputError, first_line


def test_the_first_line_of_an_error_or_its_kind():
    assert first_line(ValueError("  what happened\n\nLINE 1: where")) == "what happened"
    for empty in (OSError(), pa.ArrowInvalid("\n ")):
        assert first_line(empty) == type(empty).__name__


def test_an_error_without_a_word_is_still_one_in_three_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("deft_core.discrepancy.pd.read_parquet", lambda path: (_ for _ in ()).throw(OSError))
    with pytest.raises(InputError, match="found OSError"):
        read_table(tmp_path)
