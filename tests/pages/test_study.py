"""The page of the study shows its text, its tables and its pictures, and no link that leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deft_core.workspace import Workspace
from pages.shared import rule_bar, run_outcome, study_text
from tests.pages.driving import ROOT, opened

README = ROOT / "docs" / "study" / "README.md"


def test_the_study_is_shown_as_it_is_written(workspace: Workspace) -> None:
    app = opened("study")
    assert not app.error
    assert app.title[0].value == "Does the filter help?"
    shown = "\n".join(one.value for one in app.markdown)
    text = README.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows and all(row in shown for row in rows)
    assert "](" not in shown and "<!--" not in shown
    assert "The plan (`docs/study/plan.md`)" in shown
    assert sum(len(one.proto.imgs) for one in app.get("image")) == text.count("![")


def test_pictures_stand_between_the_words(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = ROOT / "docs" / "pictures" / "explore.png"
    words = "Before, [near](../scale.md#here) and [far](https://example.invalid/x)."
    (tmp_path / "README.md").write_text(f"# Title\n\n{words}\n\n![what it shows]({picture})\n\n[After](#top).\n")
    monkeypatch.setattr(study_text, "FOLDER", tmp_path)
    app = opened("study")
    assert [one.value.strip() for one in app.markdown] == [
        "Before, near (`docs/scale.md`) and [far](https://example.invalid/x).",
        "After.",
    ]
    assert [image.caption for one in app.get("image") for image in one.proto.imgs] == ["what it shows"]


def test_a_study_that_is_not_there_is_said_in_three_parts(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_text, "FOLDER", tmp_path)
    assert "Start the dashboard from a whole copy" in opened("study").error[0].value


def test_the_figures_of_help_texts_are_those_of_the_study() -> None:
    text = README.read_text(encoding="utf-8")
    highest, chance, lowest = re.findall(r"0\.\d{3}", rule_bar.WHAT_TO_KEEP)
    for start in (f"| highest | 5 | 58 | {highest} |", f"| random | 20 | 58 | {chance} |", f"| lowest | 5 | 58 | {lowest} |"):
        assert start in text
    of_all, of_few = re.findall(r"(\d+) %(?: of the pairs|(?= on 64))", run_outcome.HELP)
    assert re.search(rf"\| 691 \| 190 \| \d+ \({of_all}%\) \|", text) and re.search(rf"\| 64 \| 950 \| \d+ \({of_few}%\) \|", text)
