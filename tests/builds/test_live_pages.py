"""Pages with outputs that scripts draw: which scripts they load, and what other builders show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import Book, stored_cell

PLOTLY = "application/vnd.plotly.v1+json"
VEGALITE = "application/vnd.vegalite.v5+json"
FIGURE = {"data": [{"type": "bar", "x": ["a", "b"], "y": [1, 3]}]}
CHART = {"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a"}}}
VEGA = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


def scripts(page: str) -> list[str]:
    """Return the addresses of the scripts of a page that outputs need."""
    found = re.findall(r'<script[^>]*? src="([^"]+)"', page)
    return [address for address in found if re.search("nbcache-(live|scripts)|://", address)]


@pytest.fixture
def live(book: Book) -> Book:
    """A book whose notebook shows the outputs in its file."""
    book.conf(execute="off")
    book.index("page", "other")
    book.ipynb("other.ipynb", "# Other", stored_cell({"text/plain": "plain"}), counts=False)
    return book


def page_of(book: Book, *cells: Mapping[str, Any], builder: str = "html", options: str = "") -> str:
    """Build a book with a page of these cells; return the page."""
    book.ipynb("page.ipynb", "# Page", *cells, counts=False)
    built = book.build("-W", *options.split(), builder=builder)
    assert built.status == 0, built.warnings
    return read(book, "page.html" if builder == "html" else "page.txt", builder)


def read(book: Book, name: str, builder: str = "html") -> str:
    return (book.folder / "_build" / builder / name).read_text("utf-8")


def test_only_a_page_with_charts_loads_their_libraries_each_once(live: Book) -> None:
    page = page_of(
        live, stored_cell({PLOTLY: FIGURE}, {VEGALITE: CHART}), stored_cell({PLOTLY: FIGURE})
    )
    plotly, vega, lite, embed, ours = scripts(page)
    assert plotly == "https://cdn.jsdelivr.net/npm/plotly.js-dist-min@4.1.1/plotly.min.js"
    assert vega == "https://cdn.jsdelivr.net/npm/vega@5.33.1/build/vega.min.js"
    assert "vega-lite@5" in lite
    assert "vega-embed@6" in embed
    assert ours.startswith("_static/nbcache-live.js")
    for tag in re.findall(r"<script[^>]*jsdelivr[^>]*>", page):
        assert re.search(r'integrity="sha384-[^"]{64}"', tag)
        assert 'crossorigin="anonymous"' in tag
    assert scripts(read(live, "other.html")) == []
    assert page.count('data-nbcache-kind="plotly"') == 2


def test_the_data_of_a_chart_are_in_the_page_as_json(live: Book) -> None:
    title = "</script><script>alert(1)</script>"
    page = page_of(live, stored_cell({PLOTLY: {**FIGURE, "layout": {"title": title}}}))
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert json.loads(text)["layout"]["title"] == title


def test_the_same_page_has_the_same_bytes_and_its_scripts_in_each_build(live: Book) -> None:
    first = page_of(live, stored_cell({PLOTLY: FIGURE}))
    # Another page has changed: this one is written again, from the stored doctree.
    live.index("page", "other", text="More")
    assert live.build("-W", "-D", "html_short_title=X", "-j2").status == 0
    again = read(live, "page.html")
    assert scripts(again) == scripts(first)
    article = re.compile(r'<div class="body".*</article>|<div class="body".*?<footer', re.DOTALL)
    assert article.findall(again) == article.findall(first)


def test_other_builders_show_another_form_or_say_where_it_is(live: Book) -> None:
    cells = [
        stored_cell({PLOTLY: FIGURE}),
        stored_cell({VEGALITE: CHART, "text/plain": "alt.Chart(...)"}),
    ]
    page = page_of(live, *cells, builder="text")
    assert "This output is interactive" in page
    assert "alt.Chart(...)" in page
    built = live.build(builder="epub")
    assert "nbcache." not in built.warnings
    page = read(live, "page.xhtml", "epub")
    assert "<script" not in page
    assert "alt.Chart(...)" in page
    for builder in (
        "singlehtml",
        "dirhtml",
        "latex",
        "man",
        "gettext",
        "pseudoxml",
        "json",
        "linkcheck",
    ):
        # Sphinx lets gettext share doctrees with no other builder.
        trees = ["-d", str(live.folder / "_build" / "texts")] if builder == "gettext" else []
        built = live.build(*trees, builder=builder)
        assert built.status == 0, (builder, built.warnings)
        assert "nbcache." not in built.warnings
    assert len(scripts(read(live, "index.html", "singlehtml"))) == 5
    assert scripts(read(live, "page/index.html", "dirhtml"))[-1].startswith("../_static/nbcache-")


def test_in_local_mode_libraries_come_from_a_folder(live: Book) -> None:
    for name in VEGA:
        package = name.removesuffix(".min.js")
        live.write(f"npm/node_modules/{package}/build/{name}", f"// {name}")
        live.write(f"npm/node_modules/{package}/README.md", "no document")
    page = page_of(live, stored_cell({VEGALITE: CHART}), options="-D nbcache_scripts=npm -j2")
    found = scripts(page)
    assert len(found) == 4
    for address, name in zip(found, VEGA, strict=False):
        file = live.folder / "_build" / "html" / address.partition("?")[0]
        assert file.read_text() == f"// {name}"
    assert "://" not in "".join(found)


def test_what_is_not_on_this_machine_is_one_warning_with_its_remedy(live: Book) -> None:
    chart = stored_cell({VEGALITE: CHART, "text/plain": "alt.Chart(...)"})
    live.ipynb("page.ipynb", "# Page", chart, chart, counts=False)
    built = live.build("-D", "nbcache_scripts=local")
    assert built.warnings.count("vega 5.33.1 is not on this machine") == 1
    assert "page.ipynb" in built.warnings
    assert "npm install --prefix FOLDER vega@5.33.1" in built.warnings
    assert "nbcache.scripts" in built.warnings
    page = read(live, "page.html")
    assert page.count("alt.Chart(...)") == 2
    assert scripts(page) == []


def test_a_chart_that_loads_from_elsewhere_is_not_shown_in_local_mode(live: Book) -> None:
    for name in VEGA:
        live.write(f"npm/{name}", "")
    chart = {**CHART, "data": {"url": "https://example.org/data.csv"}}
    live.ipynb(
        "page.ipynb", "# Page", stored_cell({VEGALITE: chart, "text/plain": "C"}), counts=False
    )
    built = live.build("-D", "nbcache_scripts=npm")
    assert "'https://example.org/data.csv' from another host" in built.warnings
    assert "example.org" not in read(live, "page.html")


@pytest.mark.parametrize("value", [[], "x", None, {}, {"data": 1}, {"data": None}, 3])
def test_a_hostile_value_is_a_warning(live: Book, value: Any) -> None:
    bundles = [{PLOTLY: value, "text/plain": "first"}, {VEGALITE: value, "text/plain": "second"}]
    live.ipynb("page.ipynb", "# Page", stored_cell(*bundles), counts=False)
    built = live.build()
    assert built.status == 0
    assert "nbcache.mime" in built.warnings
    assert "first" in read(live, "page.html")


def test_a_value_that_is_nested_too_deeply_is_a_warning(live: Book, tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    live.ipynb("page.ipynb", "# Page", stored_cell({PLOTLY: {"data": deep}}), counts=False)
    assert live.build().status == 0


BOKEH = 'Bokeh.embed.embed_items({"version":"3.4.1"})'


def test_javascript_is_json_in_the_page_and_nothing_elsewhere(live: Book) -> None:
    bundle = {
        "application/javascript": "element.append('</script>')",
        "text/plain": "<IPython.core.display.Javascript object>",
    }
    page = page_of(live, stored_cell(bundle))
    assert page.count("</script>') ") == 0
    (text,) = re.findall(r'kind="javascript"><script type="application/json">(.*?)<', page)
    assert json.loads(text) == "element.append('</script>')"
    (ours,) = scripts(page)
    assert "nbcache-live.js" in ours
    text = page_of(live, stored_cell(bundle), builder="text")
    assert "Javascript object" not in text
    assert "This output is interactive" in text


def test_bokeh_is_loaded_once_in_the_version_of_the_plots(live: Book) -> None:
    loading = {
        "application/javascript": "root._bokeh_is_loading = 1",
        "application/vnd.bokehjs_load.v0+json": "root._bokeh_is_loading = 1",
    }
    plot = {"application/javascript": BOKEH, "application/vnd.bokehjs_exec.v0+json": ""}
    page = page_of(live, stored_cell(loading), stored_cell(plot, plot))
    bokeh, _ = scripts(page)
    assert bokeh == "https://cdn.bokeh.org/bokeh/release/bokeh-3.4.1.min.js"
    assert "_bokeh_is_loading" not in page


def test_json_is_a_tree_and_text_elsewhere(live: Book) -> None:
    bundle = {
        "application/json": {"a": ["<b>"]},
        "text/plain": "<IPython.core.display.JSON object>",
    }
    page = page_of(live, stored_cell(bundle))
    assert "&lt;b&gt;" in page
    assert "<details" in page
    assert scripts(page) == []
    text = page_of(live, stored_cell(bundle), builder="text")
    assert '"<b>"' in text
    assert "JSON object" not in text


def test_scripts_of_other_hosts_are_left_out_in_local_mode(live: Book) -> None:
    html = '<b>kept</b><script src="https://a.example.org/x.js"></script>'
    live.ipynb("page.ipynb", "# Page", stored_cell({"text/html": html}), counts=False)
    assert live.build("-W").status == 0
    assert "a.example.org/x.js" in read(live, "page.html")
    built = live.build("-D", "nbcache_scripts=local")
    assert "https://a.example.org/x.js" in built.warnings
    assert "nbcache.scripts" in built.warnings
    page = read(live, "page.html")
    assert "<b>kept</b>" in page
    assert "example.org" not in page
    live.build(builder="epub")
    assert "example.org" not in read(live, "page.xhtml", "epub")


def stored_widgets(**models: Any) -> dict[str, Any]:
    """Return the metadata of a notebook with these models of widgets."""
    state = {
        name: {
            "model_name": "IntProgressModel",
            "model_module": module,
            "model_module_version": "2.0.0",
            "state": {},
        }
        for name, module in models.items()
    }
    return {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": state}}}


def widget(name: str) -> dict[str, Any]:
    return {
        "application/vnd.jupyter.widget-view+json": {"model_id": name},
        "text/plain": f"Widget({name})",
    }


def test_stored_widgets_are_shown_with_their_state(live: Book) -> None:
    metadata = stored_widgets(a="@jupyter-widgets/controls", c="@jupyter-widgets/controls")
    views = stored_cell(widget("a"), widget("b"))
    live.ipynb("page.ipynb", "# Page", views, counts=False, **metadata)
    assert live.build("-W").status == 0
    page = read(live, "page.html")
    require, manager = scripts(page)
    assert "/requirejs@" in require
    assert manager.endswith("/dist/embed-amd.js")
    assert page.count("widget-view+json") == page.count("widget-state+json") == 1
    assert '"c"' not in page
    assert "Widget(b)" in page
    assert "Widget(a)" not in page
    live.build(builder="text")
    assert "Widget(a)" in read(live, "page.txt", "text")


def test_widgets_of_other_packages_are_text_in_local_mode(live: Book) -> None:
    metadata = stored_widgets(a="jupyter-leaflet")
    live.ipynb("page.ipynb", "# Page", stored_cell(widget("a")), counts=False, **metadata)
    live.write("npm/require.js", "")
    live.write("npm/embed-amd.js", "")
    built = live.build("-D", "nbcache_scripts=npm")
    assert "the widgets of jupyter-leaflet" in built.warnings
    page = read(live, "page.html")
    assert "Widget(a)" in page
    assert "widget-state" not in page


@pytest.mark.kernel
def test_a_bar_that_a_run_filled_is_full_in_its_page(book: Book) -> None:
    book.conf()
    book.index("page")
    code = "import ipywidgets as w\nbar = w.IntProgress(max=3)\ndisplay(bar)\nbar.value = 3"
    book.myst("page.md", f"%%{code}")
    assert book.build("-W").status == 0
    page = read(book, "page.html")
    (text,) = re.findall(r'widget-state\+json">(.*?)</script>', page)
    models = json.loads(text)["state"].values()
    (value,) = [m["state"]["value"] for m in models if m["model_name"] == "IntProgressModel"]
    assert value == 3


def test_forms_are_chosen_by_builder(live: Book) -> None:
    priority = {"html": ["text/plain"], "*": ["-text/plain", "text/markdown"]}
    live.conf(execute="off", mime_priority=priority)
    bundle = {"text/html": "<b>rich</b>", "text/plain": "plain", "text/markdown": "*soft*"}
    page = page_of(live, stored_cell(bundle, {"text/plain": "only"}))
    assert "plain" in page
    assert "rich" not in page
    text = page_of(live, stored_cell(bundle, {"text/plain": "only"}), builder="text")
    assert "*soft*" in text
    assert "plain" not in text
    assert "only" not in text


def test_a_library_that_cannot_be_copied_costs_its_outputs_only(live: Book) -> None:
    for name in VEGA:
        live.write(f"npm/{name}", "")
    live.write("_build/html/_static/nbcache-scripts", "a file of this name")
    live.ipynb("page.ipynb", "# Page", stored_cell({VEGALITE: CHART}), counts=False)
    built = live.build("-D", "nbcache_scripts=npm")
    assert built.status == 0
    assert "vega-embed cannot be copied to" in built.warnings
    assert "nbcache.scripts" in built.warnings
    assert "# Page" not in read(live, "page.html")
