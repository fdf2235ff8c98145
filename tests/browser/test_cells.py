"""Ordinary pages in a real browser: folding, widths, accessibility, and what pages load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from support import Book

pytest_plugins = ["support_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.kernel]

THEMES = ("alabaster", "furo")
OURS = "div.cell"
LONG = "x" * 300
CELLS = (
    ("hide-input", "print('an output below a hidden source')"),
    ("hide-output", "print('a hidden output')"),
    ("hide-cell", "print('a hidden cell')"),
    ("hide-input, hide-output", "print('both are hidden')"),
    ("scroll-output", "print('\\n'.join(map(str, range(100))))"),
    ("", "import pandas\npandas.DataFrame({f'column {n}': [n, 10.5 * n] for n in range(25)})"),
    ("", f"print('{LONG}')"),
    ("", "import sys\nprint('a warning', file=sys.stderr)"),
    ("", "print('\\x1b[31mred\\x1b[0m, \\x1b[1;32mgreen\\x1b[0m and \\x1b[30;43mmarked\\x1b[0m')"),
    ("raises-exception", f"raise ValueError('{LONG}')"),
)
IMAGE = """%%
---
nbcache: {image: {alt: A blue area}, figure: {caption: The area, name: area}}
---
import matplotlib.pyplot as pyplot
figure, axes = pyplot.subplots(figsize=(12, 3))
axes.fill_between(range(5), range(5))
pyplot.show()
"""
TABLE = """%%
---
nbcache: {table: {caption: Two numbers, name: numbers}}
---
pandas.DataFrame({'a': [1, 2]})
"""
# What reaches beyond the page, and stands in no box that scrolls.
TOO_WIDE = """
[...document.querySelectorAll("div.cell, div.cell *")].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = element.parentElement; box; box = box.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return false;
  return element.offsetParent !== null;
}).map(element => element.outerHTML.slice(0, 200))
"""
COLLAPSED, EXPANDED = "Show code cell {}", "Hide code cell {}"


@dataclass
class Visit:
    """A page that was opened, and what is wrong with it."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def note(self, text: str, *, when: bool) -> None:
        if when:
            self.problems.append(text)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    folder = tmp_path_factory.mktemp("cells")
    made = Book(folder / "book", folder / "counter.txt")
    made.conf(prompts=True)
    made.index("cells", text="An ordinary page.")
    tagged = (
        f"%%\n---\ntags: [{tags}]\n---\n{code}" if tags else f"%%\n{code}" for tags, code in CELLS
    )
    made.myst("cells.md", "# Cells", *tagged, IMAGE, TABLE, counts=False)
    for theme in THEMES:
        built = made.build("-D", f"html_theme={theme}", output=theme)
        assert built.status == 0
        assert built.warnings == ""
    return made


def visit(context: BrowserContext, book: Book, theme: str) -> Visit:
    """Open the page of the cells; what it reports, and asks of other hosts, is kept."""
    made = Visit(context.new_page())
    made.page.on("pageerror", lambda error: made.problems.append(str(error)))
    made.page.on("console", lambda m: made.note(m.text, when=m.type in ("error", "warning")))
    made.page.on(
        "request", lambda r: made.note(r.url, when=not r.url.startswith(("file:", "data:")))
    )
    made.page.goto((book.folder / "_build" / theme / "cells.html").as_uri())
    return made


@pytest.fixture(params=THEMES)
def opened(request: pytest.FixtureRequest, context: BrowserContext, book: Book) -> Iterator[Visit]:
    made = visit(context, book, request.param)
    yield made
    assert made.problems == []


def test_cells_are_folded_and_unfolded_with_the_keyboard_alone(opened: Visit) -> None:
    page = opened.page
    expect(page.get_by_text("a hidden output", exact=True)).not_to_be_visible()
    for what, text in (
        ("source", "'an output below a hidden source'"),
        ("output", "a hidden output"),
        ("content", "a hidden cell"),
    ):
        fold = page.locator("summary").filter(has_text=COLLAPSED.format(what)).first
        content = page.locator("details").filter(has=fold).get_by_text(text).last
        show, hide = (fold.get_by_text(words.format(what)) for words in (COLLAPSED, EXPANDED))
        fold.focus()
        for key in ("Enter", "Space"):
            expect(content).not_to_be_visible()
            expect(show).to_be_visible()
            expect(hide).not_to_be_visible()
            page.keyboard.press(key)
            expect(content).to_be_visible()
            expect(show).not_to_be_visible()
            expect(hide).to_be_visible()
            page.keyboard.press(key)


