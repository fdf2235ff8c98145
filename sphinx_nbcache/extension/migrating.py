"""The text of a `conf.py` with our extension and options in place of MyST-NB's and nbsphinx's.

Only what is certain is changed. All else gets a comment or a notice that says what to do by hand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sphinx_nbcache.extension.left_over import Meaning
from sphinx_nbcache.extension.listed_extensions import (
    NotSureError,
    line_starts,
    span,
    with_ours,
    with_statements,
)
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.text import counted, one_line, shortened, shown

# A part of the text: its first byte, the byte after it, and what takes its place.
_Edit = tuple[int, int, str]
# The options of ours whose values have another form than those that they follow from.
_OTHER_VALUES = frozenset(
    {"execute", "exclude", "run_in", "on_error", "store", "formats", "mime_priority"}
)
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Migrated:
    """The outcome of a migration.

    Attributes:
        text: The text of the `conf.py`.
        notices: Steps to be done by hand for which the text has no place.
    """

    text: str
    notices: tuple[str, ...] = ()


def migrated(text: str, values: Mapping[str, Any], found: Iterable[Meaning]) -> Migrated:
    """Return the text of a `conf.py` in which options that are left over became ours.

    Everything else stays as it is. An option that is not certain to mean the same gets a comment.

    Args:
        text: The text.
        values: The names that it defines.
        found: The meanings of the options that are left over.
    """
    meanings = [*found]
    try:
        new = with_ours(text, values.get("extensions"))
    except NotSureError as error:
        waiting = f", and then run this again for {counted(len(meanings), 'option')}"
        return Migrated(text, (f"{error}{waiting if meanings else ''}",))
    conf = _Conf(new)
    edits: list[_Edit] = []
    notices: list[str] = []
    for meaning in meanings:
        made = [*conf.option(meaning, values.get(meaning.source))]
        edits += [edit for edit in made if not isinstance(edit, str)]
        notices += [notice for notice in made if isinstance(notice, str)]
    data = conf.data
    # From the end, so that offsets stay valid. A comment goes before what begins at the same place.
    for start, end, written in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        data = data[:start] + written.encode() + data[end:]
    changed = data.decode()
    try:
        ast.parse(changed)
    except (SyntaxError, ValueError):
        reason = "nothing is changed: with the changes, conf.py would not be valid Python"
        return Migrated(text, (f"{reason}; change it by hand",))
    return Migrated(changed, tuple(notices))


class _Conf:
    """A `conf.py`, with the offsets of its parts in bytes, as `ast` counts columns."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self._starts = line_starts(self.data)
        self._newline = "\r\n" if b"\r\n" in self.data else "\n"
        self._tree = ast.parse(text)
        self._mentions: dict[str, list[ast.stmt]] = {}
        for statement, node in with_statements(self._tree):
            for name in _names_in(node):
                self._mentions.setdefault(name, []).append(statement)

    def option(self, meaning: Meaning, value: Any) -> Iterator[_Edit | str]:
        """Yield the edits for one option that is left over, or a notice."""
        if not meaning.option:
            yield self._comment(meaning.source, _words(meaning))
            return
        ours, is_same = PREFIX + meaning.option, _is_same(meaning.value, value)
        new = _quoted(meaning.checked)
        assigned = self._literal(meaning.source, value)
        if assigned is None or ours in self._mentions:
            text = f"{meaning.source}: write {ours} instead"
            if meaning.option in _OTHER_VALUES or not is_same:
                text += f"; its values differ, {shown(value)} is {ours} = {shortened(new, 200)}"
            yield self._comment(meaning.source, text)
            return
        name, literal = assigned
        start, end = span(self._starts, literal)
        if is_same:
            yield (*span(self._starts, name), ours)
        # A comment in the value would be lost.
        elif _is_literal(new, meaning.checked) and b"#" not in self.data[start:end]:
            yield (*span(self._starts, name), ours)
            yield start, end, new
        else:
            text = f"{meaning.source}: write {ours} = {shortened(new, 200)} instead"
            yield self._comment(meaning.source, text)

    def _literal(self, name: str, value: Any) -> tuple[ast.expr, ast.expr] | None:
        """Return the name and the value of the only statement with a name.

        Returns:
            `None` if this is no top-level assignment of a literal, or not what counts.
        """
        mentions = self._mentions.get(name, [])
        if len(mentions) != 1 or mentions[0] not in self._tree.body:
            return None
        match mentions[0]:
            case ast.Assign(targets=[ast.Name(id=target) as node], value=literal):
                is_it = target == name and _is_literal(literal, value)
                return (node, literal) if is_it else None
        return None

    def _comment(self, name: str, text: str) -> _Edit | str:
        """Return the edit that puts a comment above the first statement with a name.

        Returns:
            A notice, if there is no line for the comment.
        """
        text = one_line(shortened(text, _LONGEST))
        if name not in self._mentions:
            return f"{text} (conf.py does not name it; look where it gets its value)"
        statement = self._mentions[name][0]
        at = self._starts[statement.lineno - 1]
        indent = self.data[at : at + statement.col_offset]
        continues = re.search(rb"\\\r?\n?\Z", self.data[:at])
        if indent.strip() or continues:
            return f"conf.py:{statement.lineno}: {text}"
        line = f"{indent.decode()}# {text}{self._newline}"
        # A migration may be repeated.
        return at, at, "" if line.encode() in self.data else line


def _names_in(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node reads, binds or deletes, and what may name one of those."""
    match node:
        case ast.Constant(value=str(name)):
            yield name  # such as `globals()["nb_execution_mode"]`
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case _:
            fields = (getattr(node, field, None) for field in _NAMING)
            yield from (name for name in fields if isinstance(name, str))


_NAMING = ("id", "name", "asname", "arg", "rest")


def _is_literal(written: str | ast.expr, value: Any) -> bool:
    """Tell whether code is a literal for a value."""
    try:
        return _is_same(ast.literal_eval(written), value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _is_same(one: Any, other: Any) -> bool:
    # Arrays cannot be compared, and True is not 1 here.
    try:
        return type(one) is type(other) and repr(one) == repr(other)
    except Exception:  # noqa: BLE001 (the value may raise anything)
        return False


def _quoted(value: Any) -> str:
    """Return a value as Python code, with double quotes where these need no escapes."""
    text = repr(value)
    return text if '"' in text or "\\" in text else text.replace("'", '"')


def _words(meaning: Meaning) -> str:
    if not meaning.problem:
        return f"{meaning.said}; remove it"
    return meaning.problem.replace(" has no counterpart: ", ": no counterpart, ", 1)
