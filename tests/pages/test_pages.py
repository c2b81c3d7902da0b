"""Every page is rendered, and every widget that changes state is moved; no browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import processes
from deft_core.preferences import Message, Preference, Response
from deft_core.queries import light_table, open_view
from deft_core.workspace import Workspace
from tests.score_sets import preferences, write_dataset, write_scores

ROOT = Path(__file__).parents[2]
PAGES = ("overview", "datasets", "explore")
ROWS = 60


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DEFT_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path)


@pytest.fixture
def scored(workspace: Workspace) -> Workspace:
    made = preferences(ROWS)
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made))
    return workspace


def opened(name: str, **address: str | list[str]) -> AppTest:
    """The page, opened by its own file as a cold deep link does."""
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=30)
    for key, value in address.items():
        app.query_params[key] = value
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception
    return app


def widget(app: AppTest, kind: str, label: str):
    return next(one for one in getattr(app, kind) if one.label == label)


def metric(app: AppTest, label: str) -> str:
    return widget(app, "metric", label).value


def address(app: AppTest, name: str) -> list[str]:
    value = app.query_params.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def body_text(app: AppTest) -> str:
    return "\n".join(str(one.proto) for one in app.get("html"))


# every page, in every state


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_an_empty_workspace_leads_somewhere(workspace: Workspace, name: str) -> None:
    app = opened(name)
    assert not app.error
    assert app.button or app.get("file_uploader")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_scored_dataset(scored: Workspace, name: str) -> None:
    app = opened(name)
    assert not app.error
    assert address(app, "dataset") == ["demo"] and address(app, "scores") == ["tiny"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_dataset_without_scores(workspace: Workspace, name: str) -> None:
    write_dataset(workspace, "plain", preferences(8))
    app = opened(name)
    assert not app.error
    assert any(one.label.startswith(("Score", "Bring")) for one in app.button)


def test_the_router_opens_the_overview(scored: Workspace) -> None:
    app = checked(AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run())
    assert app.title[0].value == "What is here, and what is next?"


def test_browsing_does_not_load_a_model_library(scored: Workspace, tmp_path: Path) -> None:
    program = f"""
import sys
from streamlit.testing.v1 import AppTest
for name in {PAGES!r}:
    assert not AppTest.from_file({str(ROOT)!r} + f"/pages/{{name}}.py", default_timeout=60).run().exception
heavy = [name for name in ("torch", "transformers", "datasets") if name in sys.modules]
assert not heavy, heavy
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]


# errors


def test_a_dataset_that_is_not_there_is_explained(scored: Workspace) -> None:
    app = opened("explore", dataset="gone")
    assert "no 'gone'" in app.error[0].value.replace("\\", "")


def test_a_score_set_that_is_not_there_is_explained(scored: Workspace) -> None:
    app = opened("explore", dataset="demo", scores="gone")
    assert "no 'gone'" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("bad", ["../../etc", "a b", "<script>alert(1)</script>", "x" * 500])
def test_a_name_that_cannot_be_is_explained(scored: Workspace, bad: str) -> None:
    assert opened("explore", dataset=bad).error


@pytest.mark.parametrize("bad", ["between a", "between 0 1 gone", "matches ("])
def test_a_filter_that_makes_no_sense_is_explained(scored: Workspace, bad: str) -> None:
    assert "What to do" in opened("explore", filter=[bad]).error[0].value


def test_a_row_that_is_not_there_is_explained(scored: Workspace) -> None:
    assert "no row" in opened("explore", row="nothing").error[0].value


@pytest.mark.parametrize("file", ["datasets/demo/pairs.parquet", "scores/demo/tiny/part-00001.parquet"])
def test_a_damaged_file_is_explained(scored: Workspace, file: str) -> None:
    (scored.root / file).write_bytes(b"PAR1 damaged")
    assert "What to do" in opened("explore").error[0].value


@pytest.mark.parametrize("file", ["datasets/demo/dataset.json", "scores/demo/tiny/status.json", "scores/demo/tiny/score.json"])
@pytest.mark.parametrize("name", PAGES)
def test_a_damaged_description_shows_no_traceback(scored: Workspace, file: str, name: str) -> None:
    (scored.root / file).write_text("{half", encoding="utf-8")
    opened(name)


# explore


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
    checked(widget(app, "text_input", "Search").set_value("/question 1\\d:/").run())
    assert metric(app, "rows") == "10" and address(app, "filter") == ["matches question 1\\d:"]
    assert widget(app, "text_input", "Search").value == ""


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
    assert len(app.get("plotly_chart")) == 2 + len(every) and not app.error
    checked(widget(app, "multiselect", "More charts").set_value([]).run())
    assert len(app.get("plotly_chart")) == 2 and address(app, "chart") == ["none"]


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
    made = preferences(40)
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made), done=10, state="running")
    app = opened("explore")
    assert metric(app, "scoring, 10 of 40") == "4.0 rows/s"
    assert metric(app, "rows") == "40" and not app.error


