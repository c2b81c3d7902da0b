"""The dashboard in a real browser: links, drawing on charts, reading a row, and text that tries to be more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from deft_core.filters import Between, Box, from_text
from deft_core.preferences import Message, Preference, Response
from deft_core.queries import light_table, open_view
from deft_core.reading import visible
from deft_core.workspace import Workspace, write_json
from pages.shared.frame import EMPTY_PAGE
from tests.browser.conftest import WAIT_MILLISECONDS
from tests.score_sets import preferences, write_dataset, write_demo, write_scores

pytestmark = pytest.mark.browser
Serve = Callable[[Path], str]
ROWS = 400
NAMES = ["Overview", "Data", "Discrepancy", "Explore", "Curate", "Train", "Runs", "Try"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    write_demo(workspace, ROWS)
    return workspace


def settled(page: Page) -> None:
    """Everything is drawn and stands still: a click goes where it is aimed."""
    expect(page.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_function(
        """() => new Promise(done => {
            const places = () => JSON.stringify([...document.querySelectorAll('.nsewdrag, canvas')].map(one => one.getBoundingClientRect()))
            const before = places()
            setTimeout(() => done(before === places() && !document.querySelector('[data-testid=stSkeleton]')), 300)
        })"""
    )


def drag(page: Page, chart: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draws a box on a chart, from and to parts of its width and height."""
    settled(page)
    area = page.locator(f'[class*="st-key-drawn-{chart}"] .nsewdrag')
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


def click_cell(page: Page, x: int, row: int) -> None:
    """Clicks into a row of the table, 0 being its headings; like a hand, the mouse is there before it presses."""
    canvas, place = page.get_by_test_id("stDataFrame").locator("canvas").first, {"x": x, "y": 35 * row + 15}
    canvas.hover(position=place, force=True)
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    canvas.click(position=place, force=True, delay=50)


def filters(page: Page) -> list[str]:
    return parse_qs(urlsplit(page.url).query).get("filter", [])


def shown_rows(page: Page, count: int) -> None:
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(f"{count:,}")


