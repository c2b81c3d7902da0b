"""`deft noise`."""

from deft_core.noise import stored
from tests.test_cli import deft


def test_noise_counts_and_computes_once(small):
    found = deft(small, "noise", "small")
    assert list(found) == ["counts", "dataset", "rows", "path", "seconds", "notes", "limits"]
    assert found["counts"]["exact_duplicate"] == 0 and found["counts"]["swapped"] is None
    assert (found["rows"], found["path"]) == (60, str(small.noise("small")))
    written = small.noise("small").stat().st_mtime_ns
    assert deft(small, "noise", "small") == found
    assert small.noise("small").stat().st_mtime_ns == written
    assert stored.found(small, "small").seconds == found["seconds"]
