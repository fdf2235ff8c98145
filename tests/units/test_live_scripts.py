"""HTML and JavaScript with libraries: which ones they need, and what they load from elsewhere."""

from __future__ import annotations

import json
import re
import time

import pytest
from docutils import nodes

from sphinx_nbcache.rendering.live.html import render_scripts
from sphinx_nbcache.rendering.live.javascript import only_loads_bokeh
from sphinx_nbcache.rendering.live.known import libraries_at, libraries_used, loaded_by
from sphinx_nbcache.rendering.live.nodes import HAS_SCRIPT, HOSTS, LIBRARIES, LOCALLY

CDN = "https://cdn.jsdelivr.net/npm"
PLOT = 'Plotly.newPlot("x", [{"y": [1]}])'
WAITS = re.compile(r'<script type="application/json" data-nbcache-kind="script">(.*?)</script>')


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("https://cdn.plot.ly/plotly-2.35.2.min.js", ["plotly@2"]),
        ("https://cdn.plot.ly/plotly-4.1.1.min", ["plotly@4"]),
        ("https://cdn.plot.ly/plotly-latest.min.js", ["plotly@4"]),
        ("https://cdn.plot.ly/plotly-1.58.4.min.js", ["plotly@2"]),
        (f"{CDN}/plotly.js-dist@3", ["plotly@3"]),
        (f"{CDN}/vega@5", ["vega@5"]),
        (f"{CDN}/vega@5?noext", ["vega@5"]),
        (f"{CDN}/vega-lite@4.17.0?noext", ["vega-lite@4"]),
        (f"{CDN}/vega-embed@6", ["vega-embed@6"]),
        (f"{CDN}/vega-embed@99", ["vega-embed@7"]),
        ("https://cdn.bokeh.org/bokeh/release/bokeh-3.4.1.min.js", ["bokeh@3.4.1"]),
        ("https://cdn.bokeh.org/bokeh/release/bokeh-gl-3.4.1.min.js", ["bokeh-gl@3.4.1"]),
        ("https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.4/require.min.js", ["requirejs"]),
        (
            f"{CDN}/@jupyter-widgets/html-manager@1.0.6/dist/embed-amd.js",
            ["requirejs", "html-manager"],
        ),
        ("https://cdnjs.cloudflare.com/ajax/libs/mathjax/3.2.2/es5/tex-svg.min.js", []),
        ("https://cdn.bokeh.org/bokeh/release/bokeh-evil-3.4.1.min.js", None),
        (f"{CDN}/d3@7", None),
        ("https://example.org/vegan.js", None),
    ],
)
def test_libraries_are_known_by_their_addresses(address: str, names: list[str] | None) -> None:
    assert libraries_at(address) == names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (PLOT, ["plotly@4"]),
        ("require(['d3'], d => 1)", ["requirejs"]),
        ("requirejs.config({})", ["requirejs"]),
        ("define('x', [], 1)", ["requirejs"]),
        ("const requirement = redefine(1)", []),
        ("if (typeof define === 'function') {}", []),
        ('Bokeh.embed.x({"version":"3.4.1"})', ["bokeh@3.4.1"]),
        (
            'Bokeh.embed.x({"version":"3.4.1","name":"DataTable"})',
            ["bokeh@3.4.1", "bokeh-tables@3.4.1", "bokeh-widgets@3.4.1"],
        ),
        ('Bokeh.embed.x({"version":"3.4.1","name":"HelpTool"})', ["bokeh@3.4.1"]),
        ('Bokeh.embed.x({"version":"</script>"})', []),
        ("alert(1)", []),
    ],
)
def test_libraries_are_known_by_their_use(code: str, names: list[str]) -> None:
    assert libraries_used(code) == names


def test_what_a_script_loads_is_found_by_its_address() -> None:
    code = f"""s.src = "https://a.org/x.js?v=1"; import('//b.org/y.mjs'); u = '{CDN}/d3@7';
    link = "https://a.org/page.html"; own = "/static/x.js"; """
    found = ["https://a.org/x.js?v=1", "//b.org/y.mjs", f"{CDN}/d3@7"]
    assert [*dict.fromkeys(loaded_by(code))] == found
    code = 'import a from "https://a.org/a"; const b = await import(`https://b.org/b`)'
    assert [*loaded_by(code)] == ["https://a.org/a", "https://b.org/b"]


def only(html: str) -> nodes.Element:
    found = render_scripts(html)
    assert found is not None
    (node,) = found
    assert isinstance(node, nodes.Element)
    return node


def test_html_that_needs_nothing_is_left_alone() -> None:
    for html in ("<p>a</p>", "<script>alert(1)</script>", '<script type="text/x">a</script>'):
        assert render_scripts(html) is None


def test_the_tag_of_a_library_is_taken_out_and_other_scripts_wait_for_it() -> None:
    tag = '<script src="https://cdn.plot.ly/plotly-2.35.2.min.js" charset="utf-8"></script>'
    node = only(f'{tag}<div id="x"></div><script type="text/javascript">{PLOT}</script>')
    assert node[LIBRARIES] == ["plotly@2"]
    assert node[HAS_SCRIPT]
    assert "cdn.plot.ly" not in node.astext()
    (waits,) = WAITS.findall(node.astext())
    value = json.loads(waits)
    assert value == {"attributes": {"type": "text/javascript"}, "text": PLOT}


def test_plotly_in_the_output_itself_is_taken_out() -> None:
    library = "/**\n* plotly.js v4.1.1\n* Copyright\n*/\nlarge"
    node = only(f"<script>window.PlotlyConfig = {{}};</script><script>{library}</script>")
    assert (node[LIBRARIES], node.astext()) == ([], "")
    node = only(f'<script>{library}</script><div id="x"></div><script>{PLOT}</script>')
    assert node[LIBRARIES] == ["plotly@4"]
    assert "large" not in node.astext()


