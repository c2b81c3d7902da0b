"""Every page is rendered in every state; no browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from deft_core.preferences import Message, Preference, Response
from deft_core.workspace import Workspace
from tests.pages.driving import PAGES, ROOT, address, body_text, checked, opened
from tests.score_sets import preferences, write_dataset, write_scores

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
    assert any(one.label.startswith(("Score", "Bring", "Train")) for one in app.button)


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
