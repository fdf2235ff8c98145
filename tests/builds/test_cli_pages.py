"""Pages that show a command line, built by Sphinx."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from sphinx.cmd.build import build_main
from support import Book, Built

TESTS = Path(__file__).parent.parent
OWN_COMMANDS = """
import click, helper
@click.group()
def mine(): pass
@mine.command()
def first(): click.echo('first version')
mine.add_command(helper.second)
"""


@pytest.fixture(autouse=True)
def _no_store_of_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERCACHE", raising=False)


@pytest.fixture
def book(book: Book) -> Book:
    """A book whose pages can name the commands in `click_commands`, and those beside it."""
    configure(book)
    return book


def configure(book: Book, text: str = "", **options: Any) -> None:
    paths = f"import sys; sys.path[:0] = [{str(TESTS)!r}, {str(book.folder)!r}]\n"
    book.conf(paths + text, **options)


def cli(words: str = "", target: str = "click_commands:tool", **options: str) -> str:
    """Return a directive in MyST; underscores in the names of options are hyphens."""
    given = {"args": words, **options} if words else options
    lines = [f"{name.replace('_', '-')}: {value}".rstrip() for name, value in given.items()]
    return "\n".join([f"```{{jcache-cli}} {target}", "---", *lines, "---", "```\n\n"])


CLEAR = "```{jcache-clear}\n```\n\n"


def blocks(book: Book, docname: str) -> list[str]:
    """Return the texts of the console blocks of an HTML page."""
    pattern = r'<div class="highlight-console.*?<pre>(.*?)</pre>'
    found = re.findall(pattern, book.page(docname), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", text)).rstrip("\n") for text in found]


def one_page(book: Book, *parts: str) -> Built:
    book.index("page")
    book.write("page.md", "# Page\n\n" + "".join(parts))
    return book.build()


def test_a_page_shows_the_command_line_and_what_it_printed(book: Book) -> None:
    built = one_page(
        book,
        cli("|\n  'a b' \\\n  c", command="hello"),
        cli(command="deep deeper say", args="it"),
        cli("--times 2", target="click_commands:alone"),
        cli(command="hello", prog="my-tool --loud"),
        cli(command="ask", input="|\n  Ada\n  secret\n  y\n  because"),
    )
    assert built.warnings == ""
    assert blocks(book, "page") == [
        "$ tool hello 'a b' c\nhello|a b|c",
        "$ tool deep deeper say it\nsaid it",
        "$ by-itself --times 2\nalone alone ",
        "$ my-tool --loud hello\nhello",
        "$ tool ask\nName: Ada\nSecret: \nSure? [y/N]: y\nWhy? because\nAda has 6 letters; because",
    ]


def test_restructuredtext_and_notebooks_have_the_directives(book: Book) -> None:
    configure(book, execute="off")
    book.index("page", "note")
    directive = ".. jcache-cli:: click_commands:tool\n   :command: hello\n   :args: 'a b'\n"
    book.write("page.rst", f"Page\n====\n\n.. jcache-clear::\n\n{directive}")
    book.myst("note.md", "# Note", cli("x", command="hello"), counts=False)
    assert book.build().warnings == ""
    assert blocks(book, "page") == ["$ tool hello 'a b'\nhello|a b"]
    assert blocks(book, "note") == ["$ tool hello x\nhello|x"]


def test_colours_are_rendered_in_html_and_left_out_elsewhere(book: Book) -> None:
    one_page(book, cli(command="colours"))
    page = book.page("page")
    line = '<span class="gp">$ </span>tool colours\n'
    assert line + '<span class="go"><span class="ansi-green-fg">good</span>' in page
    assert '<span class="ansi-red-fg ansi-bold">bad</span>\nplain' in page
    for builder, pattern in (("text", "*/page.txt"), ("latex", "*/*.tex"), ("xml", "*/page.xml")):
        built = book.build(builder=builder)
        assert built.warnings == ""
        (path,) = (book.folder / "_build").glob(pattern)
        text = path.read_text(encoding="utf-8")
        assert "good" in text
        assert "\x1b" not in text


def test_any_output_is_shown_without_a_warning_of_the_highlighter(book: Book) -> None:
    odd = "$ '\n# ${ <b>\n> `"
    book.write("odd.py", f"import click\n@click.command()\ndef odd(): print({odd!r})")
    assert one_page(book, cli(target="odd:odd")).warnings == ""
    assert blocks(book, "page") == ["$ odd\n" + odd]


def test_the_page_is_the_same_wherever_it_is_built(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_page(book, cli(command="where"), cli(command="wide"))
    (shown, wide) = blocks(book, "page")
    assert shown == (
        "$ tool where\ncwd: .\nfile: data/x.txt\n"
        "store: .jupyter_cache, .jupyter_cache; in it: .jupyter_cache/x\ncolours: None"
    )
    assert wide == "$ tool wide\n" + "=" * 80 + "\n100 %"
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "50")
    other = Book(tmp_path / "another" / "place" / "called" / "book", tmp_path / "counter.txt")
    configure(other)
    one_page(other, cli(command="where"), cli(command="wide"))
    assert blocks(other, "page") == [shown, wide]


def test_commands_run_in_the_folder_that_the_option_names(book: Book) -> None:
    (book.folder / "data").mkdir()
    configure(book, cli_root="data")
    (book.folder / "data" / "file.txt").write_text("content")
    assert one_page(book, cli("file.txt", command="write")).warnings == ""
    assert blocks(book, "page") == ["$ tool write file.txt\ncontent"]
    configure(book, cli_root="absent")
    built = book.build()
    assert "nbcache_cli_root = 'absent' is no folder" in built.warnings
    assert "nbcache.config" in built.warnings
    assert built.status == 0


# --- failures ---


def test_a_failure_is_a_warning_with_its_place_and_the_output_is_shown(book: Book) -> None:
    built = one_page(book, cli("3", command="fail"), "Text.\n\n", cli(command="crash"))
    first, second = built.warnings.strip().split("\n")
    assert "page.md:3: WARNING: jcache-cli: `tool fail 3` ended with exit status 3" in first
    assert ":allow-exception:" in first
    assert "[nbcache.cli]" in first
    assert "page.md:12: WARNING" in second
    assert "`tool crash` raised RuntimeError: oh no (click_commands.py, line" in second
    assert built.status == 0
    fail, crash = blocks(book, "page")
    assert fail == "$ tool fail 3\nbefore the end"
    assert crash.startswith("$ tool crash\nbefore the crash\nTraceback (most recent call last):")


def test_a_failure_that_is_allowed_is_none(book: Book) -> None:
    built = one_page(
        book,
        cli("3", command="fail", allow_exception=""),
        cli(command="crash", allow_exception=""),
        cli(command="ask", allow_exception=""),
    )
    assert built.warnings == ""
    assert "before the end" in blocks(book, "page")[0]
    assert "RuntimeError: oh no" in blocks(book, "page")[1]
    assert blocks(book, "page")[2] == "$ tool ask\nName: \nAborted!"
    assert book.build().read == (0, 0, 0)


@pytest.mark.parametrize(
    ("target", "options", "text"),
    [
        ("no_module:x", {}, "the module 'no_module' cannot be imported"),
        ("click_commands:absent", {}, "has no attribute 'absent'"),
        ("click_commands:nothing", {}, "is no click command, but of type int"),
        ("click_commands", {}, "'click_commands' is not of the form module:attribute"),
        ("click_commands:tool", {"args": "it's"}, "cannot be split: No closing quotation"),
        ("click_commands:tool", {"args": "nonsense"}, "`tool nonsense` ended with exit status 2"),
    ],
)
def test_what_cannot_be_run_is_a_warning_and_the_rest_of_the_page_is_there(
    book: Book, target: str, options: dict[str, str], text: str
) -> None:
    built = one_page(book, cli(target=target, **options), cli(command="hello"))
    (warning,) = built.warnings.strip().split("\n")
    assert "page.md:3: WARNING: jcache-cli: " in warning
    assert text in warning
    assert blocks(book, "page")[-1] == "$ tool hello\nhello"


def test_a_page_with_a_failure_is_read_again_until_it_is_mended(book: Book) -> None:
    page = "# Page\n\n" + cli(target="later:main")
    book.index("page")
    book.write("page.md", page)
    assert "later" in book.build().warnings
    built = book.build()
    assert built.read == (0, 1, 0)
    assert "later" in built.warnings
    book.write("later.py", "import click\n@click.command()\ndef main(): click.echo('here')\n")
    built = book.build()
    assert (built.read, built.warnings) == ((0, 1, 0), "")
    assert blocks(book, "page") == ["$ main\nhere"]
    assert book.build().read == (0, 0, 0)


# --- reading again ---


def test_a_page_is_read_again_when_what_it_shows_may_have_changed(book: Book) -> None:
    book.index("page", "other")
    book.write("other.md", "# Other\n")
    root = book.folder.parent
    (root / "a.txt").write_text("old")
    book.write("helper.py", "import click\n@click.command()\ndef second(): click.echo('second')\n")
    book.write("commands.py", OWN_COMMANDS)
    parts = [
        cli("a.txt", command="write"),
        cli(command="first", target="commands:mine"),
        cli(command="second", target="commands:mine"),
    ]
    book.write("page.md", "# Page\n\n" + "".join(parts))
    assert book.build().warnings == ""
    assert book.build().read == (0, 0, 0)
    (root / "a.txt").write_text("new")
    assert book.build().read == (0, 1, 0)
    assert blocks(book, "page")[0] == "$ tool write a.txt\nnew"
    book.write("commands.py", OWN_COMMANDS.replace("version", "edition"))
    assert book.build().read == (0, 1, 0)
    assert blocks(book, "page")[1] == "$ mine first\nfirst edition"
    (book.folder / "helper.py").write_text(
        (book.folder / "helper.py").read_text().replace("'second'", "'third, now'")
    )
    assert book.build().read == (0, 1, 0)
    assert blocks(book, "page")[2] == "$ mine second\nthird, now"
    assert book.build().read == (0, 0, 0)


def test_a_page_is_read_again_with_another_version_of_this_package(book: Book) -> None:
    one_page(book, cli(command="hello"), CLEAR)
    book.write("other.md", "---\norphan: true\n---\n\n# Other\n")
    book.build()
    assert book.build().read == (0, 0, 0)
    configure(
        book,
        "import sphinx_nbcache.click_pages.dependencies as d; d.__version__ = '99'",
    )
    assert book.build().read == (0, 1, 0)
    assert book.build().read == (0, 0, 0)


def test_files_that_commands_write_make_no_page_out_of_date(book: Book) -> None:
    book.index("one", "two")
    parts = cli("--to=out.txt", command="write") + cli("out.txt", command="write")
    for name in ("one", "two"):
        book.write(f"{name}.md", f"# {name}\n\n{parts}")
    assert book.build().warnings == ""
    assert book.build().read == (0, 0, 0)
    # Also when the file was there before.
    for name in ("one", "two"):
        book.write(f"{name}.md", f"# {name} again\n\n{parts}")
    assert book.build().read == (0, 2, 0)
    assert book.build().read == (0, 0, 0)


# --- stores ---


def test_a_page_begins_with_an_empty_store_of_its_own(book: Book) -> None:
    book.index("one", "one/two")
    page = cli(command="count") + cli(command="count") + CLEAR + cli(command="count")
    book.write("one.md", f"# One\n\n{page}")
    book.write("one/two.md", f"# Two\n\n{page}")
    for _ in range(2):
        assert book.build("-E").warnings == ""
        for name in ("one", "one/two"):
            assert [text.split()[-1] for text in blocks(book, name)] == ["1", "2", "1"]
    stores = sorted((book.folder / "_build").rglob("count"))
    own = book.folder / "_build" / ".nbcache-cli"
    assert stores == sorted(
        own / name / ".jupyter_cache/nbcache-2/count" for name in ("one", "one/two")
    )


def test_a_common_store_is_emptied_by_the_directive_only(book: Book, tmp_path: Path) -> None:
    configure(book, cli_store=str(tmp_path / "common"))
    book.index("a", "b")
    book.write("a.md", f"# A\n\n{CLEAR}{cli(command='count')}")
    book.write("b.md", f"# B\n\n{cli(command='count')}")
    assert book.build().warnings == ""
    assert [blocks(book, name)[0].split()[-1] for name in "ab"] == ["1", "2"]
    book.build("-E")
    assert [blocks(book, name)[0].split()[-1] for name in "ab"] == ["1", "2"]
    assert not (book.folder / "_build" / ".nbcache-cli").exists()


def test_a_common_store_belongs_to_one_page_at_a_time(book: Book, tmp_path: Path) -> None:
    configure(book, cli_store=str(tmp_path / "common"))
    names = [f"page{number}" for number in range(4)]
    book.index(*names)
    for name in names:
        book.write(f"{name}.md", f"# {name}\n\n{CLEAR}{cli(command='count') * 4}")
    assert book.build("-j", "2").warnings == ""
    for name in names:
        assert [text.split()[-1] for text in blocks(book, name)] == ["1", "2", "3", "4"]


@pytest.mark.kernel
def test_the_store_of_the_build_is_not_touched(book: Book) -> None:
    configure(book, cli_store="_build/.jupyter_cache")
    book.index("page", "note")
    book.myst("note.md")
    book.write("page.md", f"# Page\n\n{cli(command='count')}{CLEAR}")
    built = book.build()
    assert (
        "nbcache_cli_store = '_build/.jupyter_cache' is the store of this build" in built.warnings
    )
    assert built.status == 1
    assert built.ran == ("note.md",)
    assert not (book.folder / "_build" / ".jupyter_cache" / "nbcache-2" / "count").exists()
    book.write("page.md", f"# Page again\n\n{cli(command='count')}{CLEAR}")
    assert book.build().ran == ()
    assert blocks(book, "page") == ["$ tool count\ncall 1"]


def test_a_store_that_cannot_be_used_is_told(book: Book, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure(book, cli_store=str(tmp_path / "file" / "store"))
    built = one_page(book, cli(command="hello"), CLEAR)
    assert built.status == 0
    assert built.warnings.count("nbcache.cli") == 2
    assert "cannot be used" in built.warnings


# --- parallel reading ---


def test_two_pages_read_in_parallel_always_show_the_same(book: Book) -> None:
    book.index("one", "two")
    commands = cli(command="count") + cli(command="colours") + CLEAR + cli(command="count")
    for name in ("one", "two"):
        book.write(f"{name}.md", f"# Page\n\n{commands}")
    seen = set()
    arguments = ["-E", "-q", "-W", "-j", "2", "-b", "text", str(book.folder)]
    output = book.folder / "_build" / "text"
    for number in range(20):
        # In this process: starting Sphinx twenty times is what would take longest.
        assert build_main([*arguments, str(output)]) == 0, number
        seen |= {book.page(name, "text") for name in ("one", "two")}
    assert len(seen) == 1
    (text,) = seen
    assert text.count("call 1") == 2


def test_two_builds_at_once_do_not_disturb_each_other(book: Book) -> None:
    one_page(book, cli(command="count") * 5)
    running = [
        book.start("-E", "-q", builder="text", output=name, trees=f"{name}-trees")
        for name in ("text1", "text2")
    ]
    logs = [build.communicate(timeout=120)[0] for build in running]
    assert [build.returncode for build in running] == [0, 0], logs
    texts = [book.page("page", "text", name) for name in ("text1", "text2")]
    assert texts[0] == texts[1]
    assert re.findall(r"call (\d)", texts[0]) == list("12345")


def test_pages_are_marked_by_workers_as_by_the_build_itself(book: Book) -> None:
    names = [f"page{number}" for number in range(6)]
    book.index(*names)
    for name in names:
        book.write(f"{name}.md", f"# {name}\n\n{cli(command='hello')}")
    book.write("page3.md", f"# Three\n\n{cli('1', command='fail')}")
    assert book.build("-j", "2").warnings.count("WARNING") == 1
    assert book.build("-j", "2").read == (0, 1, 0)
    (book.folder / "page3.md").unlink()
    assert book.build("-j", "2").read[2] == 1


@pytest.mark.parametrize(
    "extensions",
    [
        ["sphinx_nbcache.click_pages"],
        ["myst_parser", "sphinx_nbcache.click_pages"],
        ["sphinx_nbcache.click_pages", "sphinx_nbcache"],
        ["sphinx_nbcache", "sphinx_nbcache.click_pages"],
    ],
)
def test_a_project_without_notebooks_may_load_the_directives_alone(
    book: Book, extensions: list[str]
) -> None:
    configure(book, f"extensions[:] = {extensions}", cli_root=".")
    book.index("page")
    options = "   :command: colours\n"
    directive = f".. jcache-clear::\n\n.. jcache-cli:: click_commands:tool\n{options}"
    book.write("page.rst", f"Page\n====\n\n{directive}")
    built = book.build()
    assert (built.status, built.warnings) == (0, "")
    assert '<span class="ansi-green-fg">good</span>' in book.page("page")
    # The style sheet of the colours comes with the directives.
    assert "nbcache.css" in book.page("page")
    assert (book.folder / "_build/html/_static/nbcache.css").is_file()
    assert book.build().read == (0, 0, 0)
    # Only the whole extension reports on notebooks.
    report = book.folder / "_build/html/nbcache-report.json"
    assert report.exists() == ("sphinx_nbcache" in extensions)
