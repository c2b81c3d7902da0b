"""Curate without a browser: the rule in the address, its effects, all rows, contrast, versions."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from deft_core import composition, cost, overrides, selecting, selections
from deft_core.queries import light_table, open_view
from deft_core.selection import Rule, kept
from deft_core.workspace import Workspace, read_json, write_json
from pages.shared import state
from tests.pages.driving import address, body_text, checked, metric, opened, widget
from tests.score_sets import preferences, write_dataset, write_demo

TABS = ["Borderline", "Kept", "Dropped", "Contrast", "Noise", "Decisions", "Conflicts", "Versions"]


def table(workspace: Workspace, dataset: str = "demo"):
    return light_table(open_view(workspace, dataset))


def saved(workspace: Workspace, name: str, rule: Rule) -> selections.Saved:
    return selections.save(workspace, name, selecting.draft(workspace, "demo", rule))


# the rule


def test_a_link_with_a_rule_takes_nothing_from_the_rule_before(scored: Workspace) -> None:
    app = opened("curate", keep="lowest", by="tokens_chosen", count="7")
    assert metric(app, "kept") == "7"
    app.query_params.clear()
    assert metric(checked(app.run()), "kept") == "7"  # of another page, which empties the address
    app.query_params.clear()
    app.query_params.update({"keep": "lowest", "fraction": "0.25"})
    assert metric(checked(app.run()), "kept") == "12" and not app.error
    assert widget(app, "selectbox", "by").value == "reward_chosen" and not address(app, "count")


def test_the_usual_rule_keeps_five_percent_by_chance(scored: Workspace) -> None:
    app = opened("curate")
    assert (metric(app, "kept"), metric(app, "dropped")) == ("2", "46")  # of 48 training rows: 2.4
    assert widget(app, "selectbox", "Keep").value == "random"
    assert widget(opened("curate", by="turns"), "selectbox", "Keep").value == "highest"


def test_a_rule_in_the_address_is_the_rule(scored: Workspace) -> None:
    app = opened("curate", keep="lowest", by="tokens_chosen", count="7")
    assert metric(app, "kept") == "7"
    checked(widget(app, "selectbox", "Keep").set_value("random").run())
    assert (address(app, "keep"), address(app, "count"), address(app, "seed")) == (["random"], ["7"], ["0"])
    checked(widget(app, "selectbox", "Keep").set_value("range").run())
    assert not app.error and metric(app, "kept") == "48" and address(app, "low")


@pytest.mark.parametrize(
    "wrong", [{"fraction": "7"}, {"count": "many"}, {"keep": "best"}, {"fraction": "0.1", "count": "3"}, {"seed": str(2**53)}], ids=str
)
def test_a_rule_that_cannot_work_is_explained_and_left(scored: Workspace, wrong: dict[str, str]) -> None:
    app = opened("curate", **wrong)
    assert app.error
    checked(widget(app, "button", "Start with the usual rule").click().run())
    assert not app.error and metric(app, "kept") == "2"
    assert not any(address(app, name) for name in wrong)


def test_a_column_that_is_not_there_can_be_left(scored: Workspace) -> None:
    app = opened("curate", by="difficulty")
    assert "difficulty" in app.error[0].value
    checked(widget(app, "selectbox", "by").set_value("tokens_chosen").run())
    assert not app.error and metric(app, "kept") == "2"


def test_an_amount_by_share_rows_or_value(scored: Workspace) -> None:
    app = opened("curate", keep="highest", fraction="0.25")
    assert metric(app, "kept") == "12" and widget(app, "slider", "fraction").value == 25.0
    checked(widget(app, "slider", "fraction").set_value(50.0).run())
    assert (metric(app, "kept"), address(app, "fraction")) == ("24", ["0.5"])
    checked(widget(app, "number_input", "share, %").set_value(12.5).run())
    assert (metric(app, "kept"), address(app, "fraction")) == ("6", ["0.125"])
    units = next(one for one in app.button_group if one.key.startswith("widget-unit"))
    checked(units.set_value("count").run())
    assert (metric(app, "kept"), address(app, "count"), address(app, "fraction")) == ("6", ["6"], [])
    checked(widget(app, "slider", "count").set_value(10).run())
    assert metric(app, "kept") == "10"
    units = next(one for one in app.button_group if one.key.startswith("widget-unit"))
    checked(units.set_value("value").run())
    rewards = table(scored).query("split == 'train'")["reward_chosen"].sort_values()
    assert metric(app, "kept") == "10" and rewards.iloc[-11] < float(address(app, "value")[0]) <= rewards.iloc[-10]


def test_a_cut_by_value_is_one_number_everywhere(scored: Workspace) -> None:
    app = opened("curate", keep="highest", count="10")
    checked(next(one for one in app.button_group if one.key.startswith("widget-unit")).set_value("value").run())
    slider, (value,) = widget(app, "slider", "value"), address(app, "value")
    assert slider.value == widget(app, "number_input", "value").value == float(value)
    assert len(value) <= len("0.12345") and f"cut {float(value):.5g}" in cut_labels(app)
    checked(slider.set_value(slider.min + 200 * slider.step).run())
    (value,) = address(app, "value")
    assert widget(app, "number_input", "value").value == float(value) == pytest.approx(widget(app, "slider", "value").value, abs=1e-12)
    assert f"cut {float(value):.5g}" in cut_labels(app)


def cut_labels(app: AppTest) -> list[str]:
    (spec,) = [json.loads(one.proto.spec) for one in app.get("plotly_chart") if "cut " in one.proto.spec]
    return [note["text"] for note in spec["layout"]["annotations"]]


def test_a_range_by_its_ends(scored: Workspace) -> None:
    app = opened("curate", keep="range", by="tokens_chosen", low="10", high="20")
    lengths = table(scored).query("split == 'train'")["tokens_chosen"]
    assert metric(app, "kept") == f"{lengths.between(10, 20).sum()}"
    checked(widget(app, "number_input", "high").set_value(15.0).run())
    assert metric(app, "kept") == f"{lengths.between(10, 15).sum()}" and address(app, "high") == ["15.0"]


def test_strata_and_chance_have_their_settings(scored: Workspace) -> None:
    app = opened("curate", keep="stratified", fraction="0.5")
    checked(widget(app, "selectbox", "shares of each").set_value("length").run())
    checked(widget(app, "selectbox", "and within it").set_value("random").run())
    checked(widget(app, "number_input", "seed").set_value(3).run())
    assert [address(app, name) for name in ("strata", "within", "seed")] == [["length"], ["random"], ["3"]]
    assert metric(app, "kept") == "24"


def test_a_condition_from_a_link_waits_for_a_click(scored: Workspace) -> None:
    app = opened("curate", keep="highest", where="tokens_chosen > 20", fraction="1")
    assert not app.metric
    checked(widget(app, "button", "Run it").click().run())
    rows = table(scored).query("split == 'train' and tokens_chosen > 20")
    assert metric(app, "kept") == f"{len(rows)}" != "48"
    left = opened("curate", keep="highest", where="tokens_chosen > 20")
    checked(widget(left, "button", "Leave it out").click().run())
    assert left.metric and not address(left, "where")


def test_a_condition_sees_flipped_rows_as_the_command_does(scored: Workspace) -> None:
    rows = table(scored).query("split == 'train' and n_responses == 2")
    row = rows.loc[(rows["tokens_rejected"] - rows["tokens_chosen"]).idxmax()]
    overrides.append(scored, "demo", "flip", [row["id"]])
    condition = f"id = '{row['id']}' and tokens_chosen = {int(row['tokens_rejected'])}"
    app = opened("curate", keep="highest", fraction="1", where=condition)
    checked(widget(app, "button", "Run it").click().run())
    assert metric(app, "kept") == "1"
    assert saved(scored, "one", Rule("highest", fraction=1.0, where=condition)).kept == 1


def test_a_condition_that_cannot_work_is_explained_below_it(scored: Workspace) -> None:
    app = opened("curate", keep="highest")
    checked(widget(app, "text_input", "of the rows where").set_value("no_such_column = 1").run())
    assert "no_such_column" in app.error[0].value.replace("\\", "")
    checked(widget(app, "text_input", "of the rows where").set_value("").run())
    assert not app.error and metric(app, "kept") == "2"


# what it changes


def test_tokens_time_and_memory_are_those_of_the_kept_rows(scored: Workspace) -> None:
    about = scored.score_set("demo", "tiny") / "score.json"
    write_json(about, read_json(about) | {"parameters": 35_040, "layers": 2})
    app = opened("curate", keep="highest", fraction="0.25")
    rows = table(scored)[kept(table(scored), Rule("highest", fraction=0.25))]
    responses = rows["tokens_chosen"] + rows["tokens_rejected"]
    tokens = rows["tokens_prompt"] + responses
    assert metric(app, "tokens an epoch") == f"{tokens.sum():,.0f}"
    assert metric(app, "an epoch, estimated") == f"≈ {round(3 * tokens.sum() / 310)} s"  # 310 tokens a second
    vocabulary, hidden = np.load(about.with_name("head.npy")).shape
    need = cost.training_bytes(cost.ModelSize(35_040, 2, hidden, vocabulary), tokens.max(), responses[tokens.idxmax()])
    assert metric(app, "memory, estimated") == f"≈ {need / 1e9:,.1f} GB"


def test_composition_is_held_against_all_training_rows(scored: Workspace) -> None:
    app = opened("curate", keep="highest", fraction="0.25")
    rows = table(scored)
    train = (rows["split"] == "train").to_numpy()
    whole, mine = (composition.means(rows, mask)["tokens_chosen"] for mask in (train, kept(rows, Rule("highest", fraction=0.25))))
    text = body_text(app)
    line = next(line for line in re.findall(r"<tr>.*?</tr>", text) if "tokens, chosen" in line)
    assert f">{whole:,.1f}<" in line and f">{mine:,.1f}<" in line
    assert "source forum" in text


def test_overlap_with_chance_and_with_other_selections(scored: Workspace) -> None:
    saved(scored, "twelve", Rule("highest", count=12))
    app = opened("curate", keep="highest", count="4")
    assert "0.3 expected" in body_text(app)  # 4 x 4 / 48
    assert "twelve@1: <b>4 of its 12</b>, 100% of kept" in body_text(app)


def test_uncertain_places_are_told(scored: Workspace) -> None:
    app = opened("curate", keep="highest", fraction="0.25")
    assert int(metric(app, "place uncertain")) > 0
    assert "place uncertain" not in [one.label for one in opened("curate", by="turns").metric]


def test_random_rows_of_the_same_size_are_one_click_away(scored: Workspace) -> None:
    app = opened("curate", keep="highest", value="0.1")
    before = metric(app, "kept")
    checked(widget(app, "button", "keep as many random rows instead").click().run())
    assert metric(app, "kept") == before and address(app, "keep") == ["random"] and not address(app, "value")


# the tabs


@pytest.mark.parametrize("keep", ["highest", "random"])
@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens(scored: Workspace, tab: str, keep: str) -> None:
    saved(scored, "best", Rule("highest", count=5))
    overrides.append(scored, "demo", "drop", selections.kept_rows(scored, "best")["id"][:2])
    app = opened("curate", keep=keep, tab=tab, fraction="0.25")
    assert not app.error and address(app, "tab") == [tab]


def test_the_first_tab_is_that_of_the_kept_rows_where_there_is_no_cut(scored: Workspace) -> None:
    for settings, tab in (({}, "Kept"), ({"keep": "highest"}, "Borderline"), ({"strata": "length"}, "Kept")):
        app = opened("curate", **settings)
        assert next(one for one in app.button_group if str(one.key).startswith("widget-tab")).value == tab


def test_the_rows_next_to_the_cut(scored: Workspace) -> None:
    app = opened("curate", keep="highest", tab="Borderline", count="12")
    ranked = table(scored).query("split == 'train'").sort_values("reward_chosen", ascending=False)["reward_chosen"]
    kept_side, dropped_side = (one.value["reward_chosen"].to_list() for one in app.dataframe[:2])
    assert kept_side == ranked.iloc[2:12][::-1].to_list() and dropped_side == ranked.iloc[12:22].to_list()
    assert "no cut" in opened("curate", tab="Borderline", keep="random").info[-1].value
    assert "There is no cut" in opened("curate", keep="highest", tab="Borderline", fraction="1").info[-1].value


def test_all_kept_and_all_dropped_rows_are_paged(scored: Workspace) -> None:
    app = opened("curate", keep="highest", tab="Dropped", count="20")
    assert "<b>28 of 60 rows</b>" in body_text(app) and len(app.dataframe[0].value) == 25
    checked(widget(app, "button", "later →").click().run())
    assert len(app.dataframe[0].value) == 3
    app = opened("curate", keep="highest", tab="Kept", count="20")
    rewards = table(scored).query("split == 'train'")["reward_chosen"].sort_values(ascending=False)
    assert app.dataframe[0].value["reward_chosen"].to_list() == rewards[:20].to_list()


def test_a_row_is_read_and_decided_on_from_the_kept_rows(scored: Workspace) -> None:
    rows = table(scored).query("split == 'train'").sort_values("reward_chosen")["id"]
    app = opened("curate", keep="highest", tab="Kept", count="5", row=rows.iloc[-1])
    assert "row 1 of 5" in body_text(app)
    checked(next(one for one in app.button if one.key == "decide-drop").click().run())
    assert metric(app, "kept") == "4" and overrides.load(scored, "demo").dropped == {rows.iloc[-1]}


def test_contrast_reads_texts_of_both_sides(scored: Workspace) -> None:
    app = opened("curate", keep="highest", tab="Contrast", count="20")
    assert not app.error
    rates = next(one.value for one in app.dataframe if "kept" in one.value and "refusals, chosen" in one.value.index)
    assert list(rates.columns) == ["kept", "dropped"]
    before = body_text(app)
    checked(widget(app, "button", "other rows").click().run())
    assert body_text(app) != before and address(app, "examples") == ["1"]
    assert "nothing to compare" in opened("curate", keep="highest", tab="Contrast", fraction="1").info[-1].value


# versions


def save_as(app: AppTest, name: str) -> None:
    widget(app, "text_input", "Save as a version of").set_value(name)
    checked(next(one for one in app.button if one.label.startswith("Save ")).click().run())


def test_the_subset_is_saved_as_a_version_like_the_command_does(scored: Workspace) -> None:
    overrides.append(scored, "demo", "keep", [table(scored).query("split == 'train'").sort_values("reward_chosen")["id"].iloc[0]])
    app = opened("curate", keep="highest", count="4")
    save_as(app, "mine")
    assert "Saved mine@1: 5 rows" in app.success[0].value.replace("\\", "")
    assert (widget(app, "selectbox", "Selection").value, address(app, "selection")) == ("mine", ["mine"])
    assert saved(scored, "other", Rule("highest", count=4)).fingerprint == selections.read(scored, "mine").fingerprint
    save_as(app, "mine")
    assert selections.versions(scored, "mine") == [1, 2]


def test_a_name_that_cannot_be_one_is_explained(scored: Workspace) -> None:
    app = opened("curate", keep="highest")
    save_as(app, "no/name")
    assert "no/name" in app.error[0].value.replace("\\", "") and not selections.listing(scored)


def test_a_version_is_restored_renamed_and_deleted(scored: Workspace) -> None:
    for count in (3, 6):
        saved(scored, "best", Rule("highest", count=count))
    app = opened("curate", keep="highest", tab="Versions", selection="best")
    checked(widget(app, "selectbox", "One version").set_value("best@1").run())
    checked(widget(app, "button", "use its rule").click().run())
    assert metric(app, "kept") == "3"
    checked(widget(app, "button", "make it the newest").click().run())
    assert selections.read(scored, "best").restores == 1 and "best@3" in app.success[0].value.replace("\\", "")
    assert widget(app, "selectbox", "One version").value == "best@3" and widget(app, "button", "make it the newest").disabled
    widget(app, "text_input", "New name of best").set_value("better")
    checked(widget(app, "button", "Rename").click().run())
    assert selections.versions(scored, "better") == [1, 2, 3] and address(app, "selection") == ["better"]
    checked(next(one for one in app.button if one.label.startswith("Delete better with 3")).click().run())
    assert not selections.listing(scored) and not app.error and not address(app, "selection")


def test_versions_are_compared_with_each_other_and_with_what_is_kept_now(scored: Workspace) -> None:
    saved(scored, "best", Rule("highest", count=3))
    saved(scored, "best", Rule("lowest", count=4))
    app = opened("curate", keep="highest", tab="Versions", count="5")
    assert "<b>0</b> in both, <b>3</b> only in best@1, <b>4</b> only in best@2" in body_text(app)
    checked(widget(app, "selectbox", "with").set_value("the rows kept now").run())
    assert "<b>3</b> in both, <b>0</b> only in best@1, <b>2</b> only in the rows kept now" in body_text(app)


def test_a_version_just_saved_is_the_one_that_is_shown_and_compared(scored: Workspace) -> None:
    for count in (3, 4):
        saved(scored, "best", Rule("highest", count=count))
    app = opened("curate", keep="highest", tab="Versions", count="5")
    checked(widget(app, "selectbox", "One version").set_value("best@1").run())
    assert not widget(app, "button", "make it the newest").disabled
    checked(widget(app, "selectbox", "Compare").set_value("best@2").run())
    save_as(app, "best")
    chosen = [widget(app, "selectbox", label).value for label in ("One version", "Compare", "with")]
    assert chosen == ["best@3", "best@2", "best@3"] and widget(app, "button", "make it the newest").disabled


def test_a_damaged_version_is_named_and_can_be_deleted(scored: Workspace) -> None:
    saved(scored, "best", Rule("highest", count=3))
    (scored.root / "selections" / "best" / "v1" / "selection.json").write_text("{")
    app = opened("curate", keep="highest", tab="Versions")
    assert "selection.json" in app.warning[0].value.replace("\\", "") and metric(app, "kept") == "2"
    checked(widget(app, "button", "Delete best@1").click().run())
    assert not selections.listing(scored) and not app.error


# without scores


def test_rows_without_scores_are_kept_by_other_columns(workspace: Workspace) -> None:
    write_dataset(workspace, "plain", preferences(40))
    for settings in ({}, {"keep": "highest"}):
        app = opened("curate", count="5", **settings)
        assert "no rewards yet" in app.info[0].value and metric(app, "kept") == "5"
        assert widget(app, "selectbox", "by").value == "characters_chosen"
    lengths = table(workspace, "plain").query("split == 'train'")["characters_chosen"].sort_values(ascending=False)
    for tab in TABS:
        app = opened("curate", keep="highest", count="5", tab=tab)
        assert not app.error
    app = opened("curate", keep="highest", count="5", tab="Kept", sort="-characters_chosen")
    assert app.dataframe[0].value["characters_chosen"].to_list() == lengths[:5].to_list()


def test_a_rule_belongs_to_its_dataset(scored: Workspace) -> None:
    assert set(state.RULE) <= set(state.OF_ONE_DATASET)


# a score set that is not whole


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("stopped", "training rows are scored; the others take no part."),
        ("running", "training rows are scored so far; the selection changes as scoring goes on; the others take no part."),
    ],
)
def test_a_partly_scored_set_is_named_as_one(workspace: Workspace, state: str, says: str) -> None:
    write_demo(workspace, 60, done=16, state=state)
    rows = table(workspace).query("split == 'train'")
    scored = int(rows["reward_chosen"].notna().sum())
    assert 0 < scored < len(rows) == 48
    app = opened("curate", keep="highest")
    assert [one.value for one in app.caption if says in one.value] == [f":material/incomplete_circle: {scored} of 48 {says}"]
    by_length = opened("curate", by="characters_chosen")
    assert not any("the others" in one.value for one in by_length.caption)
    overview = opened("overview")
    assert "16 of 60" in overview.dataframe[-1].value["rows scored"].tolist()
    assert state == "running" or "has 16 of 60 rows scored" in overview.text[0].value


def test_a_whole_score_set_says_nothing_of_it(scored: Workspace) -> None:
    assert not any("training rows are scored" in one.value for one in opened("curate", keep="highest").caption)
