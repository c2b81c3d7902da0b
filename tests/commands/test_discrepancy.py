"""`deft discrepancy`: its keys, its lists, and what it says without scores or counts."""

import numpy as np
import pytest
from typer.testing import CliRunner

from deft_core import cli
from deft_core.discrepancy import read_table
from deft_core.errors import InputError, NotFoundError
from deft_core.group_counts import read_counts
from deft_core.reliability import bootstrap
from tests.score_sets import preferences, write_dataset
from tests.test_cli import deft


def test_the_tokens_that_separate_with_intervals_and_the_reliability(scored):
    report = deft(scored, "discrepancy", "demo", "--top", "3")
    folder = scored.score_set("demo", "tiny")
    table = read_table(folder).sort_values("d", ascending=False)
    assert list(report) == ["preferred", "dispreferred", "reliability"]
    assert [one["token_id"] for one in report["preferred"]] == table["token_id"].head(3).tolist()
    assert [one["token_id"] for one in report["dispreferred"]] == table["token_id"].tail(3).tolist()[::-1]
    for one in report["preferred"] + report["dispreferred"]:
        assert list(one) == ["token", "token_id", "d", "low", "high", "count_chosen", "count_rejected"]
        assert one["low"] < one["d"] < one["high"]
    first, drawn = report["preferred"][0], bootstrap(read_counts(folder))
    se = drawn.d[:, np.searchsorted(drawn.token_ids, first["token_id"])].std(ddof=1)
    assert 2 < (first["high"] - first["d"]) / se < 4.5  # the 95 % quantile of max |t| over some 20 tokens; of one it would be 1.96
    verdict = report["reliability"]
    assert list(verdict) == ["state", "words", "reliability", "conversations", "conversations_needed", "split_half"]
    assert verdict["conversations"] == 48 and verdict["words"].startswith("With 48 conversations d is")
    assert [list(one) for one in verdict["split_half"]] == [["conversations", "cosine", "low", "high"]] * 5  # 1, 2, 5, 11, 23 of 47 groups
    assert np.all(np.diff([one["conversations"] for one in verdict["split_half"]]) > 0)


def test_without_json_it_is_two_tables_and_a_verdict(scored):
    shown = CliRunner().invoke(cli.app, ["--workspace", str(scored.root), "discrepancy", "demo"]).stdout
    assert "count_rejected" in shown and "With 48 conversations d is" in shown


def test_without_scores_or_counts_it_says_what_to_do(scored):
    with pytest.raises(NotFoundError, match="a score set of 'demo'"):
        deft(scored, "discrepancy", "demo", "--score-id", "other")
    (scored.score_set("demo", "tiny") / "counts.parquet").unlink()
    with pytest.raises(InputError, match=r"counts\.parquet.*score the dataset again"):
        deft(scored, "discrepancy", "demo")
    made = preferences(8, seed=4)
    write_dataset(scored, "new", made)
    with pytest.raises(NotFoundError, match="deft score new"):
        deft(scored, "discrepancy", "new")
