"""The report as a self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from sphinx_nbcache.report.html.markup import Html, element
from sphinx_nbcache.report.html.page import report_html
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import Report
from sphinx_nbcache.report.selection import Selection

STATIC = Path(__file__).parents[2] / "static"
COMMON_STYLE, REPORT_STYLE, SCRIPT = "nbcache.css", "nbcache-report.css", "nbcache-report.js"

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1em/1.5 system-ui, sans-serif; margin: 0; color: CanvasText; background: Canvas; }
main { max-width: 64em; margin: 0 auto; padding: 1em; }
h1 { font-size: 1.6em; }
pre { font-size: 0.85em; padding: 0.7em; margin: 0; border: 1px solid var(--nbcache-rule); }
a { color: LinkText; }
"""


def standalone_page(report: Report, title: str) -> str:
    """Return the report as a whole HTML page.

    Args:
        report: The report.
        title: Its heading.
    """
    style = _STYLE + "".join(_static(name) for name in (COMMON_STYLE, REPORT_STYLE))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content_="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    fragment = report_html(report, Selection(), Links())
    body = element(
        "body",
        element("main", element("h1", title), fragment),
        element("script", Html(_static(SCRIPT))),
    )
    page = element("html", head, body, lang="en", data_theme="auto")
    return f"<!DOCTYPE html>\n{page}\n"


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
