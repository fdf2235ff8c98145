"""Markdown outputs: no construct of any dialect harms its page, whatever the builder."""

from __future__ import annotations

import io
import json
import os
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import tinyhtml5
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils
from support import Book

BUILDERS = ("html", "epub", "latex", "text", "man", "texinfo", "xml", "pseudoxml", "singlehtml")
# Each construct of CommonMark, of GFM, and of MyST with its extensions; and what looks like one.
CONSTRUCTS = (
    "# One", "###### Six", "Setext\n===", "# \n\n#", "- a\n- b\n  - c", "1. a\n2. b", "> a\n> - b",
    "```python\nx = 1\n```", "```unknownlang\nx\n```", "    indented", "```", "***", "a\\\nb",
    "*a **b* c**", "`` ` ``", "[]()", "![]()", "[[x]]", "[ref]\n\n[ref]: https://x.y 'T'",
    "![img](nowhere.png)", "![img](conf.py)", "[file](conf.py)", "[page](index.md)",
    "[page](one.ipynb)", "[anchor](#h1)", "[missing](nope.md#x)", "<https://a.b>", "&copy; &#0;",
    "![d](data:image/png;base64,iVBORw0KGgo=)", "<div align=center>\n\n**x**\n\n</div>",
    "</div></div></section>", "<!-- open", "<script>var a", "<b>inline <i>x</b> </i> tail",
    "<svg><path d='x'/></svg>", "<br> <img src=x>",
    "<details><summary>s</summary>\n\nb\n\n</details>", "<li><div><li>", "<a name=x></a>",
    "<textarea>", "<select>", "<table>", "<template>", "a $x^2$ b", "$$y$$", "text $$z$$ text",
    "\\begin{equation}a\\end{equation}", "$$a$$ (lab)", "| a | b |\n|---|--:|\n| 1 | $x$ |",
    "~~strike~~", "- [ ] task\n- [x] done", "https://auto.link www.x.com", "text[^1]\n\n[^1]: foot",
    "[^unused]: never", "([^a-z]+)", "[^1]: [^1]", "[^x]: a\n\n    b\n\nr[^x] [^x]",
    "> [^q]: inside\n\nq[^q]", "a[^b]: c", "---\na: b\n---\nx", '+++ {"a": 1}', "% comment",
    "(target)=\n# T", "term\n: def", ":field: x\n:other: y", "[x]{.cls}", "{#id}\npara",
    "{{ sub }}", "{ref}`x`", "{numref}`fig`", "{py:func}`os.path`", "{math}`a`", "{eval}`x`",
    "{doc}`index`", "{abbr}`a (b)`", "{eq}`eq`", "{term}`x`", "{download}`conf.py`",
    "{download}`/etc/passwd`", "{nb-download}`one.ipynb`", "```{note}\nhello\n```",
    ":::{tip}\nhi\n:::", "~~~{code-cell}\nprint(1)\n~~~", "```{figure} x.png\n:name: fig\ncap\n```",
    "```{image} conf.py\n```", "```{toctree}\nindex\n```", "```{contents}\n```",
    "```{list-table}\n* - a\n  - b\n```", "```{csv-table}\n:file: conf.py\n```",
    "```{include} conf.py\n```", "```{literalinclude} conf.py\n```", "```{raw} html\n<b>\n```",
    "```{raw} latex\n\\bad{\n```", "```{math}\n:label: eq\na\n```", "```{glossary}\nx\n: y\n```",
    "```{eval-rst}\n.. _t:\n\nlink_ t_ |s| [C1]_ [#]_\n\n.. [#] n\n.. [C1] c\n```",
    "```{index} a; b\n```", "```{only} html\nx\n```", "```{py:function} f(a)\n:no-index:\nx\n```",
    "```{admonition} T\n:class: c\nx\n```", "```{sidebar} s\nx\n```", "```{topic} s\nx\n```",
    "```{container} c\nx\n```", "```{table} cap\n|a|\n|-|\n|b|\n```", "```{highlight} none\n```",
    "```{code-block} python\n:linenos:\n:emphasize-lines: 1\nx\n```", "```{header} x\n```",
    "```{tabularcolumns} ll\n```", "```{meta}\n:a: b\n```", "```{productionlist}\na: b\n```",
    "```{versionadded} 1\n```", "```{seealso}\nx\n```", "```{rubric} r\n```",
    "```{epigraph}\nx\n```", "```{parsed-literal}\nx *y*\n```", "```{jcache-report}\n```",
    "{jcache-status}`state`", "\x1b[31mred\x1b(B \x07 \ufffe",
)  # fmt: skip
INLINE = (
    "**b** x `c` $m$ [^1] *i* <b> </b> [l](#a) \\ ` {ref}`q` {{x}} &amp; <!-- --> $ $$ | \n".split(
        " "
    )
)


