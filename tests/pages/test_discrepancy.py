"""Discrepancy: every panel in every state, every widget that changes state; no browser."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from deft_core import overrides
from deft_core.discrepancy import find_tokens, read_table
from deft_core.queries import light_table, open_view, rows_with_token
from deft_core.rule import Rule
from deft_core.selections import Draft, read, rename, save
from deft_core.workspace import Workspace
from tests.pages.driving import address, body_text, checked, metric, opened, widget
from tests.score_sets import write_demo

PANELS = ("tokens", "how sure", "what if")


def token(workspace: Workspace, text: str) -> int:
    return int(find_tokens(read_table(workspace.score_set("demo", "tiny")), text)["token_id"].iloc[0])


def test_the_verdict_and_its_figures_stand_on_top_of_every_panel(scored: Workspace) -> None:
    for panel in PANELS:
        app = opened("discrepancy", panel=panel)
        assert not app.error and "With 48 conversations d is" in body_text(app)
        assert metric(app, "conversations counted") == "48"
        table = read_table(scored.score_set("demo", "tiny"))
        assert metric(app, "tokens, chosen") == f"{table['count_chosen'].sum():,}"


def test_a_panel_is_opened_and_stands_in_the_address(scored: Workspace) -> None:
    app = opened("discrepancy")
    control = app.get("button_group")[0]
    checked(control.set_value("how sure").run())
    assert address(app, "panel") == ["how sure"] and "cross-fitted, without" in body_text(app)


def test_more_tokens_can_be_drawn(scored: Workspace) -> None:
    app = opened("discrepancy")
    checked(widget(app, "selectbox", "Tokens on each side").set_value("40").run())
    assert address(app, "top") == ["40"] and not app.error
    checked(widget(app, "selectbox", "The first by").set_value("sure").run())
    assert address(app, "order") == ["sure"] and not app.error


def test_a_token_is_searched_and_its_rows_are_listed_exactly(scored: Workspace) -> None:
    app = opened("discrepancy")
    checked(widget(app, "text_input", "Search a token").set_value("sorry").run())
    assert address(app, "find") == ["sorry"]
    assert set(app.dataframe[0].value["token"]) == {"␣sorry", "sorry"}
    number = token(scored, " sorry")
    app = opened("discrepancy", token=str(number))
    rows, total = rows_with_token(open_view(scored, "demo"), number, 1000)
    assert f"{total} scored rows" in body_text(app) and total > 25
    shown = app.dataframe[0].value
    assert len(shown) == 25 and list(shown["in chosen"]) == list(rows["in_chosen"][:25])
    checked(widget(app, "button", "later →").click().run())
    assert list(app.dataframe[0].value["its part"]) == list(rows["moved"][25:50])
    checked(widget(app, "button", "close").click().run())
    assert "token" not in app.query_params


def test_a_search_that_finds_nothing_says_what_to_try(scored: Workspace) -> None:
    assert "search for a part of it" in opened("discrepancy", find="nosuchword").info[0].value


def test_an_address_that_cannot_be_used_is_left_aside(scored: Workspace) -> None:
    app = opened("discrepancy", panel="none", token="99999999", top="x", smooth="-3")
    assert not app.error
    for wrong in ({"mask": "nonsense"}, {"smooth": "nan"}, {"smooth": "inf"}, {"token": "abc"}):
        assert not opened("discrepancy", panel="what if", **wrong).exception


# what if


def test_a_what_if_follows_its_settings_in_the_address(scored: Workspace) -> None:
    app = opened("discrepancy", panel="what if")
    assert "Change something" in app.info[0].value
    checked(widget(app, "multiselect", "Leave out").set_value(["stopwords"]).run())
    assert address(app, "mask") == ["stopwords"]
    assert 0 < float(metric(app, "rank correlation")) < 1 and int(metric(app, "tokens left out")) >= 3
    checked(widget(app, "number_input", "Smooth by").set_value(2.0).run())
    assert address(app, "smooth") == ["2"]
    checked(widget(app, "selectbox", "Count one source alone").set_value("forum").run())
    assert address(app, "only-source") == ["forum"] and not app.error


def test_tokens_left_out_by_text_or_from_the_list(scored: Workspace) -> None:
    app = opened("discrepancy", panel="what if", without=["sorry", str(token(scored, " tea"))])
    assert metric(app, "tokens left out") in ("2", "3") and not app.error
    app = opened("discrepancy", panel="what if", without="nosuchword")
    assert "nosuchword" in app.error[0].value
    assert widget(app, "multiselect", "Leave out these tokens").value == ["nosuchword"]  # it can be taken out again


def test_d_of_the_rows_a_selection_keeps(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    rows = table[table["split"] == "train"].head(12).assign(flipped=False, by="rule", value=1.0)[["id", "flipped", "by", "value"]]
    save(scored, "few", Draft("demo", "tiny", Rule("highest"), rows, 36, {}))
    app = opened("discrepancy", panel="what if")
    checked(widget(app, "selectbox", "Count what a selection keeps alone").set_value("few@1").run())
    assert address(app, "only-kept") == ["few@1"] and not app.error and metric(app, "tokens left out") == "0"


def test_a_selection_by_its_name_alone_is_its_newest_version_every_time(scored: Workspace) -> None:
    table = light_table(open_view(scored, "demo"))
    rows = table[table["split"] == "train"].assign(flipped=False, by="rule", value=1.0)[["id", "flipped", "by", "value"]]
    correlations = []
    for some in (rows.head(12), rows.tail(12)):
        save(scored, "few", Draft("demo", "tiny", Rule("highest"), some, 36, {}))
        names = ("few", read(scored, "few").reference)
        by_name, by_version = (opened("discrepancy", panel="what if", **{"only-kept": name}) for name in names)
        assert metric(by_name, "rank correlation") == metric(by_version, "rank correlation")
        correlations.append(metric(by_name, "rank correlation"))
    assert correlations[0] != correlations[1]
    rename(scored, "few", "old")
    app = opened("discrepancy", panel="what if", **{"only-kept": "few"})
    assert "no 'few'" in app.error[0].value.replace("\\", "")


def test_a_what_if_is_saved_as_a_column(scored: Workspace) -> None:
    app = opened("discrepancy", panel="what if", mask="digits", smooth="1")
    widget(app, "text_input", "Save as a column called").set_value("no_digits")
    checked(widget(app, "button", "Save").click().run())
    assert not app.error and "Saved" in body_text(app)
    assert [one.value.replace("\\", "").split(",")[0] for one in app.success] == ["Saved as the column no_digits"]
    assert light_table(open_view(scored, "demo"))["no_digits"].notna().all()
    widget(app, "text_input", "Save as a column called").set_value("no_digits")
    checked(widget(app, "button", "Save").click().run())
    assert "a what\\-if already" in app.error[0].value and not app.success
    assert not opened("explore", chart="no_digits").error


# states


def test_before_any_row_is_scored_tokens_are_there_already(workspace: Workspace) -> None:
    write_demo(workspace, 40, done=0, state="running")
    for panel in PANELS:
        app = opened("discrepancy", panel=panel, token="3")
        assert "conversations d is" in body_text(app)


def test_rows_that_are_not_scored_yet_cannot_be_counted_alone(workspace: Workspace) -> None:
    write_demo(workspace, 40, done=10, state="running")
    app = opened("discrepancy", panel="what if", **{"only-source": "letters"})
    assert "scores of every training row" in app.error[0].value
    assert widget(app, "selectbox", "Count one source alone").value == "letters"  # it can be changed


@pytest.mark.parametrize("file", ["counts.parquet", "discrepancy.parquet", "head.npy", "pooled-00001.npy", "part-00001.parquet"])
@pytest.mark.parametrize("panel", PANELS)
def test_a_damaged_file_is_named(scored: Workspace, file: str, panel: str) -> None:
    (scored.score_set("demo", "tiny") / file).write_bytes(b"damaged")
    app = opened("discrepancy", panel=panel, mask="digits", token="3")
    if app.error:
        assert file.split(".", maxsplit=1)[0] in app.error[0].value.replace("\\", "")
    else:
        assert (file, panel) in {("head.npy", "tokens"), ("pooled-00001.npy", "tokens")}


def test_a_score_set_without_counts_says_to_score_again(scored: Workspace) -> None:
    (scored.score_set("demo", "tiny") / "counts.parquet").unlink()
    assert "score the dataset again" in opened("discrepancy").error[0].value


def test_flips_that_d_knows_nothing_of_are_counted(scored: Workspace) -> None:
    assert not opened("discrepancy").caption
    overrides.append(scored, "demo", "flip", light_table(open_view(scored, "demo"))["id"][:3])
    assert opened("discrepancy").caption[0].value.startswith("3 flips are not in d: it was counted before")


def test_flips_of_rows_that_the_dataset_has_no_longer_are_not_counted(scored: Workspace) -> None:
    overrides.append(scored, "demo", "flip", ["gone"], known=pd.Index(["gone"]))
    assert not opened("discrepancy").caption
    overrides.append(scored, "demo", "flip", light_table(open_view(scored, "demo"))["id"][:1])
    assert opened("discrepancy").caption[0].value.startswith("1 flip is not in d")


def test_one_conversation_is_too_few(workspace: Workspace) -> None:
    write_demo(workspace, 1)
    for panel in PANELS:
        assert "With 1 conversation nothing can be said" in body_text(opened("discrepancy", panel=panel))
    assert pq.read_metadata(workspace.score_set("demo", "tiny") / "counts.parquet").num_rows > 5
