"""A draft of a selection: rows as they are now, flips included."""

from deft_core import overrides, queries
from deft_core.rule import Rule
from deft_core.selecting import draft
from tests.score_sets import write_demo


def test_a_rules_condition_sees_flipped_rows_as_they_are(workspace):
    write_demo(workspace, 40)
    view = queries.open_view(workspace, "demo")
    below = queries.user_sql(view, "SELECT id, reward_rejected FROM pairs WHERE reward_margin < 0 AND n_responses = 2 AND split = 'train'")
    ids = sorted(below["id"].to_pylist())
    overrides.append(workspace, "demo", "flip", ids[:2])
    rule = Rule(keep="highest", by="reward_chosen", fraction=1.0, where="reward_margin < 0 AND n_responses = 2")
    assert sorted(draft(workspace, "demo", rule).rows["id"]) == ids[2:]
    rule = Rule(keep="highest", by="reward_chosen", fraction=1.0, where="reward_margin > 0")
    rows = draft(workspace, "demo", rule).rows.set_index("id")
    assert rows.loc[ids[:2], "flipped"].all() and rows["flipped"].sum() == 2
    values = dict(zip(below["id"].to_pylist(), below["reward_rejected"].to_pylist(), strict=True))
    assert rows.loc[ids[:2], "value"].tolist() == [values[row] for row in ids[:2]]