def test_tab_reaches_every_fold_and_shows_where_it_is(opened: Visit) -> None:
    page = opened.page
    reached, rings = 0, []
    for _ in range(200):
        page.keyboard.press("Tab")
        if not page.evaluate("document.activeElement.matches('details.hide > summary')"):
            continue
        reached += 1
        style = "getComputedStyle(document.activeElement).outlineStyle"
        rings.append(page.evaluate(style))
        if reached == page.locator("details.hide > summary").count():
            break
    assert reached == 5
    assert "none" not in rings


def test_what_is_read_out_for_a_fold_is_what_is_shown(opened: Visit) -> None:
    fold = opened.page.locator("details.hide > summary").first
    expect(fold).to_have_accessible_name("Show code cell source")
    fold.click()
    expect(fold).to_have_accessible_name("Hide code cell source")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_to_complain_about_in_cells(
    browser: Browser, book: Book, theme: str, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 900},
    )
    made = visit(context, book, theme)
    made.page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true })")
    # The colours of highlighted sources are those of the theme.
    mine = {"include": [["div.cell"]], "exclude": [["div.cell_input > .highlight-ipython3"]]}
    # pandas writes a head without words.
    options = {"rules": {"empty-table-header": {"enabled": False}}}
    found = Axe().run(made.page, context=mine, options=options)
    assert found.violations_count == 0, found.generate_report()
    context.close()


def test_no_cell_is_wider_than_a_narrow_page(browser: Browser, book: Book) -> None:
    for theme in THEMES:
        context = browser.new_context(viewport={"width": 400, "height": 900})
        page = visit(context, book, theme).page
        page.eval_on_selector_all("details", "all => all.forEach(d => { d.open = true })")
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        context.close()


def test_long_outputs_scroll_in_their_box(opened: Visit) -> None:
    box = opened.page.locator(".tag_scroll-output > .cell_output")
    tall = box.evaluate("box => [box.clientHeight, box.scrollHeight]")
    assert tall[0] < 500 < tall[1]


def test_images_and_figures_have_their_words(opened: Visit) -> None:
    page = opened.page
    expect(page.get_by_role("img", name="A blue area")).to_be_visible()
    expect(page.locator("figure#area")).to_contain_text("The area")
    expect(page.locator("figure#numbers")).to_contain_text("Two numbers")


def test_a_table_with_a_caption_stands_in_the_middle_below_it(opened: Visit) -> None:
    middle = "box => { const r = box.getBoundingClientRect(); return r.left + r.width / 2 }"
    table, figure = (
        opened.page.locator(f"#numbers{inner}").evaluate(middle) for inner in (" table", "")
    )
    assert abs(table - figure) < 2


def test_a_fold_has_one_edge_and_its_source_none(opened: Visit) -> None:
    folded = opened.page.locator("details.hide div.cell_input > div")
    edge = "all => all.map(box => getComputedStyle(box).borderLeftWidth)"
    assert set(folded.evaluate_all(edge)) == {"0px"}


def test_the_words_of_a_fold_have_the_colour_of_the_text_under_themes_with_white_titles(
    opened: Visit,
) -> None:
    opened.page.add_style_tag(content="body .admonition-title { color: #fff; background: #6ab0de }")
    title = opened.page.locator("details.hide > summary p.admonition-title").first
    colour = "element => getComputedStyle(element).color"
    fold = opened.page.locator("details.hide > summary").first
    assert title.evaluate(colour) == fold.evaluate(colour) != "rgb(255, 255, 255)"


def test_marks_outside_a_list_are_not_cut_off_by_the_box_that_scrolls(opened: Visit) -> None:
    opened.page.set_viewport_size({"width": 400, "height": 800})
    room = """box => {
      const content = box.firstElementChild.getBoundingClientRect().left;
      return content - box.getBoundingClientRect().left;
    }"""
    for box in opened.page.locator("div.cell_output:visible").all():
        assert box.evaluate(room) >= 16


def test_whatever_is_folded_is_printed(opened: Visit) -> None:
    opened.page.emulate_media(media="print")
    for text in ("'an output below a hidden source'", "a hidden output", "a hidden cell"):
        expect(opened.page.locator("details").get_by_text(text).last).to_be_visible()
