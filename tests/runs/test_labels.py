"""Names, tags and notes that people give to runs."""

import pytest

from deft_core.errors import InputError
from deft_core.runs import labels
from deft_core.runs.labels import Labels
from deft_core.runs.spec import read_run
from tests.test_comparing import a_run


def test_what_is_given_is_set_and_the_rest_stays(tmp_path):
    folder = a_run(tmp_path, "one")
    assert labels.read(folder) == Labels()
    labels.change(folder, name=" my run ", tags=["a", "b"])
    labels.change(folder, note="why")
    assert labels.read(folder) == Labels("my run", ("a", "b"), "why")
    assert labels.change(folder, tags=[]) == Labels("my run", (), "why")


def test_without_a_name_the_runs_own_counts(tmp_path):
    run = read_run(a_run(tmp_path, "one"))
    assert (Labels().name_of(run), Labels("better").name_of(run)) == ("one", "better")


def test_tags_are_separated_by_commas():
    assert labels.tags_of(" seed 1, ablation ,, seed 1") == ("seed 1", "ablation")


def test_a_damaged_file_is_said_and_replaced_by_the_next_change(tmp_path):
    folder = a_run(tmp_path, "one")
    for damage in ("{half", '{"name": 3, "tags": [], "note": ""}'):
        (folder / "labels.json").write_text(damage)
        with pytest.raises(InputError, match=r"labels\.json"):
            labels.read(folder)
    assert labels.change(folder, note="again") == Labels("", (), "again") == labels.read(folder)


def test_labels_do_not_bring_a_deleted_run_back(tmp_path):
    with pytest.raises(InputError, match="it was deleted"):
        labels.change(tmp_path / "gone", name="x")


def test_a_name_has_an_end():
    with pytest.raises(InputError, match="at most 120"):
        Labels("x" * 121)
