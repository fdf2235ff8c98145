"""The formats of files: which files are notebooks, which reader reads them, and its names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path, PurePath
from types import MappingProxyType

from sphinx_nbcache.notebooks.front_matter import (
    MYST,
    is_script_notebook,
    lines_before_header,
    markdown_format,
    read_front_matter,
)
from sphinx_nbcache.notebooks.notebook import Notebook, NotebookError, decode_source, refuse_pipe
from sphinx_nbcache.notebooks.readers import (
    IPYNB,
    IPYNB_SUFFIX,
    SCRIPTS,
    declared_format,
    format_for_reader,
    is_foreign,
)
from sphinx_nbcache.notebooks.renderers import (
    MYST_NB,
    NO_NOTEBOOKS,
    DeclaredFormat,
    is_inline,
    is_inline_ipynb,
    is_myst_notebook,
    myst_extensions,
    taken_apart,
)
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.text import is_encodable, one_line

MARKDOWN_SUFFIX = ".md"

_COMMENT = re.compile(r"^\s*(#|//|--|;;?|%|\(\*|')+ ?")
# Sphinx writes this file to the output directory of every HTML builder.
_OUTPUT_MARK = ".buildinfo"
NOT_A_NAME = "its name is not in the encoding of the file system; rename it"
# How many pairs are listed on one line.
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats by suffix: the built-in ones and those of `nbcache_formats`."""

    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of notebooks, the longest first."""
        return tuple(
            # `fit.nb.md` has the suffix `.nb.md` if that is declared, not `.md`.
            sorted({IPYNB_SUFFIX, MARKDOWN_SUFFIX, *self.extra}, key=lambda s: (-len(s), s))
        )

    def suffix_of(self, name: str) -> str:
        """Return the notebook suffix of a file name; empty if there is none."""
        return next((suffix for suffix in self.suffixes if name.endswith(suffix)), "")

    def format_of(self, name: str, text: str, reader: str = "") -> str | None:
        """Return the name of the format of a file, or `None` if the file is not a notebook.

        Args:
            name: The file's name.
            text: Its content.
            reader: The reader that was named for this file, if any. It makes the file a notebook,
                whatever its name and text are.

        Raises:
            NotebookError: The reader or format does not exist, or the header of an apparent
                notebook cannot be read.
        """
        if reader:
            return format_for_reader(reader, name)
        # Even if it looks like a notebook: Sphinx runs it, and it is no page.
        if PurePath(name).name == "conf.py":
            return None
        suffix = self.suffix_of(name)
        found = taken_apart(self.extra.get(suffix, ""))
        if found.renderer or found.reader == NO_NOTEBOOKS:
            return _format_for(found, name, text)
        return _own_format(self.extra.get(suffix), suffix, name, text)


def _own_format(declared: str | None, suffix: str, name: str, text: str) -> str | None:
    """Return the format of a file by our own rules, or `None` if it is not a notebook."""
    # Before the declared format: `{".py": "py:percent"}` names the format of scripts that are
    # notebooks, not all scripts (https://jupytext.readthedocs.io/en/latest/formats-scripts.html).
    if suffix in SCRIPTS and not is_notebook_script(text):
        return None
    if declared is not None:
        return declared_format(declared, name)
    if suffix == IPYNB_SUFFIX:
        return IPYNB
    return markdown_format(text) if suffix == MARKDOWN_SUFFIX else None


def _format_for(declared: DeclaredFormat, name: str, text: str) -> str | None:
    """Return the format of a file of another renderer, or `None` if it runs no notebook there."""
    if declared.reader == NO_NOTEBOOKS:
        return None
    is_myst_nb = declared.renderer == MYST_NB
    if declared.reader and myst_extensions(declared.reader) is None:
        return declared_format(declared.reader, name)
    if name.endswith(IPYNB_SUFFIX):
        return None if is_myst_nb and is_inline_ipynb(text, declared.key) else IPYNB
    try:
        metadata = read_front_matter(text)
    except NotebookError:
        return None  # MyST-NB takes such a file for an ordinary page
    is_ours = is_myst_notebook(metadata) and not is_inline(metadata, declared.key)
    return declared.reader if is_myst_nb and is_ours else None


def is_notebook_script(text: str) -> bool:
    """Tell whether a script is a notebook, by its commented YAML header.

    Raises:
        NotebookError: The header of an apparent notebook cannot be used.
    """
    lines = text.splitlines()
    start = lines_before_header(lines)
    header = _commented_header(lines, start)
    if not header:
        if (late := _late_header(lines, start)) is not None:
            raise NotebookError(
                "the header of the notebook stands below other lines, where jupytext does not look;"
                " only a shebang and an encoding line may precede it",
                late + 1,
            )
        return False
    try:
        return is_script_notebook("\n".join(header))
    except NotebookError as error:
        line = None if error.line is None else error.line + start
        raise NotebookError(str(error), line) from None


def _commented_header(lines: Sequence[str], start: int) -> list[str]:
    """Return the lines from `---` to `---` without comment signs; empty if there is no header.

    A header that does not end has all comments that follow it.
    """
    header: list[str] = []
    for line in islice(lines, start, None):
        stripped = _COMMENT.sub("", line, count=1)
        is_rule = stripped.rstrip() == "---"
        # Blank lines end a header, as do lines without a comment.
        if stripped == line or not (header or is_rule):
            break
        is_end = bool(header) and is_rule
        header.append(stripped)
        if is_end:
            break
    return header


def _late_header(lines: Sequence[str], start: int) -> int | None:
    """Return the position of a notebook's header in the comments at the top of a script."""
    before = ""
    for number, line in enumerate(islice(lines, start, None), start):
        stripped = _COMMENT.sub("", line, count=1).rstrip()
        # Code, or the first cell, which may show a header.
        if (stripped == line.rstrip() and stripped) or "%%" in line:
            break
        if before == "---" and stripped == "jupyter:":
            return number - 1
        before = stripped
    return None