def test_a_cold_deep_link_opens_its_page(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore?{urlencode({'dataset': 'demo', 'filter': 'between 0.05 0.1 reward_chosen'})}")
    expect(page.get_by_role("heading", name="How are the rewards distributed?")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNavLink")).to_have_text(NAMES)
    expect(page.get_by_test_id("stSidebarHeader").locator("img")).to_be_visible()
    table = light_table(open_view(workspace, "demo"))
    shown_rows(page, int(table["reward_chosen"].between(0.05, 0.1).sum()))


def test_the_sidebar_never_lists_other_names_than_ours(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.add_init_script(
        """window.names = new Set()
        new MutationObserver(() => document.querySelectorAll('[data-testid=stSidebarNavLink]').forEach(one => names.add(one.innerText)))
            .observe(document, {childList: true, subtree: true, characterData: true})"""
    )
    address = serve(workspace.root)
    for place in ("explore", ""):  # the server's first session, and another one
        page.goto(f"{address}/{place}")
        expect(page.get_by_test_id("stSidebarNavLink")).to_have_text(NAMES)
        assert set(page.evaluate("[...names]")) == set(NAMES)


@pytest.mark.parametrize("width", [800, 480])
def test_on_a_narrow_screen_columns_stand_below_each_other_and_nothing_is_cut(
    serve: Serve, page: Page, workspace: Workspace, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    address = serve(workspace.root)
    for place in ("explore", "curate", "curate?tab=Noise", "discrepancy", "datasets", ""):
        page.goto(f"{address}/{place}")
        expect(page.get_by_test_id("stHeading").first).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        page.wait_for_function(
            """() => {
                const all = kind => [...document.querySelectorAll(`[data-testid=${kind}]`)]
                return all('stMain').every(one => one.scrollWidth <= one.clientWidth)
                    && all('stPlotlyChart').every(one => one.clientWidth > 330)
                    && all('stMetricValue').every(one => one.scrollWidth <= one.clientWidth)
            }"""
        )


def test_a_box_on_a_histogram_narrows_everything_to_exact_counts(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore")
    drag(page, "histogram-reward_rejected", (0.5, 0.4), (0.7, 0.6))
    page.wait_for_url("**filter=between**")
    rule = from_text(filters(page)[0])
    assert isinstance(rule, Between) and rule.column == "reward_chosen"
    table = light_table(open_view(workspace, "demo"))
    left = table[table["reward_chosen"].between(rule.low, rule.high)]
    assert 0 < len(left) < ROWS
    shown_rows(page, len(left))
    expect(page.get_by_text(f"{len(left):,} of {ROWS} rows")).to_be_visible()

    drag(page, "scatter", (0.1, 0.1), (0.6, 0.9))
    page.wait_for_url("**filter=box**")
    box = from_text(filters(page)[1])
    assert isinstance(box, Box)
    both = left[left["tokens_chosen"].between(box.x.low, box.x.high) & left["reward_chosen"].between(box.y.low, box.y.high)]
    shown_rows(page, len(both))

    page.reload()
    shown_rows(page, len(both))
    expect(page.get_by_test_id("stMultiSelect").first).to_contain_text("reward_chosen")


def test_boxes_drawn_while_something_runs_all_count(serve: Serve, page: Page, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, ROWS, state="running")
    page.goto(f"{serve(workspace.root)}/explore?chart=none")
    drag(page, "scatter", (0.1, 0.1), (0.9, 0.9))
    page.wait_for_url("**filter=box**")
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    for done, right in enumerate((0.9, 0.7, 0.8, 0.6, 0.75), start=1):
        before = page.url
        drag(page, "histogram-reward_rejected", (0.2, 0.4), (right, 0.6))
        page.wait_for_function("before => location.href !== before", arg=before)
        write_json(folder / "status.json", status | {"done": done * ROWS // 100})  # shown: the page has drawn itself again
        expect(page.get_by_role("link", name=f"scoring demo {done}%")).to_be_visible()
        assert [one.split(" ")[0] for one in filters(page)] == ["box", "between"]


def test_what_runs_is_said_in_full_beside_every_page(serve: Serve, page: Page, tmp_path: Path) -> None:
    name = "a-dataset-of-a-long-name"
    made = preferences(16)
    write_scores(Workspace(tmp_path), name, made, write_dataset(Workspace(tmp_path), name, made), done=4, state="running")
    page.goto(f"{serve(tmp_path)}/datasets")
    line = page.get_by_test_id("stSidebar").get_by_text(f"scoring {name} 25%, 3 s left")
    expect(line).to_be_visible()
    assert line.evaluate("one => one.scrollWidth <= one.clientWidth && getComputedStyle(one).whiteSpace === 'normal'")


def test_a_click_on_a_bar_keeps_its_category_and_a_chip_lets_it_go(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore")
    settled(page)
    bar = page.locator('[class*="st-key-drawn-bars-source"] .bars .point path').first
    bar.hover(force=True)  # Plotly listens on a layer above it, and takes a click for what it has noticed under the mouse before
    page.wait_for_function("() => [...document.querySelectorAll('.js-plotly-plot')].some(plot => plot._hoverdata?.length)")
    bar.click(force=True)
    page.wait_for_url("**filter=is**")
    assert filters(page) == ['is ["forum"] source']
    shown_rows(page, ROWS // 5)
    page.get_by_test_id("stMultiSelect").first.get_by_role("button").first.click()
    shown_rows(page, ROWS)


def test_a_row_is_opened_from_the_table_and_left_with_keys(serve: Serve, page: Page, workspace: Workspace) -> None:
    ids = list(light_table(open_view(workspace, "demo")).sort_values("reward_chosen", ascending=False)["id"])
    page.goto(f"{serve(workspace.root)}/explore")
    settled(page)
    click_cell(page, 150, row=3)
    expect(page.get_by_text(f"row 3 of {ROWS}")).to_be_visible()
    assert f"row={ids[2]}" in page.url
    expect(page.locator("[title*=contribution]").first).to_be_visible()
    settled(page)  # until the table is drawn anew it has the focus, and an arrow key moves its own mark
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(f"row 4 of {ROWS}")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text(f"row 3 of {ROWS}")).to_be_visible()


def test_on_a_narrow_screen_the_row_that_is_read_stands_above_its_table(serve: Serve, page: Page, workspace: Workspace) -> None:
    address = serve(workspace.root)
    page.set_viewport_size({"width": 480, "height": 900})
    for path in ("explore?chart=none", "curate?tab=Kept&fraction=1", "curate?tab=Borderline&keep=highest"):
        page.goto(f"{address}/{path}")
        settled(page)
        page.get_by_test_id("stDataFrame").first.scroll_into_view_if_needed()
        click_cell(page, 150, row=2)
        expect(page.get_by_text(re.compile(r"^row \d+ of \d+"))).to_be_in_viewport()


def test_a_heading_sorts_all_rows(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore?chart=none")
    settled(page)
    click_cell(page, 330, row=0)
    expect(page.get_by_text("sorted by reward_chosen ↑")).to_be_visible()
    assert "sort=reward_chosen" in page.url


def test_the_view_is_kept_on_the_way_to_another_page_and_back(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore?{urlencode({'filter': 'between 0.05 0.1 reward_chosen'})}")
    count = int(light_table(open_view(workspace, "demo"))["reward_chosen"].between(0.05, 0.1).sum())
    shown_rows(page, count)
    page.get_by_role("link", name="Data").first.click()
    expect(page.get_by_role("heading", name="What was read")).to_be_visible()
    page.get_by_role("link", name="Explore").first.click()
    shown_rows(page, count)
    page.wait_for_url("**filter=between**")


def test_histograms_fill_while_the_scorer_runs_and_the_timer_stops_after(serve: Serve, page: Page, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = write_demo(workspace, 120, done=120, state="running")
    later = (folder / "part-00001.parquet").rename(folder / "later")
    page.goto(f"{serve(workspace.root)}/explore")
    expect(page.get_by_text("30 scored").first).to_be_visible()
    later.rename(folder / "part-00001.parquet")
    expect(page.get_by_text("120 scored").first).to_be_visible()
    expect(page.get_by_role("link", name="scoring demo")).to_be_visible()
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    write_json(folder / "status.json", status | {"state": "finished"})
    expect(page.get_by_role("link", name="scoring demo")).to_have_count(0)
    expect(page.get_by_text("rows/s")).to_have_count(0)


def test_a_scorer_that_fails_says_why_without_a_click(serve: Serve, page: Page, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_dataset(workspace, "plain", preferences(8))
    page.goto(f"{serve(workspace.root)}/datasets")
    page.get_by_role("textbox", name="Score with the model").fill(str(tmp_path / "no model here"))
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_enabled()
    page.get_by_role("button", name="See its rows and rewards").click()
    expect(page.get_by_text("Scoring failed")).to_be_visible(timeout=2 * WAIT_MILLISECONDS)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_role("button", name="Score it")).to_be_visible()


def test_text_of_a_dataset_is_harmless_and_readable(serve: Serve, page: Page, tmp_path: Path) -> None:
    texts = [
        "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'><svg onload='window.hurt = 3'>",
        "![picture](http://localhost/x.png) [link](javascript:window.hurt=4) <b>bold</b> &lt;i&gt; &amp;",
        ":red[red] :material/home: $\\frac{1}{2}$ `code` </div></div><style>* {display: none}</style>",
        "\u202eturned\u202c \x00 NUL and שלום עולם",
        "w" * 100_000,
    ]
    workspace = Workspace(tmp_path)
    made = [
        Preference(
            (Message("user", text), Message("assistant", text), Message("user", text)),
            (Response(text, 1), Response("no " + text, 2)),
            source=text[:70],
        )
        for text in texts
    ]
    ids = write_dataset(workspace, "demo", made, [{"file": texts[0], "line": 1, "reason": texts[1], "original": text} for text in texts])
    write_scores(workspace, "demo", made, ids)
    address = serve(workspace.root)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog opened: {dialog.message}"))
    for row, text in zip(ids, texts, strict=True):
        page.goto(
            f"{address}/explore?{urlencode({'row': row, 'filter': 'is ' + json.dumps([source.source for source in made]) + ' source'})}"
        )
        box = page.locator("[data-testid=stHtml] div[dir=auto]").first
        expect(box).to_contain_text(visible(text[:30]))
        unharmed(page)
    for place, text in enumerate(texts):
        page.goto(f"{address}/datasets?refused={place}")
        expect(page.locator("[data-testid=stHtml] div[dir=auto]")).to_contain_text(visible(text[:30]))
        unharmed(page)


def unharmed(page: Page) -> None:
    assert page.evaluate("window.hurt") is None
    assert page.locator("[data-testid=stMain] img, [data-testid=stMain] [data-testid=stHtml] :is(svg, b b, i)").count() == 0
    [script] = page.locator("[data-testid=stMain] script").all_text_contents()
    assert script == EMPTY_PAGE  # the frame's own, and no other
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth + 1")
    assert page.locator("a[href^='javascript']").count() == 0


def test_an_uploaded_file_is_imported_and_its_copy_is_gone(serve: Serve, page: Page, tmp_path: Path) -> None:
    source, workspace = tmp_path / "my pairs.jsonl", Workspace(tmp_path / "workspace")
    made = [{"prompt": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(20)]
    source.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    page.goto(f"{serve(workspace.root)}/datasets")
    page.locator("input[type=file]").set_input_files(source)
    expect(page.get_by_text("good 0")).to_be_visible()
    expect(page.get_by_role("textbox", name="Name")).to_have_value("my-pairs")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("20 of 20 rows kept, 0 refused")).to_be_visible()
    expect(page.get_by_text("my pairs.jsonl", exact=True)).to_have_count(0)  # the uploader is empty again
    assert workspace.dataset_info("my-pairs")["rows_kept"] == 20
    assert not list(workspace.root.glob(".uploads/*"))


def test_a_pattern_that_cannot_work_is_mended_in_its_box(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore")
    settled(page)
    box = page.get_by_role("textbox", name="this text")
    box.fill("/(/")
    box.press("Enter")
    expect(page.get_by_text("Expected a regular expression")).to_be_visible()
    shown_rows(page, ROWS)
    assert not filters(page)
    box.fill("/question 1\\d:/")
    box.press("Enter")
    shown_rows(page, 10)
    expect(page.get_by_text("Expected a regular expression")).to_have_count(0)


def test_a_link_whose_filter_cannot_work_has_a_chip_to_remove_it(serve: Serve, page: Page, workspace: Workspace) -> None:
    page.goto(f"{serve(workspace.root)}/explore?{urlencode({'filter': 'matches ('})}")
    expect(page.get_by_text("a regular expression")).to_be_visible()
    page.get_by_test_id("stMultiSelect").first.get_by_role("button").first.click()
    shown_rows(page, ROWS)
    expect(page.get_by_text("a regular expression")).to_have_count(0)
