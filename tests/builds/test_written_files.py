"""Files that notebooks write, and files that builds write: who sees them, and who must not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Book

pytestmark = pytest.mark.kernel

MAKER = """%%
from pathlib import Path
Path('table.csv').write_text('a,b\\n1,cell {0}\\n')
Path('part.txt').write_text('line {0}\\n')
Path('plot.png').write_bytes(b'\\x89PNG picture {0}')
"""
USER = """User
====

.. csv-table::
   :file: table.csv
   :header-rows: 1

.. literalinclude:: part.txt
   :language: none

.. image:: plot.png
"""


def assert_shows(book: Book, version: int, builder: str) -> None:
    output = book.folder / "_build" / builder
    name = "user.html" if builder == "html" else "user/index.html"
    page = (output / name).read_text(encoding="utf-8")
    assert f"cell {version}" in page
    assert f"line {version}" in page
    assert (output / "_images" / "plot.png").read_bytes().endswith(f"picture {version}".encode())


def test_tables_texts_and_images_that_a_notebook_wrote_are_current_in_the_same_build(
    book: Book,
) -> None:
    """Also for a second builder on shared doctrees, although the first one reads the pages."""
    # Not in the page with the toctree: Sphinx writes that one whenever it writes the notebook's.
    book.index("maker", "user")
    book.write("user.rst", USER)
    for version in (1, 2):
        book.myst("maker.md", MAKER.format(version))
        built = book.build()
        assert (built.warnings, built.ran) == ("", ("maker.md",))
        assert_shows(book, version, "html")
        second = book.build(builder="dirhtml")
        assert (second.warnings, second.ran) == ("", ())
        assert_shows(book, version, "dirhtml")
    book.build()
    assert "no targets are out of date" in book.build().log


@pytest.mark.parametrize(
    ("output", "doctrees"),
    [("out", "out/.doctrees"), ("out [1]/ü", "trees")],
)
def test_what_a_build_wrote_into_the_source_directory_is_not_taken_for_sources(
    book: Book, output: str, doctrees: str
) -> None:
    """Copies of the sources, downloads, and the notebooks of jupyter-cache beside the store."""
    script = "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n"
    script += "#       format_name: percent\n#   kernelspec:\n#     name: python3\n# ---\n"
    book.conf(
        "exclude_patterns = []; html_sourcelink_suffix = ''; html_copy_source = True",
        formats={".py": "py:percent"},
    )
    text = ":download:`a <one.ipynb>` :download:`b <helper.py>`"
    book.index("one", "two", "script", text=text)
    book.ipynb("one.ipynb")
    book.myst("two.md")
    book.write("script.py", f"{script}# %% [markdown]\n# # Script\n\n# %%\n1\n")
    book.write("helper.py", "x = 1\n")
    book.write(f"{Path(output).parent}/.jupyter_cache/executed/ab/base.ipynb", "{}")
    arguments = ["-d", str(book.folder / doctrees)]
    first = book.build(*arguments, output=f"../{output}")
    assert first.warnings == ""
    assert first.read[0] == 5  # with the index and the report
    written = book.folder / output
    assert list(written.glob("_sources/*.md"))
    assert list(written.glob("_downloads/*/one.ipynb"))
    again = book.build(*arguments, output=f"../{output}")
    assert (again.warnings, again.ran, again.read) == ("", (), (0, 0, 0))
    # Nor by another builder beside it, or from Python.
    beside = book.build(
        "-d", str(book.folder / "other"), builder="dirhtml", output=f"../{Path(output).parent}/dir"
    )
    assert (beside.warnings, beside.ran, beside.read[0]) == ("", (), 5)
    names = {planned.path.relative_to(book.folder).as_posix() for planned in book.project().plan()}
    assert names == {"one.ipynb", "two.md"}


@pytest.mark.timeout(60)
def test_copies_of_a_notebook_that_look_for_a_file_which_they_write_do_not_wait_for_each_other(
    book: Book,
) -> None:
    code = """%%
    from pathlib import Path
    print(Path('data.txt').read_text())
    if not Path('table.csv').exists():
        Path('table.csv').write_text('kept')
    """
    book.index("one", "two")
    book.write("data.txt", "1")
    for name in ("one.ipynb", "two.ipynb"):
        book.ipynb(name, "# Title", code, counts=False)
    assert book.build().warnings == ""
    book.write("data.txt", "2")
    assert book.build().status == 0
    assert "2" in (book.folder / "_build" / "html" / "two.html").read_text(encoding="utf-8")


def test_a_file_that_another_notebook_wrote_at_the_same_time_is_nothing_left_over(
    book: Book,
) -> None:
    """The reader saw the file appear, and is run once more; after that nothing is in doubt."""
    book.conf(jobs=2, executor="local-parallel")
    book.index("reader", "writer")
    writer = """%%
    import time; time.sleep(0.5)
    from pathlib import Path
    Path('made').mkdir()
    Path('made/file.txt').write_text('content')
    """
    reader = "%%import time; time.sleep(1.5); print(open('made/file.txt').read())"
    book.ipynb("writer.ipynb", writer)
    book.ipynb("reader.ipynb", reader)
    first = book.build()
    assert sorted(first.ran) == ["reader.ipynb", "reader.ipynb", "writer.ipynb"]
    assert "executing notebook 3 of 3: reader.ipynb" in first.log
    assert book.build().ran == ()
