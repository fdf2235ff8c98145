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

import pytest
from playwright.sync_api import Browser, Page, Route
from support import Book

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


def showing(*bundles: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a code cell of a file, with outputs of these forms."""
    outputs = [
        {"output_type": "display_data", "data": dict(data), "metadata": {}} for data in bundles
    ]
    return {
        "cell_type": "code",
        "source": "1",
        "execution_count": 1,
        "metadata": metadata,
        "outputs": outputs,
    }


def made(tmp_path: Path, *cells: Mapping[str, Any], **options: Any) -> Book:
    """Make a book with one notebook whose outputs are in its file."""
    book = Book(tmp_path / "book", tmp_path / "runs.txt")
    book.conf("suppress_warnings = ['config.cache']", execute="off", **options)
    book.index("page")
    book.ipynb("page.ipynb", "# Page", *cells, counts=False)
    return book


def test_a_figure_of_plotly_is_drawn_from_this_site_alone(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    book = made(tmp_path, showing({PLOTLY: FIGURE}), scripts="local")
    assert book.build("-W").status == 0
    with opened(browser, book.folder / "_build" / "html", "page.html") as (page, seen):
        page.wait_for_selector("svg.main-svg")
        assert page.locator(".gtitle").first.text_content() == "T"
        assert seen == Seen()