def test_scoring_that_ended_early_goes_on_from_there(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = preferences(40), []
    write_scores(workspace, "demo", made, write_dataset(workspace, "demo", made), done=10, state="stopped")
    monkeypatch.setattr(processes, "start_scoring", lambda *what: started.append(what) or os.getpid())
    app = opened("explore")
    assert "was stopped at 10 of 40 rows" in app.warning[0].value
    checked(widget(app, "button", "Go on scoring").click().run())
    assert started == [(workspace.root, "demo", "tiny")] and not app.warning


# data and overview


def test_a_file_is_previewed_and_imported(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "some pairs.jsonl"
    rows = [{"prompt": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}" if n else ""} for n in range(30)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    app = opened("datasets")
    checked(widget(app, "text_input", "… or a path, folder, pattern or Hub dataset").set_value(str(source)).run())
    assert "good 1" in body_text(app) and "an answer is empty" in body_text(app)
    assert widget(app, "text_input", "Name").value == "some-pairs"
    checked(widget(app, "button", "Import").click().run())
    from pages.shared import resources

    for thread in [job.thread for job in resources.import_jobs(str(workspace.root)).values()]:
        thread.join()
    checked(app.run())
    assert workspace.dataset_info("some-pairs")["rows_kept"] == 29
    assert "29 of 30 rows kept, 1 refused" in app.success[0].value.replace("\\", "")
    assert address(app, "dataset") == ["some-pairs"]


def test_columns_of_an_unknown_layout_are_named(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "own.jsonl"
    source.write_text("".join(json.dumps({"q": f"q{n}", "plus": f"yes{n}", "minus": f"no{n}"}) + "\n" for n in range(5)), encoding="utf-8")
    app = opened("datasets", source=str(source))
    for field, column in (("prompt", "q"), ("chosen", "plus"), ("rejected", "minus")):
        checked(widget(app, "selectbox", field).set_value(column).run())
    assert "yes1" in body_text(app)


def test_a_source_that_is_not_there_is_explained(workspace: Workspace) -> None:
    assert "What to do" in opened("datasets", source="/nowhere/at/all.jsonl").error[0].value


def test_refused_rows_are_read_by_reason_and_page(workspace: Workspace) -> None:
    refused = [{"file": "a.jsonl", "line": n, "reason": ("too odd", "even")[n % 2 == 0], "original": f"original {n}"} for n in range(50)]
    write_dataset(workspace, "demo", preferences(4), refused)
    app = opened("datasets")
    assert "original 19" in body_text(app) and "original 20" not in body_text(app)
    checked(widget(app, "button", "later →").click().run())
    assert "original 20" in body_text(app)
    checked(widget(app, "selectbox", "Reason").set_value("too odd").run())
    assert "original 1\\n" not in body_text(app) and "line 39" in body_text(app) and "line 38" not in body_text(app)


def test_a_scorer_is_started_from_a_button(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[object, ...]] = []
    write_dataset(workspace, "demo", preferences(4))
    overview, explore = (opened(name) for name in ("overview", "explore"))

    def start(*what: object) -> int:
        started.append(what)
        return os.getpid()

    monkeypatch.setattr(processes, "start_scoring", start)
    checked(widget(overview, "button", "Score demo").click().run())
    assert "is being scored" in overview.text[0].value
    checked(widget(explore, "button", "Score it").click().run())
    assert "Scoring has begun" in explore.info[0].value
    app = opened("datasets")
    widget(app, "text_input", "Score with the model").set_value("some/model")
    checked(widget(app, "button", "Score").click().run())
    assert started == [(workspace.root, "demo"), (workspace.root, "demo"), (workspace.root, "demo", "some/model")]


def test_the_demo_is_loaded_with_a_button(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "start_scoring", lambda *what: os.getpid())
    app = opened("overview")
    checked(widget(app, "button", "Load the demo").click().run())
    assert workspace.dataset_names() == ["demo"] and not app.error


# text of a dataset

HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "![image](http://example.invalid/x.png) [link](javascript:alert(3)) <b>bold</b> &lt;b&gt;",
    ":red[red] :material/home: $\\frac{1}{2}$ `code` :smile:",
    "\u202eright to left\u202c \x00 NUL \x1b[31m and שלום",
    "x" * 100_000,
]


def test_no_text_of_a_dataset_reaches_markdown_or_a_label(workspace: Workspace) -> None:
    made = [
        Preference((Message("user", text), Message("user", text[:50])), (Response(text, 1), Response("no " + text, 2)), source=text[:60])
        for text in HOSTILE
    ]
    ids = write_dataset(workspace, "demo", made, [{"file": "<b>f", "line": 1, "reason": HOSTILE[0], "original": HOSTILE[1]}])
    write_scores(workspace, "demo", made, ids)
    for row in ids:
        app = opened("explore", row=row)
        assert not app.error
        assert "<script" not in body_text(app) and "<img" not in body_text(app)
        for kind in ("markdown", "caption", "text", "header", "subheader"):
            assert not [
                one.value for one in app.get(kind) if "alert" in str(one.value) or "xxxx" in str(one.value) or ":red[" in str(one.value)
            ]
        assert not [one.label for kind in ("button", "selectbox", "multiselect") for one in app.get(kind) if "alert" in one.label]
    data = opened("datasets")
    assert "<script" not in body_text(data) and "<b>f" not in body_text(data) and not data.error