def read_notebook(text: str, fmt: str, folder: Path | None = None) -> Notebook:
    """Read a notebook in a format that [](Formats.format_of) returned.

    Args:
        text: Its text.
        fmt: The format.
        folder: Its folder, from which text notebooks load code; `None` to load none.

    Raises:
        NotebookError: The text cannot be read.
    """
    if fmt == IPYNB:
        # Readers are imported late: a build in which nothing changed needs none of them.
        from sphinx_nbcache.notebooks.ipynb import read_ipynb

        return read_ipynb(text)
    extensions = myst_extensions(fmt)
    if fmt == MYST or extensions is not None:
        from sphinx_nbcache.notebooks.myst import read_myst, read_myst_nb
        from sphinx_nbcache.notebooks.notebook import with_loaded_code

        notebook = read_myst(text) if extensions is None else read_myst_nb(text, extensions)
        return notebook if folder is None else with_loaded_code(notebook, folder)
    from sphinx_nbcache.notebooks import text_formats as text_readers

    if is_foreign(fmt):
        return text_readers.read_with_function(text, fmt)
    return text_readers.read_with_jupytext(text, fmt)


def is_output(folder: Path) -> bool:
    """Tell whether Sphinx has written pages to a folder."""
    # `Path.is_file` raises in a folder that may not be entered (Python before 3.14).
    return os.path.isfile(folder / _OUTPUT_MARK)  # noqa: PTH113 (see above)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The files that must not become documents.

    Attributes:
        scripts: Scripts that are not notebooks: `conf.py`, helper modules.
        twins: Files whose document has another source, each with that source.
        unnamed: Files whose names cannot be encoded. Neither Sphinx nor a record can name them.
    """

    scripts: tuple[str, ...]
    twins: Mapping[str, str]
    unnamed: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        yield from self.scripts
        yield from self.twins
        yield from self.unnamed

    @property
    def notices(self) -> Iterator[Notice]:
        """The notices about these files."""
        for name in self.unnamed:
            yield Notice(Topic.SOURCE, f"{one_line(name)} is left out: {NOT_A_NAME}")
        if text := self.words:
            yield Notice(Topic.SOURCE, text, is_information=True)

    @property
    def words(self) -> str:
        """A message about the files that are used instead of their twins; empty if none."""
        listed = [f"{used} is used, and {other} is not" for other, used in self.twins.items()]
        if len(listed) > _LISTED:
            listed[_LISTED:] = [f"and {len(listed) - _LISTED} more pairs"]
        text = "; ".join(listed)
        return f"of files for one page, the text notebook counts: {text}" if text else ""


def not_documents(srcdir: Path, names: Iterable[str], formats: Formats) -> LeftOut:
    """Return the files that must not become documents.

    These are scripts that are not notebooks, and the `.ipynb` file of a pair such as `fit.md` and
    `fit.ipynb`: the text file is the source.

    Args:
        srcdir: The source directory.
        names: Files in it that have a notebook's suffix, as POSIX paths relative to it.
        formats: The formats by suffix.
    """

    @cache  # a file may have to be looked into for two reasons
    def look(name: str) -> tuple[bool, bool]:
        return _look_into(srcdir / name, formats)

    by_document: dict[str, list[str]] = {}
    scripts = []
    unnamed = []
    # Sorted, so that the choice among twins does not depend on the order of a directory.
    for name in sorted(names):
        suffix = formats.suffix_of(name)
        if not is_encodable(name):
            unnamed.append(name)
        elif suffix in formats.extra and not look(name)[0]:
            scripts.append(name)
        elif suffix:
            by_document.setdefault(name.removesuffix(suffix), []).append(name)
    twins: dict[str, str] = {}
    for pair in by_document.values():
        twins |= _twins(pair, lambda name: all(look(name)))
    return LeftOut(tuple(scripts), twins, tuple(unnamed))


def _twins(names: list[str], is_source: Callable[[str], bool]) -> dict[str, str]:
    """Return the files of one document, except its source, each with that source."""
    if len(names) == 1:
        return {}
    # In a pair of jupytext, code is taken from the text file
    # (https://jupytext.readthedocs.io/en/latest/paired-notebooks.html).
    texts = (name for name in names if not name.endswith(IPYNB_SUFFIX) and is_source(name))
    source = next(texts, None)
    return {} if source is None else {name: source for name in names if name != source}


def _look_into(path: Path, formats: Formats) -> tuple[bool, bool]:
    """Tell whether a file is a notebook, readable or not, and whether it is UTF-8."""
    try:
        refuse_pipe(path)
        content = path.read_bytes()
    except OSError:
        return False, False
    try:
        text, is_utf8 = decode_source(content), True
    except NotebookError:
        # Headers are ASCII, which Latin-1 leaves as it is.
        text, is_utf8 = content.decode("latin-1"), False
    try:
        return formats.format_of(path.name, text) is not None, is_utf8
    except NotebookError:
        return True, is_utf8
