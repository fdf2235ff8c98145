"""The formats of files: which files are notebooks, and which reader reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import MappingProxyType

from sphinx_nbcache.notebooks.front_matter import (
    MYST,
    jupytext_format,
    markdown_format,
    notebook_metadata,
    read_front_matter,
)
from sphinx_nbcache.notebooks.model import Notebook, NotebookError
from sphinx_nbcache.notebooks.readers import (
    IPYNB,
    IPYNB_SUFFIX,
    SCRIPTS,
    declared_format,
    format_for_reader,
    is_foreign,
)

MARKDOWN_SUFFIX = ".md"

_COMMENT = re.compile(r"^\s*(#|//|--|;;?|%|\(\*|')+ ?")


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats by suffix: the built-in ones and those of `nbcache_formats`."""

    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of notebooks, the longest first."""
        return tuple(
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
        suffix = self.suffix_of(name)
        declared = self.extra.get(suffix)
        if PurePath(name).name == "conf.py":
            return None
        if suffix in SCRIPTS and not script_format(text):
            return None
        if declared is not None:
            return declared_format(declared, name)
        if suffix == IPYNB_SUFFIX:
            return IPYNB
        return markdown_format(text) if suffix == MARKDOWN_SUFFIX else None


def script_format(text: str) -> str:
    """Return the jupytext format named in a script's commented YAML header; empty if none.

    Raises:
        NotebookError: The header names jupytext, and cannot be read.
    """
    header, start = _commented_header(text)
    try:
        return jupytext_format(notebook_metadata(read_front_matter("\n".join(header))))
    except NotebookError as error:
        if not any(line.startswith("jupytext:") or line.strip() == "jupytext:" for line in header):
            return ""
        line = None if error.line is None else error.line + start
        raise NotebookError(str(error), line) from None


def _commented_header(text: str) -> tuple[list[str], int]:
    """Return the lines of a script's commented header, and the number of lines before it."""
    header: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines()):
        stripped = _COMMENT.sub("", line, count=1)
        if header and stripped.rstrip() == "---":
            return [*header, "---"], start
        if not header and stripped.rstrip() != "---":
            # A shebang and an encoding line may precede the header.
            if line.startswith("#!") or "coding" in line:
                continue
            return [], 0
        if stripped == line and line.strip():
            return [], 0
        start = start if header else number
        header.append(stripped)
    return header, start


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
        from sphinx_nbcache.notebooks.ipynb import read_ipynb

        return read_ipynb(text)
    if fmt == MYST:
        from sphinx_nbcache.notebooks.loading import with_loaded_code
        from sphinx_nbcache.notebooks.myst import read_myst

        notebook = read_myst(text)
        return notebook if folder is None else with_loaded_code(notebook, folder)
    from sphinx_nbcache.notebooks import text as text_readers

    if is_foreign(fmt):
        return text_readers.read_with_function(text, fmt)
    return text_readers.read_with_jupytext(text, fmt)
