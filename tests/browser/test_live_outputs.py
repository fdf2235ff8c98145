"""Outputs that scripts draw, in a real browser: drawn, without errors, from this site alone."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import npm_files
import pytest
from playwright.sync_api import Browser, Page, Route
from support import Book, stored_cell

from sphinx_nbcache.rendering.live.libraries import LIBRARIES

pytest_plugins = ["support_browser"]
pytestmark = pytest.mark.browser

PLOTLY = "application/vnd.plotly.v1+json"
FIGURE = {
    "data": [{"type": "bar", "x": ["a", "b"], "y": [1, 3]}],
    "layout": {"title": {"text": "T"}},
}


@dataclass
class Seen:
    """What a browser saw of a page: what must not be there."""

    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base class)
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yield its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def opened(browser: Browser, folder: Path, name: str) -> Iterator[tuple[Page, Seen]]:
    """Open a page of a site; requests to other hosts fail and are noted."""
    seen, page = Seen(), browser.new_page()
    with served(folder) as address:

        def answer(route: Route) -> None:
            if route.request.url.startswith(address):
                route.continue_()
            else:
                seen.foreign.append(route.request.url)
                route.abort()

        page.route("**/*", answer)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on(
            "console",
            lambda said: seen.errors.append(said.text) if said.type == "error" else None,
        )
        page.goto(f"{address}/{name}", wait_until="networkidle")
        yield page, seen
    page.close()


def made(tmp_path: Path, *cells: Mapping[str, Any], **options: Any) -> Book:
    """Make a book with one notebook whose outputs are in its file."""
    book = Book(tmp_path / "book", tmp_path / "runs.txt")
    book.conf("suppress_warnings = ['config.cache']", execute="off", **options)
    book.index("page")
    book.ipynb("page.ipynb", "# Page", *cells, counts=False)
    return book


def test_a_figure_of_plotly_is_drawn_from_this_site_alone(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    book = made(tmp_path, stored_cell({PLOTLY: FIGURE}), scripts="local")
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        page.wait_for_selector("svg.main-svg")
        assert page.locator(".gtitle").first.text_content() == "T"
        assert seen == Seen()


NPM = pytest.mark.skipif(not npm_files.ASKED, reason=npm_files.WHY_SKIPPED)


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the libraries that no installed package has."""
    folder = tmp_path_factory.mktemp("npm")
    wanted = [found for found in LIBRARIES.values() if found.module != "plotly"]
    npm_files.fill(folder, wanted, tmp_path_factory.mktemp("packages"))
    return folder


def test_javascript_has_its_element_and_the_errors_of_one_stay_there(
    browser: Browser, tmp_path: Path
) -> None:
    codes = ["element.append('one')", "throw new Error('two')", "element.append('three')"]
    book = made(tmp_path, *(stored_cell({"application/javascript": code}) for code in codes))
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        shown = page.locator(".nbcache-live").all_inner_texts()
        assert [shown[0], shown[2]] == ["one", "three"]
        assert seen == Seen(errors=["two"])


def test_require_is_there_for_scripts_that_use_it(browser: Browser, tmp_path: Path) -> None:
    book = made(
        tmp_path,
        stored_cell({"application/javascript": "require([], () => element.append('loaded'))"}),
        scripts="npm",
    )
    book.write("npm/require.js", "window.require = (names, then) => then();")
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        assert page.get_by_text("loaded").count() == 1
        assert seen == Seen()


def test_a_library_that_cannot_be_loaded_is_named_in_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    book = made(tmp_path, stored_cell({PLOTLY: FIGURE}))
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        assert "cannot be drawn" in page.locator(".nbcache-live-problem").inner_text()
        (foreign,) = seen.foreign
        assert foreign.startswith("https://cdn.jsdelivr.net/npm/plotly.js-dist-min@4")


CELLS = (
    "# Page",
    "%%import plotly.graph_objects as go\nfigure = go.Figure(go.Bar(y=[1, 2]))\nfigure",
    "%%import plotly.io as pio\npio.renderers.default = 'notebook'\nfigure.show()",
    "%%pio.renderers.default = 'notebook_connected'\nfigure.show()",
    """\
    %%
    from bokeh.io import output_notebook, show
    from bokeh.plotting import figure as plot
    output_notebook()
    drawn = plot(width=200, height=200)
    drawn.line([1, 2], [3, 4])
    show(drawn)""",
    """\
    %%
    import altair as alt, pandas as pd
    chart = alt.Chart(pd.DataFrame({"a": [1, 2], "b": [3, 4]})).mark_bar().encode(x="a", y="b")
    chart""",
    "%%display({'application/vnd.vegalite.v6+json': chart.to_dict()}, raw=True)",
    "%%import ipywidgets as w\nbar = w.IntProgress(max=3)\ndisplay(bar)\nbar.value = 3",
)
DRAWN = {
    ".js-plotly-plot": 3,
    ".bk-Figure": 1,
    ".vega-embed canvas, .vega-embed svg.marks": 2,
    ".progress-bar": 1,
}


@pytest.mark.kernel
@NPM
@pytest.mark.parametrize("builder", ["html", "singlehtml"])
def test_charts_and_widgets_of_a_run_are_drawn_from_this_site_alone(
    browser: Browser, tmp_path: Path, npm: Path, builder: str
) -> None:
    for module in ("plotly", "bokeh", "altair", "ipywidgets"):
        pytest.importorskip(module)
    book = Book(tmp_path / "book", tmp_path / "runs.txt")
    book.conf(scripts=str(npm))
    book.index("page")
    book.myst("page.md", *CELLS, counts=False)
    assert book.build("-W", builder=builder).status == 0
    name = "page.html" if builder == "html" else "index.html"
    with opened(browser, book.folder / "_build" / builder, name) as (page, seen):
        for selector, count in DRAWN.items():
            page.wait_for_selector(selector)
            assert page.locator(selector).count() == count, selector
        assert page.locator(".nbcache-live-problem").all_inner_texts() == []
        width = page.locator(".progress-bar").evaluate("bar => bar.style.width")
        assert width == "100%"
        assert seen == Seen()


def test_a_folded_figure_is_drawn_in_its_width_when_it_is_unfolded(
    browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("plotly")
    book = made(tmp_path, stored_cell({PLOTLY: FIGURE}, tags=["hide-output"]), scripts="local")
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        assert page.locator("svg.main-svg").count() == 0
        page.locator("details summary").click()
        page.wait_for_selector("svg.main-svg")
        widths = [
            page.locator(selector).first.evaluate("e => e.getBoundingClientRect().width")
            for selector in ("svg.main-svg", ".nbcache-live")
        ]
        assert widths[0] == pytest.approx(widths[1], abs=1)
        assert seen == Seen()
