"""Files below a directory that are not documents, although their suffix suggests it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.model import NotebookError
from sphinx_nbcache.notebooks.readers import IPYNB_SUFFIX
from sphinx_nbcache.notebooks.scan import decode_source
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.printable import is_encodable, one_line

# Sphinx writes this file to the output directory of every HTML builder.
_OUTPUT_MARK = ".buildinfo"
NOT_A_NAME = "its name is not in the encoding of the file system; rename it"
# How many pairs are listed on one line.
_LISTED = 5
_GLOB_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache
def _glob_expression(pattern: str) -> re.Pattern[str]:
    """Translate a glob in which `*` and `?` stop at a slash, and `**` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern.removeprefix("./"))
    translated = [_GLOB_MEANING.get(part) or _class_or_text(part) for part in parts]
    try:
        return re.compile("".join(translated))
    except re.error:
        return re.compile(re.escape(pattern))  # such as `[z-a]`: not a glob, but perhaps a name


def _class_or_text(part: str) -> str:
    is_class = part.startswith("[") and part.endswith("]")
    if not is_class:
        return re.escape(part)
    # Escape nested brackets: Python warns that their meaning may change.
    inner = part[1:-1].replace("[", r"\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def matching_glob(path: str, patterns: Iterable[str]) -> str | None:
    """Return the first glob that matches a POSIX path or one of its parent folders."""
    folders = [path]
    while "/" in folders[-1]:
        folders.append(folders[-1].rpartition("/")[0])
    for pattern in patterns:
        expression = _glob_expression(pattern.rstrip("/"))
        if any(expression.fullmatch(folder) for folder in folders):
            return pattern
    return None


def is_output(folder: Path) -> bool:
    """Tell whether Sphinx has written pages to a folder."""
    return (folder / _OUTPUT_MARK).is_file()


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
    by_document: dict[str, list[str]] = {}
    scripts = []
    unnamed = []
    for name in sorted(names):
        suffix = formats.suffix_of(name)
        if not is_encodable(name):
            unnamed.append(name)
        elif suffix in formats.extra and not _is_notebook(srcdir / name, formats):
            scripts.append(name)
        elif suffix:
            by_document.setdefault(name.removesuffix(suffix), []).append(name)
    twins: dict[str, str] = {}
    for pair in by_document.values():
        twins |= _twins(srcdir, pair, formats)
    return LeftOut(tuple(scripts), twins, tuple(unnamed))


def _twins(srcdir: Path, names: list[str], formats: Formats) -> dict[str, str]:
    """Return the files of one document, except its source, each with that source."""
    if len(names) == 1:
        return {}
    texts = (
        name
        for name in names
        if not name.endswith(IPYNB_SUFFIX) and _is_notebook(srcdir / name, formats)
    )
    source = next(texts, None)
    return {} if source is None else {name: source for name in names if name != source}


def _is_notebook(path: Path, formats: Formats) -> bool:
    try:
        text = decode_source(path.read_bytes())
    except (OSError, NotebookError):
        return False
    try:
        return formats.format_of(path.name, text) is not None
    except NotebookError:
        return True  # an unreadable one
