"""Books in several languages: pages are translated, notebooks are run once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support import Book

pytestmark = pytest.mark.kernel

EXAMPLE = Path(__file__).parents[2] / "example_book"
GERMAN = {
    "index": {"The Mill Gauge": "Der Mühlenpegel"},
    "spring": {"The spring flood": "Frühling am Pegel"},
    "wet-days": {
        "Wet days": "Nasse Tage",
        "What is printed, and what is written to the error stream, is shown too:": "Was *gedruckt*"
        " wird, sieht man auch: $x^2$",
        "Try it": "Selbst ausprobieren",
    },
    "discharge": {},
    "bad-readings": {},
}


def catalog(messages: dict[str, str]) -> str:
    """Return the text of a message catalog."""
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    return head + "".join(
        f"\nmsgid {quoted(text)}\nmsgstr {quoted(translated)}\n"
        for text, translated in messages.items()
    )


def quoted(text: str) -> str:
    """Return a text as catalogs have it."""
    lines = text.splitlines(keepends=True) or [""]
    escaped = (
        line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines
    )
    return "\n".join(f'"{line}"' for line in escaped)


def add_catalog(book: Book, docname: str, **messages: str) -> None:
    """Write the German catalog of a page."""
    book.write(f"locale/de/LC_MESSAGES/{docname}.po", catalog(messages))


def offered(book: Book, docname: str) -> list[str]:
    """Return the messages that the gettext builder offered for a page."""
    text = (book.folder / f"_build/gettext/{docname}.pot").read_text(encoding="utf-8")
    found = re.findall(r'^msgid ((?:"[^\n]*"\n)+)', text, re.MULTILINE)
    lines = (re.findall(r'"(.*)"', item) for item in found)
    return [text for item in lines if (text := "".join(item).replace("\\n", "\n"))]


@pytest.fixture
def translated(book: Book) -> Book:
    """A book with a German catalog for each page."""
    book.conf('locale_dirs = ["locale"]\ngettext_compact = False')
    return book


def test_the_example_book_is_built_in_two_languages_with_one_execution(book: Book) -> None:
    ignored = shutil.ignore_patterns("_build", "__pycache__", "jupyter_execute")
    shutil.copytree(EXAMPLE, book.folder, ignore=ignored, dirs_exist_ok=True)
    with (book.folder / "conf.py").open("a", encoding="utf-8") as conf:
        conf.write('\nlocale_dirs = ["locale"]\ngettext_compact = False\nhtml_theme = "basic"\n')
    for docname, messages in GERMAN.items():
        add_catalog(book, docname, **messages)
    english = book.build(output="html", builder="html")
    assert re.search(r"4 of 4 notebooks executed", english.log)
    options = ("-d", str(book.folder / "_build/trees-de"), "-D", "language=de")
    in_german = book.build(*options, output="de", builder="html")
    assert "0 of 4 notebooks executed" in in_german.log
    assert in_german.warnings == english.warnings
    page = book.page("wet-days", output="de")
    assert "Nasse Tage" in page
    assert "Was <em>gedruckt</em> wird" in page
    assert 'class="math' in page
    assert "Selbst ausprobieren" in page
    assert "Frühling" in book.page("spring", output="de")
    assert "Nasse Tage" not in book.page("wet-days")
    assert re.findall(r"<table.*?</table>", page, re.DOTALL) == re.findall(
        r"<table.*?</table>", book.page("wet-days"), re.DOTALL
    )


def test_a_translation_of_an_ipynb_page_is_markdown_whatever_it_looks_like(
    translated: Book,
) -> None:
    translated.index("note")
    cell = "# Title\n\nA paragraph.\n\n- an item\n\nA formula."
    translated.ipynb("note.ipynb", cell, "%%print('out', 'put')", counts=False)
    messages = {"Title": "{} [1]", "A paragraph.": "Ein **Absatz**.", "an item": "Punkt"}
    add_catalog(translated, "note", **messages, **{"A formula.": "Formel $a$ und {sub}`b`."})
    built = translated.build("-D", "language=de")
    assert built.warnings == ""
    page = translated.page("note")
    assert "<h1>{} [1]<" in page
    assert "Ein <strong>Absatz</strong>." in page
    assert "Punkt" in page
    assert "<sub>b</sub>" in page
    assert "note.ipynb</h1>" not in page
    assert "out put" in page


def test_translators_are_offered_texts_but_no_outputs(translated: Book) -> None:
    translated.index("note")
    outputs = (
        "%%from IPython.display import Markdown, Image, display\n"
        "display(Markdown('a *Markdown* output'))\n"
        "print('printed')"
    )
    translated.ipynb("note.ipynb", "# Title\n\nA paragraph.", outputs, counts=False)
    translated.build(builder="gettext")
    assert offered(translated, "note") == ["Title", "A paragraph."]
    # Sphinx itself refuses doctrees of the gettext builder for pages.
    translated.build("-d", str(translated.folder / "_build/trees"))
    assert "<em>Markdown</em>" in translated.page("note")


def test_code_and_printed_text_are_translated_if_that_is_asked_for(translated: Book) -> None:
    asked = ("-D", "gettext_additional_targets=literal-block")
    translated.index("note")
    source = "# a comment\nprint('one', 'two')"
    translated.ipynb("note.ipynb", "# Title", f"%%{source}", counts=False)
    translated.build(*asked, builder="gettext")
    assert offered(translated, "note") == ["Title", source, "one two"]
    add_catalog(translated, "note", **{source: "# ein Kommentar", "one two": "eins zwei"})
    trees = str(translated.folder / "_build/trees")
    translated.build(*asked, "-D", "language=de", "-d", trees)
    page = translated.page("note")
    assert "ein Kommentar" in page
    assert "eins zwei" in page
    assert "a comment" not in page
