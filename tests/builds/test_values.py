"""Values that notebooks glue, and expressions in their text: on their own page and on others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import processes
import pytest
from support import Book

import sphinx_nbcache

GLUED = """%%
from IPython.display import SVG, HTML, Markdown, Math
from sphinx_nbcache import glue
glue("pi", 3.14159)
glue("who", "Ada", display=False)
glue("table", HTML("<table><tr><td>cell</td></tr></table>"), display=False)
glue("words", Markdown("some **bold** words"), display=False)
glue("formula", Math(r"a^2"), display=False)
glue("note", Markdown("```{note}\\ninside\\n```"), display=False)
glue("picture", SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'))
"""
OWN = """
Text {glue:text}`who` {glue:text}`pi:.2f`; plain {glue}`pi`; Markdown {glue:md}`words`;
formula {glue:math}`formula`.

{glue}`table`

In a sentence: {glue}`table`.

```{glue:md} note
:format: myst
```

```{glue:figure} picture
:name: the-picture
:width: 40%

A picture of {glue:text}`who`.
```

```{glue:math} formula
:label: the-formula
```

See {numref}`the-picture` and {eq}`the-formula`.
"""
OTHER = """# Other

{glue:text}`values::pi:.1f`, {glue:text}`values.md::who`.

```{glue:figure} values::picture
:name: again

Again
```

```{glue} table
:doc: values
```
"""


@pytest.fixture
def values(book: Book) -> Book:
    """Return a book with a notebook, and two pages that show its values."""
    book.conf("numfig = True")
    book.myst("values.md", GLUED, OWN)
    book.write("other.md", OTHER)
    book.write("rest.rst", "Rest\n====\n\n:glue:text:`values::pi:.3f`\n")
    book.index("values", "other", "rest")
    return book


def main(page: str) -> str:
    """Return what a page says between its navigation parts, with white space made equal."""
    found = re.search(r'<div class="body".*?<div class="clearer">', page, re.DOTALL)
    assert found is not None
    return " ".join(found[0].split())


def test_a_notebook_shows_its_values_in_its_text(values: Book) -> None:
    built = values.build()
    assert (built.status, built.warnings) == (0, "")
    page = main(values.page("values"))
    assert 'Text <span class="pasted-text">Ada</span> <span class="pasted-text">3.14</span>' in page
    assert '<span class="output text_plain">3.14159</span>; Markdown' in page
    assert "some <strong>bold</strong> words" in page
    assert re.search(r"formula <span[^>]*>\\\(\\displaystyle a\^2\\\)</span>", page)
    # Where it stands alone, a table is a block. A sentence has the text.
    assert page.count("<table><tr><td>cell</td></tr></table>") == 1
    assert "In a sentence: " in page
    assert re.search(r'<p>In a sentence: <span class="output text_plain">&lt;IPython', page)
    assert '<div class="admonition note">' in page
    figure = re.search(r'<figure class="align-default" id="the-picture">.*?</figure>', page)
    assert figure is not None
    assert "width: 40%" in figure[0]
    assert 'Fig. 1 </span><span class="caption-text">A picture of' in figure[0]
    assert ">Fig. 1</span></a>" in page
    assert 'id="equation-the-formula"' in page
    assert 'href="#equation-the-formula">(1)</a>' in page


def test_references_to_titles_and_captions_have_their_values(values: Book) -> None:
    values.write(
        "rest.rst",
        "Rest\n====\n\n.. _here:\n\nPi is :glue:text:`values::pi:.1f`\n" + "-" * 40 + "\n\n"
        ":ref:`here`, :ref:`the-picture`\n",
    )
    assert values.build().warnings == ""
    page = values.page("rest")
    assert '<span class="std std-ref">Pi is 3.1</span>' in page
    assert '<span class="std std-ref">A picture of Ada.</span>' in page
    assert 'Pi is <span class="pasted-text">3.1</span></a>' in values.page("index")


def test_values_that_cells_do_not_display_are_not_below_them(values: Book) -> None:
    values.build()
    page = main(values.page("values"))
    cells = page[: page.index("Text <span")]
    assert "cell</td>" not in cells
    assert "papermill" not in cells
    assert "3.14159" in cells


@pytest.mark.parametrize("arguments", [(), ("-j", "2")], ids=["serial", "parallel"])
def test_other_pages_show_values_and_follow_them(values: Book, arguments: tuple[str, ...]) -> None:
    assert values.build(*arguments).warnings == ""
    page = main(values.page("other"))
    assert '<span class="pasted-text">3.1</span>, <span class="pasted-text">Ada</span>' in page
    assert 'Fig. 2 </span><span class="caption-text">Again' in page
    assert "<td>cell</td>" in page
    assert ">3.142</span>" in values.page("rest")

    unchanged = values.build(*arguments)
    assert (unchanged.read, unchanged.ran) == ((0, 0, 0), ())

    values.myst("values.md", GLUED.replace("Ada", "Grace"), OWN)
    assert values.build(*arguments).warnings == ""
    assert ">Grace</span>" in values.page("other")
    assert ">Grace</span>" in values.page("values")


@pytest.mark.parametrize("builder", ["text", "xml"])
def test_a_page_follows_a_value_with_each_builder(values: Book, builder: str) -> None:
    """The builders share doctrees: the first one reads the page again, each writes it."""
    for name in ("html", builder):
        values.build(builder=name)
    values.myst("values.md", GLUED.replace("Ada", "Grace"), OWN)
    values.build()
    values.build(builder=builder)
    assert "Grace" in values.page("other")
    assert "Grace" in values.page("other", builder)


def test_other_notebooks_and_their_pages_are_left_alone(values: Book) -> None:
    values.myst("alone.md", "%%1")
    values.index("values", "other", "rest", "alone")
    values.build()
    values.myst("values.md", GLUED.replace("Ada", "Grace"), OWN)
    built = values.build()
    assert built.ran == ("values.md",)
    assert built.read == (0, 3, 0)


def test_a_missing_value_is_a_warning_with_the_nearest_name(values: Book) -> None:
    values.write(
        "other.md", "# Other\n\n{glue:text}`values::p:.1f`, {glue}`nowhere::x`, {glue}`x`\n"
    )
    built = values.build()
    assert built.status == 0
    assert (
        "other.md:3: WARNING: the value 'p' is not shown: the notebook `values`" in built.warnings
    )
    assert "did you mean `pi`?" in built.warnings
    assert "`nowhere` is no notebook" in built.warnings
    assert "`other` is no notebook; write `page::name`" in built.warnings
    assert built.warnings.count("[nbcache.value]") == 3
    assert values.page("other").count("nbcache-missing") == 3


def test_a_page_gets_a_value_when_its_notebook_appears(values: Book) -> None:
    notebook = (values.folder / "values.md").read_text()
    (values.folder / "values.md").unlink()
    assert "`values` is no notebook" in values.build().warnings
    values.write("values.md", notebook)
    assert values.build().warnings == ""
    assert ">Ada</span>" in values.page("other")


def test_a_format_that_does_not_fit_is_a_warning(book: Book) -> None:
    book.conf()
    book.myst("one.md", GLUED, "{glue:text}`who:.2f`, {glue:math}`pi`, {glue:md}`words:nope`")
    book.index("one")
    warnings = book.build().warnings
    assert "'Ada' cannot be shown in the format '.2f'" in warnings
    assert "the value 'pi' is not shown: it has no form text/latex (its forms: t" in warnings
    assert "'nope' is no dialect" in warnings
    assert ">Ada</span>" in book.page("one")


def test_a_name_that_two_cells_glue_is_a_warning(book: Book) -> None:
    book.conf()
    again = '%%\nglue("pi", 3)'
    book.myst("one.md", GLUED, again, "{glue:text}`pi`")
    book.index("one")
    assert "more than one cell glues a value as 'pi'" in book.build().warnings
    assert '<span class="pasted-text">3</span>' in book.page("one")


def test_values_of_a_failed_notebook_are_shown_as_far_as_it_came(book: Book) -> None:
    book.conf()
    book.myst("one.md", GLUED, "%%1 / 0", '%%\nglue("late", 1)', "{glue:text}`pi`, {glue}`late`")
    book.index("one")
    built = book.build()
    assert "the value 'late' is not shown: the notebook `one` failed" in built.warnings
    assert '<span class="pasted-text">3.14159</span>' in book.page("one")


def test_values_stored_in_a_file_are_shown(book: Book) -> None:
    book.conf(execute="off")
    output = {
        "output_type": "display_data",
        "data": {"application/papermill.record/text/plain": "'kept'"},
        "metadata": {"scrapbook": {"name": "x", "mime_prefix": "application/papermill.record/"}},
    }
    cell = {
        "cell_type": "code",
        "source": "1",
        "metadata": {},
        "execution_count": 1,
        "outputs": [output],
    }
    book.ipynb("one.ipynb", "# One\n\n{glue:text}`x`", cell, counts=False)
    book.write("two.md", "# Two\n\n{glue:text}`one::x`\n")
    book.index("one", "two")
    assert book.build().warnings == ""
    for name in ("one", "two"):
        assert '<span class="pasted-text">kept</span>' in book.page(name)


def test_hostile_values_end_no_build(book: Book) -> None:
    book.conf()
    hostile = """\
    %%
    from IPython.display import display
    def put(section, data):
        display(data, raw=True, metadata={"scrapbook": section})
    put({"name": 3}, {"text/plain": "x"})
    put([1], {"text/plain": "x"})
    put({"name": "a", "mime_prefix": 5}, {"text/plain": "x"})
    put({"name": "b"}, {"text/plain": ["x"]})
    put({"name": "c"}, {"text/plain": "9" * 20000})
    put({"name": "d"}, {"text/plain": "(" * 5000})
    put({"name": "e"}, {"text/html": "</div></section><script>"})
    put({"name": "f"}, {"text/latex": "$}$"})
    put({"name": "g"}, {})
    """
    text = (
        "{glue:text}`a:99999999d` {glue:text}`b` {glue:text}`c:d` {glue:text}`d` {glue}`e`"
        " {glue:math}`f` {glue}`g`"
    )
    book.myst("one.md", hostile, text, "# After")
    book.index("one")
    built = book.build()
    assert built.status == 0
    assert "Traceback" not in built.warnings
    assert ' id="after">' in book.page("one")


def test_an_expression_has_the_value_of_its_place_in_the_text(book: Book) -> None:
    book.conf()
    book.myst("one.md", "Zero {eval}`x`, {eval}`1 + 1`.", "%%x = 1", "One {eval}`x`.", counts=False)
    book.index("one")
    assert "'x' is not shown: NameError: name 'x' is not defined" in book.build().warnings
    page = book.page("one")
    assert 'x</span></code>, <span class="output text_plain">2</span>.' in page
    assert 'One <span class="output text_plain">1</span>.' in page


def test_an_expression_that_is_on_the_page_more_often_is_not_guessed(book: Book) -> None:
    book.conf()
    book.write("more.txt", "{eval}`x`")
    again = "{eval}`x`\n\n```{include} more.txt\n```"
    book.myst("one.md", "%%x = 1", "{eval}`x`", "%%x = 2", again)
    book.index("one")
    warnings = book.build().warnings
    assert warnings.count("is not shown") == 1
    assert "more.txt:1: WARNING: the value of the expression 'x' is not shown" in warnings
    shown = re.findall(r'"output text_plain">(\d)<', book.page("one"))
    assert shown == ["1", "2"]


def test_expressions_are_evaluated_in_the_run_and_kept(book: Book) -> None:
    book.conf()
    cells = (
        "%%x = 'first'",
        "First {eval}`x`, {eval}`len(x) + 1`.\n\n:::{note}\n{eval}`x`\n:::\n\n`` {eval}`no()` ``",
        "%%x = 'second'",
        "Then {eval}`x`.\n\n```{eval} x.upper()\n```",
        "```{eval:figure} x\n\nCaption {eval}`x`\n```",
    )
    book.myst("one.md", *cells)
    book.index("one")
    built = book.build()
    assert (built.status, built.warnings, built.ran) == (0, "", ("one.md",))
    page = main(book.page("one"))
    assert 'First <span class="output text_plain">first</span>, ' in page
    assert ', <span class="output text_plain">6</span>.' in page
    assert 'note">' in page
    assert 'Then <span class="output text_plain">second</span>.' in page
    assert "SECOND" in page
    assert 'Caption <span class="pasted-text">second</span>' in page
    cell = page[page.index("cell_input") : page.index("First <span")]
    assert "cell_output" not in cell

    fresh = book.build("-E")
    assert (fresh.warnings, fresh.ran) == ("", ())
    assert main(book.page("one")) == page


def test_a_changed_expression_runs_the_notebook_and_says_so(book: Book) -> None:
    book.conf()
    book.myst("one.md", "%%x = 1", "{eval}`x`", "text")
    book.index("one")
    book.build()
    book.myst("one.md", "%%x = 1", "{eval}`x`", "other text")
    assert book.build().ran == ()
    book.myst("one.md", "%%x = 1", "{eval}`x + 1`", "other text")
    built = book.build()
    assert built.ran == ("one.md",)
    assert "the expressions in its text changed" in built.log
    assert '<span class="output text_plain">2</span>' in book.page("one")


def test_an_expression_that_fails_is_a_warning_and_no_failure(book: Book) -> None:
    book.conf()
    book.myst("one.md", "%%x = 1", "{eval}`1 / 0`, {eval}`x`")
    book.write("two.md", "# Two\n\n{eval}`x`\n")
    book.index("one", "two")
    built = book.build()
    assert built.status == 0
    assert "'1 / 0' is not shown: ZeroDivisionError: division by zero" in built.warnings
    assert "two.md:3" in built.warnings
    assert '<span class="output text_plain">1</span>' in book.page("one")


def test_what_an_expression_reads_is_a_dependency(book: Book) -> None:
    book.conf()
    data = book.write("data.txt", "old")
    book.myst("one.md", "%%x = 1", "{eval}`open('data.txt').read()`")
    book.index("one")
    book.build()
    data.write_text("new")
    assert book.build().ran == ("one.md",)
    assert '<span class="output text_plain">new</span>' in book.page("one")


def test_glue_needs_nothing_but_the_standard_library_and_ipython() -> None:
    code = (
        "import sys; from sphinx_nbcache import glue; glue('x', 1);"
        "names = {n.partition('.')[0] for n in sys.modules} - {'__main__'};"
        "print(names - sys.stdlib_module_names)"
    )
    command = [sys.executable, "-S", "-c", code]
    folder = Path(sphinx_nbcache.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.strip() == "{'sphinx_nbcache'}"


def test_the_version_of_this_package_is_no_dependency_of_a_notebook_that_glues(
    values: Book,
) -> None:
    values.build()
    explained = processes.run("sphinx_nbcache", "explain", "values.md", folder=values.folder)
    assert "nothing changed since it was run" in explained.stdout
    assert "\n- " in explained.stdout
    assert "- sphinx-nbcache" not in explained.stdout


def test_objects_that_display_themselves_can_be_glued(book: Book) -> None:
    book.conf()
    book.myst(
        "one.md",
        """\
        %%
        from IPython.display import display
        from sphinx_nbcache import glue
        class Own:
            def _ipython_display_(self):
                display({"text/plain": "itself"}, raw=True)
        glue("own", Own(), display=False)
        """,
        "{glue}`own`",
    )
    book.index("one")
    assert book.build().warnings == ""
    page = main(book.page("one"))
    assert page.count(">itself<") == 1


@pytest.mark.parametrize("name", ["", "a::b"])
def test_a_name_that_no_page_could_write_is_an_error(name: str) -> None:
    from sphinx_nbcache import glue

    with pytest.raises(ValueError, match="cannot be the name"):
        glue(name, 1)


def test_myst_nbs_own_glue_is_understood(book: Book) -> None:
    """What it writes is the same; its package need not be there for this test."""
    book.conf()
    book.myst(
        "one.md",
        """\
        %%
        from IPython.core.formatters import format_display_data
        from IPython.display import display
        def glue(name, variable, display_it=True):
            data, metadata = format_display_data(variable)
            prefix = "" if display_it else "application/papermill.record/"
            metadata["scrapbook"] = dict(name=name, mime_prefix=prefix)
            display({prefix + k: v for k, v in data.items()}, raw=True, metadata=metadata)
        glue("x", 4.5, False)
        """,
        "{glue:text}`x:.2f`",
    )
    book.index("one")
    assert book.build().warnings == ""
    assert '<span class="pasted-text">4.50</span>' in book.page("one")


def test_values_of_every_kind_in_titles_and_captions_end_no_build(values: Book) -> None:
    text = (
        "# {glue}`pi` {eval}`1 + 1` {glue}`formula`\n\n## {glue}`table`\n\n"
        "```{glue:figure} pi\n{glue}`formula`\n```"
    )
    values.myst("values.md", GLUED, OWN, text)
    assert values.build().warnings == ""
    assert '3.14159</span> <span class="pasted-text">2</span> ' in values.page("values")


def test_expressions_in_footnotes_have_the_values_of_their_places(book: Book) -> None:
    book.conf()
    notes = (
        "E[^a] {eval}`x`.\n\n[^a]: fn {eval}`x` end",
        "L[^b] {eval}`x`.\n\n[^b]: fn {eval}`x` end",
    )
    book.myst("one.md", "%%x = 'early'", notes[0], "%%x = 'late'", notes[1])
    book.index("one")
    assert book.build().warnings == ""
    page = re.sub(r"<[^>]+>", "", book.page("one"))
    assert [found.split()[-1] for found in re.findall(r"fn \w+", page)] == ["early", "late"]
    assert re.search(r"E\W*1?\W*early", page)
    assert re.search(r"L\W*2?\W*late", page)


def test_expressions_after_an_allowed_error_are_evaluated(book: Book) -> None:
    book.conf()
    raising = "```{code-cell}\n:tags: [raises-exception]\n\nx = 2; 1 / 0\n```"
    book.myst("one.md", "%%x = 1", "First {eval}`x`.", raising, "Then {eval}`x`.")
    book.index("one")
    assert book.build().warnings == ""
    assert 'First <span class="output text_plain">1</span>' in book.page("one")
    assert 'Then <span class="output text_plain">2</span>' in book.page("one")


def test_expressions_below_a_failure_are_not_shown(book: Book) -> None:
    book.conf()
    failing, last = "%%x = 2; 1 / 0", ("%%x = 3", "Last {eval}`x`.")
    book.myst("one.md", "%%x = 1", "First {eval}`x`.", failing, "Then {eval}`x`.", *last)
    book.index("one")
    assert "'x' is not shown: the notebook `one` failed" in book.build().warnings
    assert 'First <span class="output text_plain">1</span>' in book.page("one")
    assert 'Then <span class="output text_plain">2</span>' in book.page("one")
    assert 'Last <code class="nbcache-missing' in book.page("one")


@pytest.mark.parametrize("other", ["% {eval}`x`", "<!-- {eval}`x` -->", "`` {eval}`x` ``"])
def test_what_is_no_text_is_not_counted(book: Book, other: str) -> None:
    book.conf()
    book.write("inc.txt", "{eval}`x`")
    more = "```{include} inc.txt\n```"
    book.myst("one.md", "%%x = 1", f"A {{eval}}`x`.\n\n{other}", "%%x = 2", more)
    book.index("one")
    warnings = book.build().warnings
    assert warnings.count("is not shown") == 1
    assert 'A <span class="output text_plain">1</span>' in book.page("one")


def test_pages_follow_values_that_are_stored_in_a_file(book: Book) -> None:
    book.conf(execute="off")

    def stored(value: str) -> None:
        metadata = {"scrapbook": {"name": "x", "mime_prefix": ""}}
        output = {
            "output_type": "display_data",
            "data": {"text/plain": value},
            "metadata": metadata,
        }
        cell = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [output]}
        book.ipynb("one.ipynb", "# One", {**cell, "execution_count": 1}, counts=False)

    stored("'old'")
    book.write("two.md", "# Two\n\n{glue:text}`one::x`\n")
    book.index("one", "two")
    book.build()
    stored("'newer'")
    book.build()
    assert ">newer</span>" in book.page("two")


def test_values_in_markdown_values_and_outputs_are_shown(book: Book) -> None:
    book.conf(markdown="myst")
    book.myst(
        "one.md",
        """\
        %%
        from IPython.display import Markdown, display
        from sphinx_nbcache import glue
        glue("x", 5, display=False)
        glue("m", Markdown("see {glue}`x`, {eval}`1`"), display=False)
        glue("loop", Markdown("{glue:md}`loop`"), display=False)
        display(Markdown("shown {glue}`x`"))
        """,
        "{glue:md}`m:myst`\n\n{glue:md}`loop`",
    )
    book.index("one")
    warnings = book.build().warnings
    page = book.page("one")
    assert 'see <span class="output text_plain">5</span>' in page
    assert 'shown <span class="output text_plain">5</span>' in page
    assert "nested too deeply" in warnings
    assert "must stand in the notebook's own text" in warnings


def test_a_value_that_has_no_form_is_a_warning(book: Book) -> None:
    book.conf()
    book.myst(
        "one.md",
        """\
        %%
        from IPython.display import display
        class Broken:
            def __repr__(self):
                raise ValueError("no")
        broken = Broken()
        display({}, raw=True, metadata={"scrapbook": {"name": "none", "mime_prefix": ""}})
        """,
        "{eval}`broken`, {glue}`none`\n\n```{glue} none\n```",
    )
    book.index("one")
    warnings = book.build().warnings
    assert "'broken' is not shown: the kernel has sent no form of it" in warnings
    assert warnings.count("'none' is not shown: it has no form") == 2


def test_slow_expressions_have_the_time_limit_of_cells(book: Book) -> None:
    book.conf(timeout=2)
    book.myst("one.md", "%%import time", "{eval}`time.sleep(60)`", "%%1")
    book.index("one")
    built = book.build()
    assert "took longer than 2 s" in built.warnings
    assert "time.sleep(60)" in built.warnings


def test_a_plot_of_an_expression_is_in_no_cell(book: Book) -> None:
    book.conf()
    book.myst(
        "one.md",
        "%%%matplotlib inline\nimport matplotlib.pyplot as plt",
        "{eval}`len(plt.plot([1, 2]))`",
        "%%print('second')",
    )
    book.index("one")
    assert book.build().warnings == ""
    assert "<img" not in main(book.page("one"))


def test_a_formula_of_several_lines_keeps_its_lines(book: Book) -> None:
    book.conf()
    code = (
        "from IPython.display import Latex\nfrom sphinx_nbcache import glue\n"
        "glue('f', Latex(r'\\begin{align}a\\\\b\\end{align}'), display=False)"
    )
    book.myst("one.md", f"%%{code}", "```{glue:math} f\n```\n\nIn a sentence {glue:math}`f`.")
    book.index("one")
    built = book.build(builder="latex")
    assert "it is a formula of several lines" in built.warnings
    (tex,) = (book.folder / "_build" / "latex").glob("*.tex")
    text = tex.read_text()
    assert "\\begin{align}a" in text
    assert "\\begin{split}\\begin{align}" not in text


def test_captions_are_offered_to_translators(values: Book) -> None:
    values.build(builder="gettext")
    catalog = (values.folder / "_build" / "gettext" / "values.pot").read_text()
    assert "A picture of {glue:text}`who`." in catalog
    # What a run has made changes with each run.
    assert "displaystyle" not in catalog
    assert "inside" not in catalog
    assert "output of a code cell" not in catalog
