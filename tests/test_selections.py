"""Versions of selections: immutable, numbered once, compared, restored, renamed, deleted; damaged ones named."""

import json
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deft_core import selections
from deft_core.errors import InputError, NotFoundError
from deft_core.rule import Rule
from deft_core.selections import Draft
from tests.score_sets import preferences, write_dataset, write_demo

FIVE_PERCENT = Rule("highest")


@pytest.fixture
def demo(workspace):
    write_demo(workspace, 20)
    return workspace


def draft(ids="abc", flipped="", rule=FIVE_PERCENT, **changes):
    rows = pd.DataFrame({"id": list(ids), "flipped": [row in flipped for row in ids], "by": "rule", "value": np.arange(float(len(ids)))})
    return replace(Draft("demo", "tiny", rule, rows, 16 - len(ids), {"events": 0, "through": None}), **changes)


def test_a_version_says_what_it_was_made_of(demo):
    saved = selections.save(demo, "best", draft("cab", flipped="b"), note="first try")
    assert (saved.reference, saved.kept, saved.dropped, saved.rule, saved.note) == ("best@1", 3, 13, Rule("highest"), "first try")
    assert saved.fingerprints["data"] == demo.dataset_info("demo")["fingerprint"] and len(saved.fingerprints["d"]) == 32
    assert saved == selections.read(demo, "best") == selections.read(demo, "best", 1)
    assert selections.kept_rows(demo, "best").to_dict("list") == {
        "id": ["a", "b", "c"],
        "flipped": [False, True, False],
        "by": ["rule"] * 3,
        "value": [1.0, 2.0, 0.0],
    }


def test_a_fingerprint_is_of_rule_rows_data_and_d_alone(demo):
    first = selections.save(demo, "one", draft("abc"))
    assert selections.save(demo, "two", draft("cba"), note="other name, order, note and time").fingerprint == first.fingerprint
    others = [draft("ab"), draft("abc", flipped="a"), draft(rule=Rule(seed=3, keep="random")), draft(score_id=None)]
    assert len({first.fingerprint, *(selections.save(demo, "three", other).fingerprint for other in others)}) == 5
    # an id that ends in what marks a flip is not the same as a flipped row
    assert selections.save(demo, "four", draft(["a/flipped"])).fingerprint != selections.save(demo, "four", draft("a", "a")).fingerprint


def test_two_savers_at_once_get_different_numbers(demo):
    gate = threading.Barrier(4)
    numbers = []

    def save():
        gate.wait()
        numbers.extend(selections.save(demo, "best", draft()).version for _ in range(3))

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 13)) == selections.versions(demo, "best")


def test_nothing_kept_and_a_name_of_another_dataset_are_refused(demo):
    with pytest.raises(InputError, match="none of 16 training rows"):
        selections.save(demo, "best", draft(""))
    assert selections.versions(demo, "best") == []
    selections.save(demo, "best", draft())
    write_dataset(demo, "other", preferences(8))
    with pytest.raises(InputError, match="a selection of 'demo'"):
        selections.save(demo, "best", draft(dataset="other", score_id=None))
    with pytest.raises(InputError, match="a selection name of letters"):
        selections.save(demo, "../best", draft())


def test_versions_are_compared(demo):
    selections.save(demo, "best", draft("abcd"))
    selections.save(demo, "best", draft("cdef", flipped="d"))
    found = selections.compare(demo, "best@v1", "best")
    assert (found.both, found.only_a, found.only_b, found.flipped_otherwise) == (["c", "d"], ["a", "b"], ["e", "f"], ["d"])


def test_an_old_version_is_restored_as_a_new_one(demo):
    first = selections.save(demo, "best", draft("abc", flipped="c", rule=Rule("highest", count=3)))
    selections.save(demo, "best", draft("d"))
    back = selections.restore(demo, "best", 1)
    assert (back.version, back.restores, back.rule, back.fingerprint) == (3, 1, Rule("highest", count=3), first.fingerprint)
    assert selections.kept_rows(demo, "best").equals(selections.kept_rows(demo, "best", 1))
    assert selections.versions(demo, "best") == [1, 2, 3]


