"""How sure Explore says it is, and what-ifs among its columns; no browser."""

from __future__ import annotations

import numpy as np
import pytest

from deft_core import overrides, reliability, uncertainty
from deft_core.group_counts import read_counts
from deft_core.pooled import open_head, open_pooled, places
from deft_core.queries import View, light_table, open_view
from deft_core.rule import Rule
from deft_core.what_if import Change, answer, save
from deft_core.workspace import Workspace, read_json, write_json
from tests.pages.driving import ROWS, address, body_text, checked, metric, opened, widget


@pytest.fixture
def view(scored: Workspace) -> View:
    return open_view(scored, "demo")


def shares(view: View, rule: Rule, count: int) -> dict[str, float]:
    """The kept probability of every training row, by id."""
    pooled = open_pooled(view)
    drawn = uncertainty.draws(open_head(view), reliability.bootstrap(read_counts(view.parts[0].parent)))
    found = uncertainty.kept_probability(pooled, drawn, rule, pooled.train(), count)
    return dict(zip(np.array(pooled.rows["id"].to_pylist())[pooled.train()], found[pooled.train()], strict=True))


def table(app):
    return app.dataframe[-1].value


def test_the_figure_of_d_has_its_verdict(scored: Workspace, view: View) -> None:
    counts = read_counts(view.parts[0].parent)
    expected = reliability.verdict(reliability.split_half(counts), counts.conversations, reliability.chance(counts))
    assert metric(opened("explore"), "d") == expected.state


def test_places_are_told_when_asked_for(scored: Workspace, view: View) -> None:
    app = opened("explore")
    assert metric(app, "place uncertain") == "–" and "place" not in table(app)
    checked(widget(app, "button", "find these rows").click().run())
    expected = shares(view, Rule("highest"), 2)  # 5 % of 48 training rows
    uncertain = [row for row, share in expected.items() if 0.05 < share < 0.95]
    assert address(app, "places") == ["1"] and metric(app, "place uncertain") == str(len(uncertain)) != "0"
    assert {"place", "kept_probability", "±"} <= set(table(app).columns)
    checked(widget(app, "button", "list these rows").click().run())
    assert address(app, "filter") == ['is ["uncertain"] place'] and metric(app, "rows") == str(len(uncertain))
    assert set(table(app)["place"]) == {"uncertain"}


@pytest.mark.parametrize("keep", ["", "random"])
def test_places_beside_random_rows_are_those_of_the_highest(scored: Workspace, view: View, keep: str) -> None:
    app = opened("explore", places="1", count="6", keep=keep)
    uncertain = [row for row, share in shares(view, Rule("highest", count=6), 6).items() if 0.05 < share < 0.95]
    assert metric(app, "place uncertain") == str(len(uncertain)) and not app.error
    assert "highest 6 rows by reward_chosen" in " ".join(one.value for one in app.caption).replace("\\", "")


def test_places_by_a_range_without_a_word_for_it(scored: Workspace, view: View) -> None:
    rewards = light_table(view).query("split == 'train'")["reward_chosen"]
    inside = int((rewards >= 0.1).sum())
    uncertain = [row for row, share in shares(view, Rule("range", low=0.1), inside).items() if 0.05 < share < 0.95]
    assert metric(opened("explore", places="1", low="0.1"), "place uncertain") == str(len(uncertain))


def test_a_link_to_uncertain_rows_tells_places_by_the_rule_it_names(scored: Workspace, view: View) -> None:
    app = opened("explore", filter='is ["uncertain"] place', keep="lowest", by="reward_margin", count="10", sort="-kept_probability")
    expected = shares(view, Rule("lowest", by="reward_margin", count=10), 10)
    uncertain = sorted((share for share in expected.values() if 0.05 < share < 0.95), reverse=True)
    assert metric(app, "rows") == str(len(uncertain)) != "0"
    assert np.allclose(table(app)["kept_probability"], uncertain[:25])


