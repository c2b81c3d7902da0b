"""A Plotly figure as a PNG, by Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

EDGE = 8  # pixels that a page leaves around what it shows


def photograph(figures: Mapping[Path, go.Figure]) -> None:
    """Each figure, which has a width and a height, to its path, in twice its pixels."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(device_scale_factor=2)
        for path, figure in figures.items():
            page.set_viewport_size({"width": figure.layout.width + 2 * EDGE, "height": figure.layout.height + 2 * EDGE})
            page.set_content(figure.to_html(include_plotlyjs=True, config={"displayModeBar": False}))
            page.wait_for_selector(".main-svg")
            page.screenshot(path=path)
        browser.close()
