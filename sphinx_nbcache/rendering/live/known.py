"""Which libraries the scripts of outputs load or use: by address, and by what they call."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sphinx_nbcache.rendering.live.libraries import LIBRARIES, PLOTLY, REQUIRE, library

# The files and packages of the libraries alone: an author may have a `plotly-charts.js`.
_PLOTLY_AT = re.compile(
    r"/plotly\.js(?:-dist(?:-min)?)?[@/]v?(?P<major>\d+)?"
    r"|/plotly(?:-(?:latest|v?(?P<file>\d+)[\d.]*))?(?:\.min)?(?:\.js)?(?:[?#]|$)"
)
_VEGA_AT = re.compile(
    r"/(?P<package>vega-embed|vega-lite|vega)"
    r"(?:@v?(?P<major>\d+)|(?=/(?:\d|build|dist))|(?=(?:\.min)?\.js)|(?=[?#])|$)"
)
_BOKEH_AT = re.compile(r"/(?P<file>bokeh(?:-[a-z]+)?)-(?P<version>\d+\.\d+\.\d+)(?:\.min)?\.js")
_REQUIRE_AT = re.compile(r"/require(?:\.min)?\.js")
_MANAGER_AT = re.compile(r"/@jupyter-widgets/html-manager[@/]")
_MATHJAX_AT = re.compile(
    r"/mathjax[@/](?:.*/)?(?:mathjax|latest|(?:tex|mml)-[\w-]+)(?:\.min)?\.js", re.IGNORECASE
)
_USES_PLOTLY = re.compile(
    r"\bPlotly\s*\.\s*(?:newPlot|react|plot)\s*\(|require\(\[[\"']plotly[\"']"
)
_USES_REQUIRE = re.compile(
    r"(?<![\w.])(?:require(?:js)?\s*(?:\(\s*\[|\.config\s*\()|define\s*\(\s*[\[\"'])"
)
# A library that registers itself with require.js if that is there, and needs it not.
_UNIVERSAL = re.compile(r"\bdefine\s*\.\s*amd\b")
_USES_VEGA = re.compile(r"(?<![\w.])vegaEmbed\s*\(")
_USES_BOKEH = re.compile(r"\bBokeh\s*\.\s*embed\b")
_BOKEH_VERSION = re.compile(r'"version":\s*"(\d+\.\d+\.\d+)"')
# The classes that are in files of Bokeh besides the main one (`bokeh/embed/bundle.py`, 3.9).
_BOKEH_PARTS = {
    "bokeh-widgets": re.compile(
        r'"name":\s*"\w*(?:Button|Checkbox|Choices?|Div|Dropdown|Group|Input|Markdown|Paragraph|Picker|PreText'
        r'|Progress|Select|Slider|Spinner|Switch|Toggle)"'
    ),
    "bokeh-tables": re.compile(r'"name":\s*"(?:DataTable|DataCube|TableColumn)"'),
    "bokeh-gl": re.compile(r'"output_backend":\s*"webgl"'),
    "bokeh-mathjax": re.compile(r'"name":\s*"(?:TeX|MathML|Ascii)"|\$\$|\\\\\\\\[(\[]'),
}
# Possessive, so that the time is linear (https://docs.python.org/3/library/re.html).
_ADDRESS = re.compile(r"[\"'`](?P<url>(?:https?:)?//[^\"'`\s<>]++)[\"'`]")
_IMPORTED = re.compile(
    r"\b(?:from|import)\s*+(?:\(\s*+)?[\"'`](?P<url>(?:https?:)?//[^\"'`\s<>]++)[\"'`]",
    re.IGNORECASE,
)
# The addresses that a script would load: they end like a script, or are those of a CDN.
_SCRIPT_AT = re.compile(r"(?:\.m?js|\.css|/\+esm)\Z")
_CONFIGURES = re.compile(r"(?<![\w.])require(?:js)?\s*\.\s*config\s*\(")
_LONGEST = 1_000_000


def libraries_at(address: str) -> list[str] | None:
    """Return the libraries that a script at an address has; `None` for one that is not known."""
    if match := _BOKEH_AT.search(address):
        name = f"{match['file']}@{match['version']}"
        return [name] if library(name) else None
    if match := _PLOTLY_AT.search(address):
        return [_of_major("plotly", match["major"] or match["file"])]
    if match := _VEGA_AT.search(address):
        return [_of_major(match["package"], match["major"])]
    if _MANAGER_AT.search(address):
        return [REQUIRE, "html-manager"]
    if _REQUIRE_AT.search(address):
        return [REQUIRE]
    # The page has its own, or none: a second one would show its formulas once more.
    return [] if _MATHJAX_AT.search(address) else None


def _of_major(family: str, major: str | None) -> str:
    """Return the library of a major version, else the nearest one."""
    majors = sorted(found.major for found in LIBRARIES.values() if found.family == family)
    wanted = int(major) if major and len(major) < len("1000") else majors[-1]
    return f"{family}@{min(majors, key=lambda known: abs(known - wanted))}"


def libraries_used(code: str) -> list[str]:
    """Return the libraries that the code of a script uses without loading them."""
    names = []
    if _USES_PLOTLY.search(code):
        names.append(PLOTLY)
    if _USES_BOKEH.search(code) and (version := _BOKEH_VERSION.search(code)):
        # The version of the plot: another one may not be able to read it.
        names.append(f"bokeh@{version[1]}")
        parts = {part for part, uses in _BOKEH_PARTS.items() if uses.search(code)}
        if "bokeh-tables" in parts:
            parts.add("bokeh-widgets")
        names += [f"{part}@{version[1]}" for part in sorted(parts)]
    if _USES_VEGA.search(code):
        names += [_of_major(package, None) for package in ("vega", "vega-lite", "vega-embed")]
    if _USES_REQUIRE.search(code) and not is_universal(code):
        names.append(REQUIRE)
    return names


def loaded_by(code: str) -> Iterator[str]:
    """Yield the addresses from which the code of a script seems to load others."""
    code = code[:_LONGEST]
    if is_universal(code):
        return  # a library, which names addresses for what it may be asked to do
    # require.js wants addresses without the end of a script.
    any_counts = _CONFIGURES.search(code) is not None
    for match in _ADDRESS.finditer(code):
        path = match["url"].partition("?")[0]
        if any_counts or "/npm/" in path or _SCRIPT_AT.search(path):
            yield match["url"]
    for match in _IMPORTED.finditer(code):
        yield match["url"]


def is_universal(code: str) -> bool:
    """Tell whether code is a library that works with require.js and without it."""
    return _UNIVERSAL.search(code) is not None