def test_what_comes_from_other_hosts_is_left_out_locally() -> None:
    html = (
        '<b>kept</b><script src="https://a.org/x.js"></script><script src="own.js"></script>'
        '<link rel="stylesheet" href="//a.org/x.css"><link href="own.css">'
        "<script>import('https://a.org/y.mjs')</script>"
        "<style>@import url('https://a.org/f.css') screen; b { color: red }</style>"
    )
    node = only(html)
    assert node[LIBRARIES] == []
    assert node.astext() == html
    files = ["f.css", "x.js", "y.mjs"]
    assert node[HOSTS] == ["//a.org/x.css", *(f"https://a.org/{file}" for file in files)]
    assert "b { color: red }" in node[LOCALLY]
    assert "a.org" not in node[LOCALLY]
    assert "<b>kept</b>" in node[LOCALLY]
    assert "own.js" in node[LOCALLY]
    assert 'href="own.css"' in node[LOCALLY]


def altair(spec: str, options: str = '{"mode": "vega-lite"}') -> str:
    return (
        '<div id="a"></div><script type="text/javascript">(function(spec, embedOpt){ let paths ='
        f' {{"vega": "{CDN}/vega@5"}}; vegaEmbed(1); }})({spec}, {options});</script>'
    )


def test_the_html_of_altair_is_a_chart() -> None:
    spec = '{"$schema": "https://vega.github.io/schema/vega-lite/v5.20.1.json", "mark": "bar"}'
    node = only(altair(spec, '{"mode": "vega-lite", "actions": false}'))
    assert node[LIBRARIES] == ["vega@5", "vega-lite@5", "vega-embed@6"]
    assert '"actions": false' in node.astext()
    assert "jsdelivr" not in node.astext()


@pytest.mark.parametrize("spec", ["{", '{"a": 1}', '{"$schema": 3}', '{"$schema": "x"}', "[" * 9])
def test_html_like_that_of_altair_never_ends_the_build(spec: str) -> None:
    render_scripts(altair(spec))


def test_outputs_that_only_load_bokeh_show_nothing() -> None:
    assert only_loads_bokeh({"application/vnd.bokehjs_load.v0+json": "x"})
    html = '<a class="bk-notebook-logo"></a><span>Loading BokehJS ...</span>'
    assert only_loads_bokeh({"text/html": html})
    assert not only_loads_bokeh({"text/html": "x", "application/javascript": "y"})
    assert not only_loads_bokeh({"text/html": 3})


UNIVERSAL = (
    '(function(g,f){typeof define==="function"&&define.amd?define(["exports"],f):f(g.Tiny={})})'
    "(this,e=>{e.v=1})"
)


def test_a_library_that_works_without_require_needs_no_require() -> None:
    assert libraries_used(UNIVERSAL) == []
    assert list(loaded_by(UNIVERSAL + '"https://example.org/x.js"')) == []


def test_embedding_a_chart_needs_the_libraries_of_vega() -> None:
    used = libraries_used('vegaEmbed("#vis", {})')
    assert [name.partition("@")[0] for name in used] == ["vega", "vega-lite", "vega-embed"]


@pytest.mark.parametrize(
    "address",
    [
        "_static/plotly-charts.js",
        "https://cdn.plot.ly/plotly-locale-de-latest.js",
        "/js/vega/helpers.js",
        "/js/vega-core.js",
        "/mathjax/my.js",
    ],
)
def test_files_of_authors_with_similar_names_are_no_libraries(address: str) -> None:
    assert libraries_at(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://cdn.plot.ly/plotly-3.0.1.min.js",
        "https://cdn.plot.ly/plotly-2.35.2.min",
        "https://cdn.jsdelivr.net/npm/plotly.js-dist-min@2.35.3/plotly.min.js",
        "https://cdnjs.cloudflare.com/ajax/libs/vega/5.33.0/vega.min.js",
        "https://cdn.jsdelivr.net/npm/vega-lite@5",
        "https://unpkg.com/vega-embed@6.29.0/build/vega-embed.min.js",
        "https://cdn.jsdelivr.net/npm/vega",
        "https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.5/MathJax.js?config=TeX",
        "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js",
    ],
)
def test_the_usual_addresses_of_libraries_are_known(address: str) -> None:
    assert libraries_at(address) is not None


def test_the_paths_of_require_count_as_addresses() -> None:
    code = 'require.config({paths: {d3: "https://d3js.org/d3.v7.min"}}); require(["d3"], f)'
    assert list(loaded_by(code)) == ["https://d3js.org/d3.v7.min"]


@pytest.mark.parametrize(
    "code",
    ['"//a' + "/npm/" * 100_000, "import" + " " * 500_000, '"//a' + ".js?" * 100_000],
    ids=["packages", "blanks", "ends"],
)
def test_addresses_are_found_in_linear_time(code: str) -> None:
    start = time.perf_counter()
    assert list(loaded_by(code)) == []
    assert time.perf_counter() - start < 2


def test_html_that_only_has_scripts_is_kept_if_one_of_them_does_something() -> None:
    found = render_scripts("<script>require([], () => document.body.append('x'))</script>")
    assert found is not None
    assert "document.body.append" in found[0].astext()
    only = render_scripts('<script src="https://cdn.plot.ly/plotly-3.0.1.min.js"></script>')
    assert only is not None
    assert only[0].astext() == ""


def test_mathjax_of_an_output_is_taken_out() -> None:
    found = render_scripts('<p>x</p><script src="https://a/mathjax/2.7/MathJax.js"></script>')
    assert found is not None
    assert found[0].astext() == "<p>x</p>"
