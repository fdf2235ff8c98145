"""The HTML of outputs: whatever it says, the page around it stays as it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest
import tinyhtml5
from hypothesis import example, given
from hypothesis import strategies as st

from sphinx_nbcache.rendering.html.clean import is_clean
from sphinx_nbcache.rendering.html.containing import (
    as_xhtml,
    contained,
    contained_pieces,
    with_formulas,
)

# What has an effect on what follows: each stands for a rule of HTML's parser.
NAMES = (
    "div p span b i a table tr td th tbody caption ul li dl dt dd select option button form h1 pre"
    " script style textarea title xmp iframe noembed noframes noscript plaintext template svg path"
    " foreignObject math mi annotation-xml body html head frameset base meta link br hr img input"
    " section details summary object video marquee nobr font listing".split()
)
TAGS = st.sampled_from(NAMES)
ATTRIBUTES = st.sampled_from(
    [
        "",
        ' class="a"',
        " id=x",
        ' title="</div></section>"',
        " href='a\"b'",
        " hidden",
        ' a"b',
        " xlink:href=x",
        " @click=y",
        " xmlns='urn:x'",
    ]
)
PIECES = st.one_of(
    st.builds("<{}{}>".format, TAGS, ATTRIBUTES),
    st.builds("</{}>".format, TAGS),
    st.builds("<{}/>".format, TAGS),
    st.sampled_from(
        [
            "<!--", "-->", "<!-- a -->", "<!", "<?", "</", "<", ">", "<![CDATA[", "]]>",
            "<!DOCTYPE html>", "&nbsp;", "&lt;", "&", "&#0;", "<script>'<!-- <script>'</script>",
            "<script><!--", "\x00", "\x1b[31m", "\x0c", "\ufffe", "\ud800", "text", "\n", "$x$",
            "<div", "<div title='", '<div title="', "<a b=c", "]]&gt;", "<style>a > b {}</style>",
        ]
    ),
)  # fmt: skip
SOUP = st.lists(PIECES, max_size=12).map("".join)


def page_with(shown: str) -> ET.Element:
    """Return a page with something in an element, as another parser reads it."""
    page: ET.Element = tinyhtml5.parse(
        "<!DOCTYPE html><html><head><title>T</title></head><body><main><section>"
        f'<div id="before">before</div><div id="output">{shown}</div>'
        '<p id="after">after <b>bold</b></p></section></main><footer>end</footer></body></html>',
        namespace_html_elements=False,
    )
    return page


def assert_is_whole(page: ET.Element) -> None:
    """Assert that everything around the output is in its place."""
    assert [child.tag for child in page] == ["head", "body"]
    body = page[1]
    assert [child.tag for child in body] == ["main", "footer"]
    assert not body.attrib
    assert "".join(body[1].itertext()) == "end"
    (section,) = body[0]
    assert [child.get("id") for child in section] == ["before", "output", "after"]
    assert [child.tag for child in section[2]] == ["b"]
    assert "".join(section[2].itertext()) == "after bold"


@given(SOUP)
def test_whatever_an_output_says_its_page_is_whole(html: str) -> None:
    own = contained(html)
    assert own is not None
    assert_is_whole(page_with(own))
    # A second time changes nothing: it was complete.
    assert contained(own) == own


@given(SOUP)
def test_clean_html_is_left_as_it_is_and_is_whole(html: str) -> None:
    if is_clean(html):
        assert_is_whole(page_with(html))


@example(["<math>", "<xmp><div>"], "a")
@given(st.lists(SOUP, max_size=5), st.sampled_from(["<p>words</p>", "<ul><li>a</li></ul>", "a"]))
def test_html_that_other_content_interrupts_is_contained_together(
    pieces: Sequence[str], between: str
) -> None:
    assert_is_whole(page_with(between.join(["", *contained_pieces(pieces), ""])))


@given(SOUP)
def test_xhtml_is_well_formed_and_says_the_same(html: str) -> None:
    xml = as_xhtml(html)
    root = ET.fromstring(f'<div xmlns="http://www.w3.org/1999/xhtml">{xml}</div>')
    own = contained(html)
    assert own is not None
    shown = page_with(own).find(".//*[@id='output']")
    assert shown is not None
    # Scripts are written in another way, and what they replace is not part of XHTML.
    if "script" not in html:
        assert words(root) == words(shown)


@given(st.lists(SOUP, max_size=5))
def test_interrupted_xhtml_is_well_formed_together(pieces: Sequence[str]) -> None:
    xml = "<p>x</p>".join(["", *contained_pieces(pieces, xml=True), ""])
    ET.fromstring(f'<div xmlns="http://www.w3.org/1999/xhtml">{xml}</div>')


def words(element: ET.Element) -> list[str]:
    """Return what an element says, without its tags."""
    return re.sub(r"[\s\x00]+", " ", "".join(element.itertext())).split()


TABLE = """<div>
<style scoped>
    .dataframe tbody tr th:only-of-type {{ vertical-align: middle; }}
