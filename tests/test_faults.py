"""docs/faults.md names tests that are there, and leaves no fault out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line[:2] == "| "
]
NAMED = sorted({name.strip() for row in ROWS[1:] for name in row[-1].split(",")})
FAULTS = ("browser is closed", "server is killed", "process is killed", "suspended", "disk is full", "folder is deleted", "clock is moved")
FAULTS += ("two servers", "two people press Start", "metrics.jsonl", "300 finished runs")


@pytest.mark.parametrize("name", NAMED)
def test_the_table_names_tests_that_are_there(name):
    file, _, test = name.partition("::")
    assert re.search(rf"^def {re.escape(test)}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_line_with_an_outcome_and_a_test(fault):
    rows = [row for row in ROWS if fault in row[0]]
    assert rows
    assert all(len(row) == 5 and all(row) for row in rows)
