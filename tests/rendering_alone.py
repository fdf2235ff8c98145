"""Books that nbsphinx and MyST-NB render: with this extension, and alone."""

from __future__ import annotations

import html
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from support import Book


def has_pandoc() -> bool:
    """Tell whether there is a Pandoc, and put it where nbsphinx finds it.

    It is that of the system, else the one in the package `pypandoc_binary`.
    """
    if shutil.which("pandoc") is None:
        with suppress(ImportError, OSError):
            import pypandoc

            folder = Path(pypandoc.get_pandoc_path()).parent
            os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return shutil.which("pandoc") is not None


def article(page: str) -> str:
    """Return the body of a page, without addresses."""
    found = re.search(r'<div class="body" role="main">(.*?)<div class="clearer">', page, re.DOTALL)
    assert found is not None, page
    return re.sub(r"0x[0-9a-f]+", "0x", found[1])


def words(page: str) -> str:
    """Return the words of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def alone(book: Book, renderer: str, conf: str = "") -> Book:
    """Return a copy of a book that a renderer builds without this extension."""
    folder = book.folder.parent / "alone"
    shutil.copytree(book.folder, folder, ignore=shutil.ignore_patterns("_build"))
    made = Book(folder, book.counter.with_name("alone.txt"), has_other_kernels=True)
    lines = f"extensions = [{renderer!r}]\nexclude_patterns = ['_build']\nproject = 'B'\n"
    made.write("conf.py", lines + conf)
    return made
