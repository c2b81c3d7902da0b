"""Explore: every widget that changes state is moved; no browser."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from deft_core import processes, queries
from deft_core.queries import light_table, matching_ids, open_view
from deft_core.workspace import Workspace, read_json, write_json
from tests.pages.driving import ROWS, address, body_text, checked, metric, opened, widget
from tests.score_sets import preferences, write_dataset, write_demo, write_scores


def test_the_figures_are_those_of_all_rows(scored: Workspace) -> None:
    app, table = opened("explore"), light_table(open_view(scored, "demo"))
    assert metric(app, "rows") == "60"
    assert metric(app, "mean reward, chosen") == f"{table['reward_chosen'].mean():.4f}"
    assert metric(app, "chosen above rejected") == f"{(table['reward_margin'] > 0).mean():.1%}"


def test_filters_of_the_address_narrow_exactly(scored: Workspace) -> None:
    app, table = opened("explore", filter=["between 0.05 0.1 reward_chosen", 'is ["forum"] source']), light_table(open_view(scored, "demo"))
    left = table[table["reward_chosen"].between(0.05, 0.1) & (table["source"] == "forum")]
    assert metric(app, "rows") == f"{len(left)}" and 0 < len(left) < ROWS
    assert metric(app, "mean reward, chosen") == f"{left['reward_chosen'].mean():.4f}"


def test_a_chip_that_is_removed_takes_its_filter_along(scored: Workspace) -> None:
    app = opened("explore", filter=["between 0.05 0.1 reward_chosen", 'is ["forum"] source'])
    checked(widget(app, "multiselect", "Filters").set_value(['is ["forum"] source']).run())
    assert address(app, "filter") == ['is ["forum"] source']
    assert metric(app, "rows") == "12"


def test_the_split_picker_sets_one_filter(scored: Workspace) -> None:
    app = opened("explore")
    checked(widget(app, "selectbox", "Split").set_value("heldout").run())
    assert metric(app, "rows") == "6" and address(app, "filter") == ['is ["heldout"] split']
    checked(widget(app, "selectbox", "Split").set_value("all splits").run())
    assert metric(app, "rows") == "60" and "filter" not in app.query_params


def test_a_search_is_a_filter(scored: Workspace) -> None:
    app = opened("explore")
    checked(widget(app, "text_input", "this text").set_value("/question 1\\d:/").run())
    assert metric(app, "rows") == "10" and address(app, "filter") == ["matches question 1\\d:"]
    assert widget(app, "text_input", "this text").value == ""


def test_filters_that_leave_no_row_say_so(scored: Workspace) -> None:
    app = opened("explore", filter=["between 5 6 reward_chosen"])
    assert metric(app, "rows") == "0" and "No row passes" in app.info[0].value


@pytest.mark.parametrize("measure", ["tokens", "perplexity", "logp", "mean_logp", "reward_mean", "mean_logp_margin"])
def test_every_measure_can_be_drawn(scored: Workspace, measure: str) -> None:
    app = opened("explore")
    checked(widget(app, "selectbox", "Measure").set_value(measure).run())
    assert address(app, "measure") == [measure] and not app.error


def test_a_box_can_be_about_the_rejected_answers(scored: Workspace) -> None:
    app = opened("explore")
    checked(widget(app, "selectbox", "A box filters").set_value("rejected").run())
    assert address(app, "brush") == ["rejected"] and not app.error


def test_charts_of_any_column_are_picked_and_put_away(scored: Workspace) -> None:
    app = opened("explore")
    charts = widget(app, "multiselect", "More charts")
    every = charts.options
    assert "extra_difficulty" in every and "extra_topic" in every and "extra_checked" in every and "id" not in every
    checked(charts.set_value(every).run())
    alike = body_text(app).count(" in all 60 rows")  # a column that is the same everywhere is said, not drawn
    assert len(app.get("plotly_chart")) == 2 + len(every) - alike and not app.error
    checked(widget(app, "multiselect", "More charts").set_value([]).run())
    assert len(app.get("plotly_chart")) == 2 and address(app, "chart") == ["none"]


def test_a_column_that_is_the_same_in_all_rows_is_said_in_words(workspace: Workspace) -> None:
    made = [replace(one, source="<b>letters", prompt=one.prompt[-1:]) for one in preferences(20)]
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    app = opened("explore")
    assert len(app.get("plotly_chart")) == 3  # rewards, reward against length, margins
    said = next(one.proto.body for one in app.get("html") if " in all " in one.proto.body)
    assert said == "<b>user turns</b>: 1 in all 20 rows · <b>source</b>: &lt;b&gt;letters in all 20 rows"


def test_the_table_shows_columns_that_have_values(workspace: Workspace) -> None:
    made = preferences(20)
    ids = write_dataset(workspace, "demo", made)
    plain = ["open", "last turn", "split", "source", "turns", "characters_prompt", "characters_chosen", "characters_rejected"]
    assert list(opened("explore").dataframe[0].value.columns) == plain
    write_scores(workspace, "demo", made, ids, done=0, state="running")
    assert not [name for name in opened("explore").dataframe[0].value if name.startswith(("reward", "tokens"))]


def test_pages_of_rows_are_turned(scored: Workspace) -> None:
    app = opened("explore")
    checked(widget(app, "button", "later →").click().run())
    assert address(app, "page") == ["1"] and "rows 26 to 50" in body_text(app)
    checked(widget(app, "button", "← earlier").click().run())
    assert "rows 1 to 25" in body_text(app)


def test_rows_are_sorted_over_all_pages(scored: Workspace) -> None:
    app, table = opened("explore", sort="extra_difficulty"), light_table(open_view(scored, "demo"))
    shown = app.dataframe[0].value
    assert list(shown["extra_difficulty"]) == sorted(table["extra_difficulty"])[:25]
    assert list(opened("explore", sort="-source").dataframe[0].value["source"][:1]) == ["letters"]


def test_a_row_is_read_and_the_next_and_the_previous_one(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo")).sort_values("reward_chosen", ascending=False)
    app = opened("explore", row=table["id"].iloc[24], page="0")
    assert "row 25 of 60" in body_text(app) and f"reward {table['reward_chosen'].iloc[24]:.4f}" in body_text(app)
    checked(widget(app, "button", "next").click().run())
    assert address(app, "row") == [table["id"].iloc[25]] and address(app, "page") == ["1"]
    checked(widget(app, "button", "previous").click().run())
    assert address(app, "row") == [table["id"].iloc[24]]
    checked(widget(app, "button", "close").click().run())
    assert "row" not in app.query_params and "row 25 of" not in body_text(app)


def test_two_answers_of_a_ranking_are_chosen(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    app = opened("explore", row=table.loc[table["n_responses"] == 3, "id"].iloc[0])
    right = widget(app, "selectbox", "right")
    assert right.value == 2
    checked(right.set_value(1).run())
    assert widget(app, "selectbox", "right").value == 1 and not app.error


def test_another_dataset_leaves_the_filters_of_the_one_before(scored: Workspace) -> None:
    made = preferences(8, seed=5)
    write_dataset(scored, "other", made)
    app = opened("explore", dataset="demo", filter=["between 0.05 0.1 reward_chosen"])
    checked(widget(app, "selectbox", "Dataset").set_value("other").run())
    assert address(app, "dataset") == ["other"] and "filter" not in app.query_params and not app.error


def test_while_a_scorer_runs_the_page_says_how_far_it_is(workspace: Workspace) -> None:
    write_demo(workspace, 40, done=10, state="running")
    app = opened("explore")
    assert metric(app, "scoring, 10 of 40") == "4.0 rows/s"
    assert metric(app, "rows") == "40" and not app.error


def test_scoring_that_ended_early_goes_on_with_its_own_settings(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = preferences(40), []
    folder = write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made), done=10, state="stopped")
    write_json(folder / "score.json", read_json(folder / "score.json") | {"max_length": 512, "batch_tokens": 4096})
    monkeypatch.setattr(processes, "start_scoring", lambda *what, **how: started.append((*what, how)) or os.getpid())
    app = opened("explore")
    assert "was stopped at 10 of 40 rows" in app.warning[0].value
    checked(widget(app, "button", "Go on scoring").click().run())
    assert started == [(workspace.root, "demo", "tiny", {"max_length": 512, "batch_tokens": 4096})] and not app.warning


def test_a_slower_layout_is_said_with_its_reason(scored: Workspace) -> None:
    assert not opened("explore").caption
    folder = scored.score_set("demo", "tiny")
    why = {"layout": "plain", "layout_reason": "prefix-shared differs from a plain forward by 2.1e-03 in reward"}
    write_json(folder / "score.json", read_json(folder / "score.json") | why)
    caption = opened("explore").caption[0].value.replace("\\", "")
    assert caption.startswith("Scored in a slower layout") and why["layout_reason"] in caption


def test_rows_that_were_cut_to_fit_are_counted_and_listed(workspace: Workspace) -> None:
    write_demo(workspace, 40, truncated=7)
    app = opened("explore", chart=["truncated_tokens"])
    assert metric(app, "cut to fit") == "7"
    checked(widget(app, "button", "list these rows").click().run())
    assert metric(app, "rows") == "7" and address(app, "filter") == ["between 1.0 inf truncated_tokens"] and not app.error
    assert list(app.dataframe[0].value["truncated_tokens"]) == [5] * 7
    checked(widget(app, "button", "list these rows").click().run())
    assert address(app, "filter") == ["between 1.0 inf truncated_tokens"]


def test_where_no_row_was_cut_nothing_is_said_of_it(scored: Workspace) -> None:
    assert "cut to fit" not in [one.label for one in opened("explore").metric]


def test_scores_of_data_that_were_replaced_are_no_scores_of_these(scored: Workspace) -> None:
    about = scored.dataset_info("demo")
    write_json(scored.dataset("demo") / "dataset.json", about | {"fingerprint": "of other rows"})
    assert "no rewards yet" in opened("explore").info[-1].value
    assert "has no scores yet" in opened("overview").text[0].value
    app = opened("explore", dataset="demo", scores="tiny")
    assert "no 'tiny'" in app.error[0].value.replace("\\", "")
    checked(widget(app, "selectbox", "Score set").set_value("").run())
    assert not app.error and "scores" not in app.query_params


def test_texts_are_searched_once_while_rows_are_scored(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made, searched, read = preferences(40), [], []
    folder = write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    later = (folder / "part-00001.parquet").rename(folder / "later")
    monkeypatch.setattr(queries, "matching_ids", lambda *what, **how: searched.append(what) or matching_ids(*what, **how))
    monkeypatch.setattr(queries, "light_table", lambda view: read.append(view) or light_table(view))
    opened("explore", filter=["has sorry"])
    write_json(folder / "status.json", read_json(folder / "status.json") | {"done": 10})
    opened("explore", filter=["has sorry"])
    assert len(read) == 1  # a status that changes is no reason to read the rows again
    later.rename(folder / "part-00001.parquet")
    opened("explore", filter=["has sorry"])
    assert (len(read), len(searched)) == (2, 1)
