"""`deft what-if`: its keys, its column, and what it refuses."""

import pytest

from deft_core import selections
from deft_core.errors import InputError, NotFoundError
from deft_core.queries import light_table, open_view
from deft_core.rule import Rule
from deft_core.selections import Draft
from tests.test_cli import deft


def test_a_what_if_becomes_a_column_that_queries_and_other_what_ifs_see(scored):
    report = deft(scored, "what-if", "demo", "--as", "plain", "--mask", "stopwords", "--mask", "sorry", "--smooth", "0.5")
    assert list(report)[:3] == ["column", "rank_correlation", "kept_overlap"]
    assert report["column"] == "plain" and report["score_id"] == "tiny" and report["rows"] == 60
    assert 0 < report["rank_correlation"] < 1 and report["masked_tokens"] > 2
    rows = deft(scored, "query", "demo", "select count(plain_margin) as n from pairs")["rows"]
    assert rows == [{"n": 60}]
    with pytest.raises(InputError, match="a what-if already"):
        deft(scored, "what-if", "demo", "--as", "plain")
    assert deft(scored, "what-if", "demo", "--as", "plain", "--replace")["kept_overlap"] == 1


def test_d_of_one_source_and_of_the_rows_a_selection_keeps(scored):
    table = light_table(open_view(scored, "demo"))
    rows = table[table["split"] == "train"].head(10).assign(flipped=False, by="rule", value=1.0)
    saved = selections.save(scored, "few", Draft("demo", "tiny", Rule("highest"), rows[["id", "flipped", "by", "value"]], 38, {}))
    kept = deft(scored, "what-if", "demo", "--as", "of_few", "--kept", "few")
    assert kept == deft(scored, "what-if", "demo", "--as", "of_few", "--kept", saved.reference, "--replace")
    forum = deft(scored, "what-if", "demo", "--as", "forum", "--source", "forum", "--score-id", "tiny")
    assert kept["rank_correlation"] != forum["rank_correlation"]
    with pytest.raises(NotFoundError, match="a selection in"):
        deft(scored, "what-if", "demo", "--as", "other", "--kept", "none")
