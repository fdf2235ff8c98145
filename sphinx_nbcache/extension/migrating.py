"""The text of a `conf.py` with our extension and options in place of MyST-NB's and nbsphinx's."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from sphinx_nbcache.extension.left_over import Meaning
from sphinx_nbcache.notebooks.renderers import MYST_NB, NBSPHINX
from sphinx_nbcache.options import PREFIX

_OURS = "sphinx_nbcache"
# A part of the text: its first byte, the byte after it, and what takes its place.
_Edit = tuple[int, int, str]


def migrated(text: str, values: Mapping[str, Any], found: Iterable[Meaning]) -> str:
    """Return the text of a `conf.py` in which options that are left over became ours.

    Everything else stays as it is. An option that cannot be translated gets a comment.

    Args:
        text: The text.
        values: The names that it defines.
        found: The meanings of the options that are left over.
    """
    conf = _Conf(text)
    edits = [*conf.extensions()]
    for meaning in found:
        edits += conf.option(meaning, values.get(meaning.source))
    data = conf.data
    # From the end, so that offsets stay valid. A comment goes before what begins at the same place.
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        data = data[:start] + new.encode() + data[end:]
    return data.decode()


class _Conf:
    """A `conf.py`, with the offsets of its parts in bytes, as `ast` counts columns."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        lines = self.data.splitlines(keepends=True)
        self._starts = [0, *accumulate(map(len, lines))]
        self._newline = "\r\n" if b"\r\n" in self.data else "\n"
        self._nodes = [*ast.walk(ast.parse(text))]

    def extensions(self) -> Iterator[_Edit]:
        """Yield the edits that replace the extensions."""
        listed = [
            node
            for statement in self._nodes
            if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr)
            and _names_extensions(statement)
            for node in ast.walk(statement)
            if isinstance(node, ast.Constant)
        ]
        is_there = any(node.value == _OURS for node in listed)
        for node in listed:
            start, end = self._span(node)
            written = self.data[start:end].decode()
            if node.value in (MYST_NB, NBSPHINX) and written[1:-1] == node.value:
                if is_there:
                    yield self._without(start, end)
                else:
                    yield start, end, written[0] + _OURS + written[-1]
                is_there = True

    def option(self, meaning: Meaning, value: Any) -> Iterator[_Edit]:
        """Yield the edits for one option that is left over."""
        named = [n for n in self._nodes if isinstance(n, ast.Name) and n.id == meaning.source]
        if not named:
            return
        if not meaning.option:
            yield from self._comment(named[0], _words(meaning))
            return
        ours = PREFIX + meaning.option
        assigned = [
            node
            for node in self._nodes
            if isinstance(node, ast.Assign) and node.targets == [named[0]]
        ]
        if meaning.value == value:
            for name in named:
                yield (*self._span(name), ours)
        elif len(named) == 1 and assigned and not self._has_comments(assigned[0].value):
            yield (*self._span(named[0]), ours)
            yield (*self._span(assigned[0].value), _quoted(meaning.checked))
        else:
            text = f"{meaning.source}: write {ours} = {_quoted(meaning.checked)} instead"
            yield from self._comment(named[0], text)

    def _span(self, node: ast.expr) -> tuple[int, int]:
        first, last = self._starts[node.lineno - 1], self._starts[(node.end_lineno or 1) - 1]
        return first + node.col_offset, last + (node.end_col_offset or 0)

    def _without(self, start: int, end: int) -> _Edit:
        """Return the edit that takes an item out of a list, with its line if it stands alone."""
        first = self.data.rfind(b"\n", 0, start) + 1
        last = self.data.find(b"\n", end) + 1 or len(self.data)
        if not self.data[first:start].strip() and self.data[end:last].strip() in (b"", b","):
            return first, last, ""
        rest = self.data[end:last]
        after = rest.lstrip(b" ").removeprefix(b",").lstrip(b" ")
        if rest.lstrip(b" ").startswith(b","):
            return start, last - len(after), ""
        before = self.data[:start].rstrip(b" ").removesuffix(b",")
        return len(before), end, ""

    def _has_comments(self, node: ast.expr) -> bool:
        start, end = self._span(node)
        return any(b"#" in line for line in self.data[start:end].splitlines()[:-1])

    def _comment(self, name: ast.Name, text: str) -> Iterator[_Edit]:
        """Yield the edit that puts a comment above the statement with a name."""
        around = [
            node
            for node in self._nodes
            if isinstance(node, ast.stmt)
            and node.lineno <= name.lineno <= (node.end_lineno or node.lineno)
        ]
        inner = max(around, key=lambda node: node.lineno)
        at = self._starts[inner.lineno - 1]
        line = f"{' ' * inner.col_offset}# {text}{self._newline}"
        # A migration may be repeated.
        if line.encode() not in self.data:
            yield at, at, line


def _names_extensions(statement: ast.stmt) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "extensions" for n in ast.walk(statement))


def _quoted(value: Any) -> str:
    """Return a value as Python code, with double quotes where these need no escapes."""
    text = repr(value)
    return text if '"' in text or "\\" in text else text.replace("'", '"')


def _words(meaning: Meaning) -> str:
    if not meaning.problem:
        return f"{meaning.said}; remove it"
    return meaning.problem.replace(" has no counterpart: ", ": no counterpart, ", 1)