def test_a_flipped_row_has_the_place_of_its_other_answer(scored: Workspace, view: View) -> None:
    pooled, light = open_pooled(view), light_table(view)
    row = light.loc[(light["split"] == "train") & (light["n_responses"] == 2), "id"].iloc[0]
    overrides.append(scored, "demo", "flip", [row])
    shown = table(opened("explore", places="1", filter='is ["yes"] flipped'))
    drawn = uncertainty.draws(open_head(view), reliability.bootstrap(read_counts(view.parts[0].parent)))
    place = int(places(pooled, [row])[0])
    reach = uncertainty.REACH * uncertainty.response_intervals(pooled, drawn, place, np.zeros(2))["se"][1]
    assert np.allclose(shown["reward_chosen"], light.set_index("id").loc[row, "reward_rejected"]) and len(shown) == 1
    assert np.allclose(shown["±"], reach)


def test_a_rule_by_strata_has_no_places_and_says_so(scored: Workspace) -> None:
    app = opened("explore", places="1", keep="stratified")
    assert metric(app, "place uncertain") == "–"
    assert any("d decides the places of no other rule" in one.value for one in app.caption)
    waiting = opened("explore", places="1", where="turns > 1")
    assert any("Run it on Curate first" in one.value for one in waiting.caption)


def test_every_answer_has_its_interval_and_its_cross_fitted_reward(scored: Workspace, view: View) -> None:
    pooled, head, counts = open_pooled(view), open_head(view), read_counts(view.parts[0].parent)
    row = pooled.rows["id"][7].as_py()
    rewards = light_table(view).set_index("id").loc[row, ["reward_chosen", "reward_rejected"]].to_numpy(float)
    drawn = uncertainty.draws(head, reliability.bootstrap(counts))
    found = uncertainty.response_intervals(pooled, drawn, 7, np.resize(rewards, int(np.diff(pooled.starts)[7])))
    folds = uncertainty.fold_draws(head, counts)
    assert folds is not None
    apart = uncertainty.cross_fitted_responses(pooled, folds, 7)
    words = f"(95 %: {found['low'][0]:.4f} … {found['high'][0]:.4f}, cross-fitted {apart[0]:.4f})"
    assert words in body_text(opened("explore", row=row))


def test_a_score_set_without_counts_or_with_a_head_that_is_not_linear_goes_without(scored: Workspace, view: View) -> None:
    folder = view.parts[0].parent
    (folder / "counts.parquet").unlink()
    row = light_table(view)["id"].iloc[0]
    app = opened("explore", row=row, places="1")
    assert metric(app, "d") == "?" and "95 %" not in body_text(app)
    assert sum("kept no token counts by conversation" in one.value for one in app.caption) == 1
    assert not any("Remove the folder" in one.value or "find these" in one.value for one in app.caption)
    curate = opened("curate")
    assert sum("kept no token counts by conversation" in one.value for one in curate.caption) == 1
    for page in (opened("explore"), curate):
        assert "find these rows" not in [one.label for one in page.button] and not page.error
    write_json(folder / "score.json", read_json(folder / "score.json") | {"linear": False})
    assert "95 %" not in body_text(opened("explore", row=row))


def test_a_saved_what_if_is_charted_sorted_and_filtered(scored: Workspace, view: View) -> None:
    pooled, change = open_pooled(view), Change(mask=("stopwords",))
    save(view, pooled, "plain", change, answer(view, pooled, open_head(view), change))
    values = light_table(open_view(scored, "demo"))["plain"]
    low, high = (float(edge) for edge in np.quantile(values, [0.25, 0.5]))
    app = opened("explore", sort="-plain", filter=f"between {low!r} {high!r} plain", measure="plain")
    assert widget(app, "selectbox", "Measure").value == "plain"
    kept = values[values.between(low, high)].sort_values(ascending=False)
    assert metric(app, "rows") == str(len(kept)) and np.allclose(table(app)["plain"], kept[:25])
    assert "plain_margin" in widget(app, "multiselect", "More charts").options
    checked(widget(app, "selectbox", "A box filters").set_value("rejected").run())
    assert len(values) == ROWS
