"""Study: what our own runs say of the filter. Help texts lead here, the sidebar does not."""

from __future__ import annotations

from pages.shared import study_text
from pages.shared.frame import open_page

open_page("study.py", lambda _: study_text.draw())
