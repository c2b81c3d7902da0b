"""A chart of curves that keeps a person's zoom while its numbers change each second; how it draws stands in curve_chart.js."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

_HTML = '<div class="legend"></div><div class="place"><canvas role="img"></canvas><div class="tip" hidden></div></div>'
_CSS = """
.legend {display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .72rem; line-height: 1.25rem; min-height: 1.25rem}
.place {position: relative; font-size: .72rem}
canvas {position: absolute; inset: 0; width: 100%; height: 100%; cursor: crosshair; touch-action: pan-y}
i {display: inline-block; width: 1.4rem; vertical-align: middle; margin-right: .35rem}
.tip {position: absolute; top: 0; z-index: 1; pointer-events: none; padding: .3rem .5rem; border-radius: .4rem; white-space: nowrap;
  background: var(--st-background-color, Canvas); border: 1px solid #80808060}
[hidden] {display: none !important}
.tip span {display: block}
"""
_JS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def draw(drawing: dict[str, Any], key: str, view: str, alt: str) -> None:
    """A drawing of run_charts; charts of one `view` are zoomed together."""
    chart = st.components.v2.component("deft_curves", html=_HTML, css=_CSS, js=_JS)
    chart(data=drawing | {"view": view, "alt": alt}, key=key)