def some_markdown(source: random.Random) -> str:
    """Return a few constructs, next to or inside each other."""
    parts = [
        source.choice(CONSTRUCTS)
        if source.random() < 0.8
        else "".join(source.choices(INLINE, k=source.randint(1, 8)))
        for _ in range(source.randint(1, 4))
    ]
    text = source.choice(["\n\n", "\n\n", "\n"]).join(parts)
    if source.random() < 0.15:
        return "\n".join("> " + line for line in text.split("\n"))
    return "- " + text.replace("\n", "\n  ") if source.random() < 0.1 else text


def write_page(book: Book, texts: list[str]) -> None:
    """Write a notebook that has shown each text."""
    cells: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# Page\n\nx[^1]\n\n[^1]: y"}
    ]
    for number, text in enumerate(texts):
        output = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": text}}
        cells.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": {},
                "source": f"x{number}",
                "execution_count": 1,
                "outputs": [output],
            }
        )
    end = {"cell_type": "markdown", "id": "e", "metadata": {}, "source": "AFTER-ALL"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
    notebook = {"cells": [*cells, end], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    book.write("one.ipynb", json.dumps(notebook))


def build_all(folder: Path) -> None:
    """Build with every builder, from the same doctrees."""
    for name in BUILDERS:
        out, doctrees = folder / "_build" / name, folder / "_build" / "doctrees"
        with patch_docutils(str(folder)), docutils_namespace():
            app = Sphinx(
                str(folder), str(folder), str(out), str(doctrees), name,
                status=io.StringIO(), warning=io.StringIO(),
            )  # fmt: skip
            app.build(force_all=True)


@pytest.mark.parametrize("dialect", ["gfm", "commonmark", "myst"])
def test_no_markdown_of_an_output_harms_its_page(book: Book, dialect: str) -> None:
    extensions = "colon_fence deflist fieldlist attrs_inline attrs_block tasklist".split()
    extensions += "strikethrough substitution html_image".split()
    book.conf(f"myst_enable_extensions = {extensions}", execute="off", markdown=dialect)
    book.write("index.md", "# I\n\n```{toctree}\none\n```\n")
    source = random.Random(os.environ.get("NBCACHE_SEED", "1"))
    write_page(book, [*CONSTRUCTS, *(some_markdown(source) for _ in range(100))])
    build_all(book.folder)
    built = book.folder / "_build"
    for path in [*(built / "epub").glob("*.xhtml"), *(built / "xml").glob("*.xml")]:
        ET.parse(path)
    page = tinyhtml5.parse((built / "html" / "one.html").read_text(), namespace_html_elements=False)
    parents = {child: parent for parent in page.iter() for child in parent}
    (after,) = (p for p in page.iter("p") if (p.text or "") == "AFTER-ALL")
    chain = [after]
    while chain[-1].get("class") != "body":
        chain.append(parents[chain[-1]])
    # It is where Markdown of the page belongs: in the section, and not in an output.
    assert [element.tag for element in chain[1:-1]] == ["section"]
    assert not any("passwd" in path.name for path in built.rglob("*"))
    tex = next((built / "latex").glob("*.tex")).read_text()
    assert "nbcache_markdown" not in tex.replace("\\_", "_"), "a file of the machine is shown"
