"""Workspaces that the pages are drawn over."""

from __future__ import annotations

from pathlib import Path

import pytest

from deft_core.workspace import Workspace
from tests.pages.driving import ROWS
from tests.score_sets import write_demo


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DEFT_WORKSPACE", str(tmp_path))
    return Workspace(tmp_path)


@pytest.fixture
def scored(workspace: Workspace) -> Workspace:
    write_demo(workspace, ROWS)
    return workspace