</style>
<table border="1" class="dataframe">
  <thead><tr style="text-align: right;"><th></th><th>{head}</th></tr></thead>
  <tbody><tr><th>0</th><td>{cell}</td></tr></tbody>
</table>
<p>1 rows, 1 columns</p>
</div>"""


@pytest.mark.parametrize(
    "html",
    [
        TABLE.format(head="a", cell="&lt;b&gt;"),
        "<script>var a = 1 < 2;</script><div id='plot'></div>",
        "<p>a<br>b <img src=x.png alt='y'></p>",
        "<ul><li>a</li></ul>",
    ],
)
def test_simple_html_is_not_parsed(html: str) -> None:
    assert is_clean(html)
    own = contained(html)
    assert own is not None
    assert own == html


@pytest.mark.parametrize(
    "html",
    [
        "<table><table></table></table>",
        "<a><a></a></a>",
        "<p><div></div></p>",
        "<b><i></b></i>",
        "<td>a</td>",
        "<script><!-- <script></script>",
        "<select><option>a</option></select>",
        "<body class=x></body>",
        "<li>a<li>b",
    ],
)
def test_html_that_browsers_complete_in_ways_of_their_own_is_not_clean(html: str) -> None:
    assert not is_clean(html)


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>shown</p><!-- left open", "<p>shown</p>"),
        ("<script>var a = 1;", "<script>var a = 1;</script>"),
        ("<b>x</b></div></div></section>", "<b>x</b>"),
        ("<plaintext>a<b>", "<pre>a&lt;b&gt;</pre>"),
        ("<base href='x'>y<meta http-equiv='refresh' content='0'>", "y"),
        ("<noscript><p>a", "<noscript><p>a</p></noscript>"),
        (
            "<script>'<!-- <script>' </script>x",
            r"<script>'\u003C!-- \u003Cscript>' \u003C/script>x</script>",
        ),
        ("<pre>\n\na</pre><i>", "<pre>\n\na</pre><i></i>"),
        ("<template><td>a", "<template><td>a</td></template>"),
        ("<p class='a' onclick=\"f('x')\">a", '<p class="a" onclick="f(&#x27;x&#x27;)">a</p>'),
    ],
)
def test_an_output_is_completed(html: str, shown: str) -> None:
    own = contained(html)
    assert own is not None
    assert own == shown


SVG_LINK = (
    '<svg xmlns="http://www.w3.org/2000/svg"><a xlink:href="x"'
    ' xmlns:xlink="http://www.w3.org/1999/xlink"><path d="M0"></path></a></svg>'
)


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("a<br>b&nbsp;c", "a<br />b\xa0c"),
        (
            "<svg><a xlink:href='x'><path d='M0'/></a></svg>",
            SVG_LINK,
        ),
        ("<svg><link>", '<svg xmlns="http://www.w3.org/2000/svg"><link></link></svg>'),
        ("<script>a < b && c</script>", "<script>a &lt; b &amp;&amp; c</script>"),
        ("<p hidden @click=x a:b=y>z", '<p hidden="">z</p>'),
        ("<noscript>a<br></noscript>", "a<br />"),
    ],
)
def test_epub_has_the_same_as_xml(html: str, shown: str) -> None:
    assert as_xhtml(html) == shown


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>$a$ and $$b$$</p>", ["\\(a\\)", "\\[b\\]"]),
        ("<p>\\(a < b\\) and \\[b\\]</p>", ["\\(a &lt; b\\)", "\\[b\\]"]),
        (TABLE.format(head="$M_1$", cell="1"), ["\\(M_1\\)"]),
        (TABLE.format(head="M", cell="$5"), []),
        ("<code>$a$</code><pre>$b$</pre><script>'$c$'</script>", []),
        ("<span class='tex2jax_ignore x'>$a$</span>", []),
        (r"<p>\$5 and \$6</p>", []),
        ("<p title='$a$'>b</p>", []),
        ("<svg><text>$a$</text></svg>", []),
    ],
)
def test_formulas_are_marked_for_mathjax_as_jupyter_shows_them(
    html: str, shown: Sequence[str]
) -> None:
    own = contained(html)
    assert own is not None
    assert "notranslate" not in own
    marked = with_formulas(own)
    assert (marked is not None) == bool(shown)
    found = re.findall(r'<span class="math notranslate nohighlight">(.*?)</span>', marked or own)
    assert found == shown


@given(SOUP)
def test_marked_formulas_leave_the_page_whole(html: str) -> None:
    own = contained(html)
    assert own is not None
    if (marked := with_formulas(own)) is not None:
        assert_is_whole(page_with(marked))


def test_very_deep_and_very_long_html_takes_little_time() -> None:
    deep = contained("<div>" * 20_000)
    assert deep is not None
    assert deep.count("</div>") == 20_000
    script = f"<div><script>{'var a = [1, 2, 3];' * 100_000}</script>"
    long = contained(script)
    assert long is not None
    assert long == f"{script}</div>"
