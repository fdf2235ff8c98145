"""Projects that come from MyST-NB or nbsphinx by one changed line in `conf.py`."""

from __future__ import annotations

import pytest
from support import Book, code_cell
from support_cli import CommandLine

pytestmark = pytest.mark.kernel


def test_options_of_myst_nb_count(book: Book) -> None:
    book.conf(
        """\
        nb_execution_mode = "cache"
        nb_execution_excludepatterns = ["never*"]
        nb_execution_allow_errors = True
        nb_execution_timeout = 40
        nb_number_source_lines = True
        nb_render_plugin = "own"
        """,
        timeout=50,
    )
    book.index("a", "never")
    book.myst("a.md", "%%1 / 0")
    book.myst("never.md")
    built = book.build()
    assert built.ran == ("a.md",)
    assert "linenos" in book.page("a")
    line = (
        "conf.py: nb_execution_mode = 'cache' counts as nbcache_execute = 'changed';"
        " nbcache_timeout counts, not nb_execution_timeout;"
        " nb_execution_allow_errors = True counts as nbcache_allow_errors = True;"
        " nb_execution_excludepatterns = ['never*'] counts as nbcache_exclude = ['**/never*'];"
        " nb_number_source_lines = True counts as nbcache_number_source_lines = True\n"
    )
    assert built.log.count(line) == 1
    (warning,) = built.warnings.splitlines()
    assert f"{book.folder / 'conf.py'}:10: WARNING: nb_render_plugin has no counterpart" in warning
    assert warning.endswith("[nbcache.option]")
    assert book.build().ran == ()


def test_commands_know_the_options_that_are_left_over(book: Book, cli: CommandLine) -> None:
    book.conf("nb_execution_mode = 'auto'")
    book.index("a")
    # As it has been executed, this mode leaves it alone.
    book.ipynb("a.ipynb", code_cell("1") | {"execution_count": 3})
    cli.folder = book.folder
    (planned,) = cli.ok("plan", "--json", "--conf", ".").json["notebooks"]
    assert planned["action"] == "as-is"
    assert book.build("-D", "nbcache_execute=force").ran == ("a.ipynb",)
    # The mode of that build does not last.
    (planned,) = cli.ok("plan", "--json", "-p", book.store).json["notebooks"]
    assert planned["action"] == "as-is"


def test_a_file_type_that_nothing_reads_ends_the_build_before_a_notebook_runs(book: Book) -> None:
    book.conf(
        "source_suffix = {'.rst': 'restructuredtext', '.md': 'markdwon', '.txt': 'nothing'}",
    )
    book.index("a", "b")
    book.ipynb("a.ipynb")
    book.write("b.md", "# B")
    built = book.build()
    assert (built.status, built.ran) == (2, ())
    assert (
        f"{book.folder / 'conf.py'}:4: source_suffix names the file type 'markdwon' for `.md`"
        " (b.md), which no loaded extension reads; did you mean `markdown`?"
    ) in built.warnings
    # No document has the other suffix, so it does no harm.
    (book.folder / "b.md").unlink()
    book.index("a")
    assert book.build().status == 0


@pytest.mark.parametrize("entry", ["'.ipynb': ['jupyter_notebook']", "5: 'restructuredtext'"])
def test_a_file_type_that_is_no_string_ends_the_build_with_its_line(book: Book, entry: str) -> None:
    book.conf(f"source_suffix = {{'.rst': 'restructuredtext', {entry}}}")
    book.index()
    built = book.build()
    assert built.status == 2
    assert f"{book.folder / 'conf.py'}:4: source_suffix has the entry {{{entry}}}" in built.warnings


def test_values_that_cannot_be_compared_or_shown_are_warnings(book: Book) -> None:
    book.conf(
        """\
        class Odd:
            __eq__ = __bool__ = __repr__ = lambda *_: 1 / 0
            __hash__ = None
        nb_merge_streams = nb_execution_mode = Odd()
        nb_render_plugin = nb_execution_timeout = nbsphinx_kernel_name = Odd()
        nbcache_number_source_lines = 1 + 0j
        """
    )
    book.index("a")
    book.ipynb("a.ipynb")
    built = book.build()
    assert built.status == 0
    for name in ("nb_merge_streams", "nb_execution_mode", "nbcache_number_source_lines"):
        assert f"{name} " in built.warnings
    assert "a value of the type Odd" in built.warnings
