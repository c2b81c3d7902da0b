"""Data and Overview: bringing data in, reading what was refused, starting a scorer; no browser."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from deft_core import processes
from deft_core.importing import import_source
from deft_core.reading import escaped
from deft_core.workspace import Workspace
from pages.shared import job_resources
from tests.pages.driving import ROOT, address, body_text, checked, opened, widget
from tests.score_sets import preferences, write_dataset


def imported(app: AppTest, workspace: Workspace) -> AppTest:
    """The page when its imports have ended."""
    for thread in [job.thread for job in job_resources.import_jobs(str(workspace.root)).values()]:
        thread.join()
    return checked(app.run())


def lines(rows: int) -> str:
    made = [{"prompt": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}" if n else ""} for n in range(rows)]
    return "".join(json.dumps(row) + "\n" for row in made)


def test_a_file_is_previewed_and_imported(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "some pairs.jsonl"
    source.write_text(lines(30), encoding="utf-8")
    app = opened("datasets")
    checked(widget(app, "text_input", "… or a path, folder, pattern or Hub dataset").set_value(str(source)).run())
    assert "good 1" in body_text(app) and "an answer is empty" in body_text(app)
    assert widget(app, "text_input", "Name").value == "some-pairs"
    checked(widget(app, "button", "Import").click().run())
    imported(app, workspace)
    assert workspace.dataset_info("some-pairs")["rows_kept"] == 29
    assert "29 of 30 rows kept, 1 refused" in app.success[0].value.replace("\\", "")
    assert address(app, "dataset") == ["some-pairs"] and source.is_file()


def uploads(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.root.glob(".uploads/*/*"))


def test_an_upload_is_imported_and_its_copy_removed(workspace: Workspace) -> None:
    app = opened("datasets")
    checked(app.file_uploader[0].upload("mine.jsonl", lines(5).encode()).run())
    assert uploads(workspace) == ["mine.jsonl"] and "good 1" in body_text(app)
    checked(widget(app, "button", "Import").click().run())
    imported(app, workspace)
    assert workspace.dataset_info("mine")["rows_kept"] == 4
    assert uploads(workspace) == [] and not app.file_uploader[0].value


def test_the_copy_of_an_upload_goes_when_another_file_is_chosen(workspace: Workspace) -> None:
    app = opened("datasets")
    checked(app.file_uploader[0].upload("first.jsonl", lines(5).encode()).run())
    checked(app.file_uploader[0].set_value(("second.jsonl", lines(6).encode(), "text/plain")).run())
    assert uploads(workspace) == ["second.jsonl"]
    checked(app.file_uploader[0].set_value(None).run())
    assert uploads(workspace) == []


def test_copies_left_behind_are_swept_after_a_day(workspace: Workspace) -> None:
    for name, days in (("old", 2), ("new", 0)):
        left = workspace.root / ".uploads" / name
        left.mkdir(parents=True)
        (left / f"{name}.jsonl").write_text("{}", encoding="utf-8")
        then = left.stat().st_mtime - days * 86_400
        os.utime(left, (then, then))
    checked(opened("datasets").file_uploader[0].upload("mine.jsonl", lines(5).encode()).run())
    assert uploads(workspace) == ["mine.jsonl", "new.jsonl"]


def test_a_name_that_is_taken_costs_no_upload(workspace: Workspace) -> None:
    write_dataset(workspace, "mine", preferences(4))
    app = opened("datasets")
    checked(app.file_uploader[0].upload("mine.jsonl", lines(5).encode()).run())
    checked(widget(app, "button", "Import").click().run())
    assert "'mine' is taken" in app.error[0].value.replace("\\", "") and uploads(workspace) == ["mine.jsonl"]
    widget(app, "checkbox", "Replace a dataset of this name").check()
    checked(widget(app, "button", "Import").click().run())
    imported(app, workspace)
    assert workspace.dataset_info("mine")["rows_kept"] == 4 and uploads(workspace) == []


def test_an_upload_that_is_too_large_has_another_way_in(workspace: Workspace) -> None:
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["server"]
    assert server["maxUploadSize"] == 200 and server["showEmailPrompt"] is False
    assert any("larger: give a path" in one.value for one in opened("datasets").caption)


def test_an_import_says_how_many_rows_it_has_read(workspace: Workspace) -> None:
    ended = threading.Event()
    job = job_resources.ImportJob("mine", rows=1_234, thread=threading.Thread(target=ended.wait))
    job_resources.import_jobs(str(workspace.root))["mine"] = job
    job.thread.start()
    try:
        app = opened("datasets")
    finally:
        ended.set()
        job.thread.join()
    assert app.sidebar.get("page_link")[0].proto.label == "importing mine: 1,234 rows"
    assert "Reading mine: 1,234 rows so far" in [one.value for one in app.text] and not app.get("progress")


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
    assert list(app.dataframe[1].value["text"]) == [f"original {n}" for n in range(20)]
    checked(widget(app, "button", "later →").click().run())
    assert list(app.dataframe[1].value["text"]) == [f"original {n}" for n in range(20, 40)]
    checked(widget(app, "selectbox", "Reason").set_value("too odd").run())
    assert list(app.dataframe[1].value["where"]) == [f"a.jsonl, line {n}" for n in range(1, 41, 2)]


def test_refused_rows_of_a_broken_file_are_read_by_reason(workspace: Workspace, tmp_path: Path) -> None:
    broken = [lines(2), '{"prompt": "q", "chosen": \n', '{"prompt": "q", "chosen": "a"}\n', "not JSON at all\n", '{"prompt": 5}\n']
    source = tmp_path / "broken.jsonl"
    source.write_text("".join(broken) * 3, encoding="utf-8")
    report = import_source(workspace, str(source), "broken")
    assert report.rows_refused > 3
    app = opened("datasets")
    counts = workspace.dataset_info("broken")["reasons"]
    kept = [json.loads(line) for line in workspace.refused("broken").read_text(encoding="utf-8").splitlines()]
    assert len(counts) > 1 and any(row.get("detail") for row in kept)
    for reason, count in counts.items():
        checked(widget(app, "selectbox", "Reason").set_value(reason).run())
        rows = [row for row in kept if row["reason"] == reason]
        listed = app.dataframe[1].value
        assert len(rows) == count and list(listed["where"]) == [f"broken.jsonl, line {row['line']}" for row in rows]
        assert list(listed["why"]) == [reason + (f": {row['detail']}" if row.get("detail") else "") for row in rows]


def test_a_refused_row_is_read_with_its_fields_below_each_other(workspace: Workspace) -> None:
    originals = ['{"prompt": "why", "chosen": "", "rejected": "<b>"}', '{"half": "\\ud800"}', "not JSON at all"]
    refused = [{"file": "a.jsonl", "line": n, "reason": "odd", "original": text} for n, text in enumerate(originals, 1)]
    write_dataset(workspace, "demo", preferences(4), refused)
    shown = ["".join(one.proto.body for one in opened("datasets", refused=str(n)).get("html")) for n in range(3)]
    assert escaped('{\n  "prompt": "why",\n  "chosen": "",\n  "rejected": "<b>"\n}') in shown[0]
    assert escaped(originals[1]) in shown[1] and originals[2] in shown[2] and "a.jsonl, line 3" in shown[2]
    app = opened("datasets", refused="1")
    assert list(app.dataframe[1].value["open"]) == ["", "▶", ""]
    checked(widget(app, "button", "close").click().run())
    assert "refused" not in app.query_params and "open" not in app.dataframe[1].value
    assert not opened("datasets", refused="77").error


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