def test_a_number_is_never_given_again(demo):
    for _ in range(3):
        selections.save(demo, "best", draft())
    assert selections.delete(demo, "best", 3) == [3]
    assert selections.versions(demo, "best") == [1, 2]
    assert selections.save(demo, "best", draft()).version == 4
    assert selections.delete(demo, "best") == [1, 2, 4]
    with pytest.raises(NotFoundError, match="no 'best'"):
        selections.read(demo, "best")
    assert selections.listing(demo) == []
    assert selections.save(demo, "best", draft()).version == 5


def test_a_selection_is_renamed_with_its_history(demo):
    selections.save(demo, "best", draft())
    selections.save(demo, "best", draft("ab"))
    selections.save(demo, "other", draft())
    with pytest.raises(InputError, match="'other', which is taken"):
        selections.rename(demo, "best", "other")
    selections.rename(demo, "best", "better")
    assert [one.reference for one in (selections.read(demo, "better", 1), selections.read(demo, "better"))] == ["better@1", "better@2"]
    with pytest.raises(NotFoundError, match="better, other"):
        selections.read(demo, "best")


def test_a_number_is_not_given_again_after_its_selection_was_renamed(demo):
    for _ in range(3):
        selections.save(demo, "best", draft())
    selections.delete(demo, "best", 3)
    selections.rename(demo, "best", "old")
    assert selections.versions(demo, "old") == [1, 2] and selections.save(demo, "old", draft()).version == 4
    assert selections.save(demo, "best", draft("ab")).reference == "best@4"
    assert [(one.name, one.version) for one in selections.listing(demo)] == [("best", 4), ("old", 4), ("old", 2), ("old", 1)]


def test_a_name_can_be_given_back_but_not_to_another_selection(demo):
    selections.save(demo, "best", draft())
    selections.save(demo, "other", draft("ab"))
    selections.rename(demo, "best", "old")
    with pytest.raises(InputError, match="'best', which was that of another selection"):
        selections.rename(demo, "other", "best")
    selections.rename(demo, "old", "best")
    assert selections.read(demo, "best").reference == "best@1" and selections.save(demo, "old", draft()).version == 2
    selections.delete(demo, "old")
    assert selections.save(demo, "best", draft()).version == 2
    with pytest.raises(InputError, match="'old', which was that of another selection"):
        selections.rename(demo, "best", "old")  # old@2 was another one


def test_the_list_is_newest_first_and_of_one_dataset(demo):
    write_dataset(demo, "plain", preferences(8))
    for name, what in (("a", draft()), ("b", draft(dataset="plain", score_id=None)), ("a", draft("ab"))):
        selections.save(demo, name, what)
    listed = selections.listing(demo)
    assert sorted((one.name, one.version) for one in listed) == [("a", 1), ("a", 2), ("b", 1)]
    assert [one.about.created for one in listed] == sorted((one.about.created for one in listed), reverse=True)
    assert [(one.name, one.version) for one in selections.listing(demo, "plain")] == [("b", 1)]


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("selection.json", b"{", "one JSON object in"),
        ("selection.json", None, "a file"),
        ("selection.json", b"{}", "dataset, score_id, rule"),
        ("kept.parquet", b"PAR1 cut short", "the kept rows in"),
        ("kept.parquet", None, "the kept rows in"),
    ],
    ids=str,
)
def test_a_damaged_file_is_named(demo, file, content, expected):
    selections.save(demo, "best", draft())
    path = demo.root / "selections" / "best" / "v1" / file
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(InputError) as error:
        selections.read(demo, "best")
        selections.kept_rows(demo, "best")
    assert error.value.expected.startswith(expected) and str(path) in str(error.value)
    if file == "selection.json":
        assert [(one.name, one.version, one.about) for one in selections.listing(demo)] == [("best", 1, None)]


def test_a_rule_that_is_none_is_named(demo):
    selections.save(demo, "best", draft())
    path = demo.root / "selections" / "best" / "v1" / "selection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rule": {"keep": "everything"}}))
    with pytest.raises(InputError, match=r"a rule in .*selection\.json.*'everything'"):
        selections.read(demo, "best")


def test_references():
    assert [selections.parse(text) for text in ("best", "best@2", "best@v12")] == [("best", None), ("best", 2), ("best", 12)]
    for text in ("best@", "best@0", "best@new"):
        with pytest.raises(InputError, match="name@2"):
            selections.parse(text)


def test_a_version_that_is_not_there_is_said_with_those_that_are(demo):
    selections.save(demo, "best", draft())
    with pytest.raises(NotFoundError, match=r"no version 7 \(there: 1\)"):
        selections.kept_rows(demo, "best", 7)
