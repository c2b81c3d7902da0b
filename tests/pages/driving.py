"""Opening a page without a browser, and finding what it shows."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
PAGES = ("overview", "datasets", "discrepancy", "explore", "curate", "train", "runs", "try_model")
ROWS = 60  # of the scored workspace


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
    """The HTML of a page, without the script of the frame: the only one that may run, see test_architecture."""
    return "\n".join(str(one.proto) for one in app.get("html") if not one.proto.unsafe_allow_javascript)
