"""Which files below a directory are not documents, although their suffix says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.model import NotebookError
from sphinx_nbcache.notebooks.readers import IPYNB_SUFFIX
from sphinx_nbcache.notebooks.scan import decode_source

# Sphinx writes it to the output directory of every builder of HTML pages.
_OUTPUT_MARK = ".buildinfo"
# So many pairs are listed in one line.
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
        return re.compile(re.escape(pattern))  # such as `[z-a]`: no glob, but perhaps a name


def _class_or_text(part: str) -> str:
    is_class = part.startswith("[") and part.endswith("]")
    if not is_class:
        return re.escape(part)
    # A bracket within the class is itself; Python warns that it may come to mean something.
    inner = part[1:-1].replace("[", r"\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def matching_glob(path: str, patterns: Iterable[str]) -> str | None:
    """Return the first glob that matches a POSIX path, or a folder above it."""
    folders = [path]
    while "/" in folders[-1]:
        folders.append(folders[-1].rpartition("/")[0])
    for pattern in patterns:
        expression = _glob_expression(pattern.rstrip("/"))
        if any(expression.fullmatch(folder) for folder in folders):
            return pattern
    return None


def is_output(folder: Path) -> bool:
    """Tell whether a folder is one to which Sphinx has written pages."""
    return (folder / _OUTPUT_MARK).is_file()


def in_words(pairs: Mapping[str, str]) -> str:
    """Say which files are used, and not the others of the same document; empty without any.

    Args:
        pairs: What [](twins) returned.
    """
    listed = [f"{used} is used, and {other} is not" for other, used in sorted(pairs.items())]
    if len(listed) > _LISTED:
        listed[_LISTED:] = [f"and {len(listed) - _LISTED} more pairs"]
    return f"of files for one page, the text notebook counts: {'; '.join(listed)}" if listed else ""


def twins(names: Iterable[str], left_out: Iterable[str], formats: Formats) -> dict[str, str]:
    """Return the files that are left out because another one is the source of their document.

    Args:
        names: All files, as for [](not_documents).
        left_out: What that function yielded.
        formats: What suffixes mean.

    Returns:
        Each of them, with the file that is used instead.
    """
    gone = set(left_out)
    used = {_document(name, formats): name for name in names if name not in gone}
    pairs = {name: used.get(_document(name, formats), "") for name in gone}
    return {name: other for name, other in pairs.items() if other}


def _document(name: str, formats: Formats) -> str:
    return name.removesuffix(formats.suffix_of(name))


def not_documents(srcdir: Path, names: Iterable[str], formats: Formats) -> Iterator[str]:
    """Yield the files that must not become documents.

    Those are scripts that are no notebooks (`conf.py`, helper modules), and of a pair, such as
    `fit.md` and `fit.ipynb`, the `.ipynb` file: the text file is the source.

    Args:
        srcdir: The source directory.
        names: Files in it that have a notebook's suffix, as POSIX paths relative to it.
        formats: What suffixes mean.
    """
    by_document: dict[str, list[str]] = {}
    for name in sorted(names):
        suffix = formats.suffix_of(name)
        if suffix in formats.extra and not _is_notebook(srcdir / name, formats):
            yield name
        elif suffix:
            by_document.setdefault(name.removesuffix(suffix), []).append(name)
    for pair in by_document.values():
        yield from _twins(srcdir, pair, formats)


def _twins(srcdir: Path, names: list[str], formats: Formats) -> list[str]:
    """Return all but the source of the files that would be the same document."""
    if len(names) == 1:
        return []
    texts = [
        name
        for name in names
        if not name.endswith(IPYNB_SUFFIX) and _is_notebook(srcdir / name, formats)
    ]
    if not texts:
        return []
    return [name for name in names if name != texts[0]]


def _is_notebook(path: Path, formats: Formats) -> bool:
    try:
        text = decode_source(path.read_bytes())
    except (OSError, NotebookError):
        return False
    try:
        return formats.format_of(path.name, text) is not None
    except NotebookError:
        return True  # one that cannot be read
