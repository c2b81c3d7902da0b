"""Exporting from Curate without a browser: started with a click, done in a thread, found again on return."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from deft_core import selections
from deft_core.export import check
from deft_core.queries import light_table, open_view
from deft_core.rule import Rule
from deft_core.workspace import Workspace
from pages.shared import job_resources
from tests.pages.driving import checked, opened, widget


@pytest.fixture
def saved(scored: Workspace) -> Workspace:
    ids = light_table(open_view(scored, "demo"))["id"][:12]
    rows = pd.DataFrame({"id": ids, "flipped": False, "by": "rule", "value": 0.5})
    selections.save(scored, "best", selections.Draft("demo", "tiny", Rule("highest"), rows, 48, {}))
    return scored


def export(app: AppTest, workspace: Workspace) -> AppTest:
    """Clicks and waits for the thread; the page as it is then drawn."""
    checked(widget(app, "button", "Export").click().run())
    for job in job_resources.export_jobs(str(workspace.root)).values():
        if job.thread:
            job.thread.join()
    return checked(app.run())


def test_without_a_saved_version_it_says_what_to_do(scored: Workspace) -> None:
    app = opened("curate")
    assert any("Save the subset as a version first" in text.value for text in app.text)
    assert not [button for button in app.button if button.label == "Export"]


def test_an_export_is_written_shown_and_found_again(saved: Workspace) -> None:
    app = opened("curate")
    checked(widget(app, "selectbox", "For").set_value("llamafactory").run())
    assert widget(app, "text_input", "File name").value == "best-v1-llamafactory.jsonl"
    app = export(app, saved)
    assert not app.error
    assert app.success[0].value.replace("\\", "").startswith("12 rows of best@1 written and read back by datasets")
    path = saved.root / "exports" / "best-v1-llamafactory.jsonl"
    assert len(path.read_text().splitlines()) == 12
    assert "best-v1-llamafactory" in json.loads((path.parent / "dataset_info.json").read_text())
    assert app.code[0].value == f'stage: dpo\ndataset_dir: "{path.parent}"\ndataset: best-v1-llamafactory'
    returned = opened("curate")
    assert returned.success[0].value == app.success[0].value


def test_where_trl_is_not_installed_the_page_says_that_it_was_not_asked(saved: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda _: None)
    app = export(opened("curate"), saved)
    assert app.success[0].value.split(" by ")[1].startswith("datasets")
    assert any("TRL is not installed: its formatting was not checked." in text.value for text in app.text)


def test_a_name_that_is_taken_is_refused_until_it_is_to_be_replaced(saved: Workspace) -> None:
    saved.exports.mkdir()
    path = saved.exports / "mine.parquet"
    path.write_text("")
    app = opened("curate")
    checked(widget(app, "selectbox", "For").set_value("parquet").run())
    checked(widget(app, "text_input", "File name").set_value("mine.parquet").run())
    checked(widget(app, "button", "Export").click().run())
    assert "which is there" in app.error[0].value.replace("\\", "")
    checked(widget(app, "checkbox", "Replace a file of this name").check().run())
    app = export(app, saved)
    assert not app.error and path.stat().st_size


@pytest.mark.parametrize("name", ["../mine.jsonl", "", ".jsonl", "mine.txt", "mine.parquet"])
def test_a_name_that_cannot_be_is_explained(saved: Workspace, name: str) -> None:
    app = opened("curate")
    checked(widget(app, "selectbox", "For").set_value("axolotl").run())
    checked(widget(app, "text_input", "File name").set_value(name).run())
    checked(widget(app, "button", "Export").click().run())
    assert "What to do" in app.error[0].value
    assert not list(saved.root.glob("exports/*"))


def test_a_row_that_the_trainer_would_misread_is_named(saved: Workspace) -> None:
    pairs = saved.pairs("demo")
    rows = pd.read_parquet(pairs).to_dict("records")
    rows[0]["prompt"] = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    pd.DataFrame(rows).to_parquet(pairs)
    app = opened("curate")
    checked(widget(app, "selectbox", "For").set_value("llamafactory").run())
    app = export(app, saved)
    assert rows[0]["id"] in app.error[0].value.replace("\\", "")
    assert any(text.value == "best-v1-llamafactory.jsonl was not written." for text in app.text)
    assert not (saved.exports / "best-v1-llamafactory.jsonl").exists()
    checked(widget(app, "checkbox", "Leave out rows that the trainer would misread").check().run())
    app = export(app, saved)
    assert app.success[0].value.startswith("11 rows")


def test_a_running_export_stands_in_the_sidebar(saved: Workspace) -> None:
    class Running:
        def is_alive(self) -> bool:
            return True

    job = job_resources.ExportJob("demo", "best@1", "trl", saved.exports / "best.jsonl", {"phase": "writing", "done": 3, "total": 12})
    job.thread = Running()  # type: ignore[assignment]
    job_resources.export_jobs(str(saved.root))["best.jsonl"] = job
    app = opened("curate")
    assert widget(app, "button", "Export").disabled
    assert any("writing" in str(link.proto.label) for link in app.get("page_link"))
    job_resources.export_jobs(str(saved.root)).clear()
