"""The list `extensions` in the text of a `conf.py`, with our extension in place of the others'."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sphinx_nbcache.notebooks.renderers import MYST_NB, NBSPHINX

_OURS = "sphinx_nbcache"
_THEIRS = (MYST_NB, NBSPHINX)
_NAME = "extensions"


class NotSureError(Exception):
    """How to replace an extension is not certain; the message says what to do."""


def with_ours(text: str, listed: Any) -> str:
    """Return the text of a `conf.py` that loads our extension, and none of the other renderers.

    Args:
        text: The text.
        listed: The value that `extensions` has in the end.

    Raises:
        NotSureError: That is to be done by hand.
    """
    names = [*listed] if isinstance(listed, list | tuple) else []
    called = [*_called(text)]
    theirs = [name for name in (*names, *called) if isinstance(name, str) and name in _THEIRS]
    if not theirs and _OURS in (*names, *called):
        return text
    if not theirs:
        raise NotSureError(
            f'extensions has neither "{MYST_NB}" nor "{NBSPHINX}"; nothing is changed. Add'
            f' "{_OURS}" to it by hand'
        )
    items, place = _items(text), _place(text)
    if called or [item.value for item in items] != names:
        raise _by_hand(theirs, place)
    # The last first: what is in front of it stays where it is.
    found = [item for item in items if item.value in (_OURS, *_THEIRS)]
    data = text.encode()
    for item in reversed(found):
        start, end, new = item.start, item.end, f"{item.quote}{_OURS}{item.quote}"
        if item is not found[0]:
            # The last removal has moved the neighbours.
            again = {other.start: other for other in _items(data.decode())}
            removed = _without(data, again[item.start]) if item.start in again else None
            if removed is None:
                raise _by_hand(theirs, place)
            start, end, new = removed
        data = data[:start] + new.encode() + data[end:]
    changed = data.decode()
    expected = [
        _OURS if item is found[0] else item.value for item in items if item not in found[1:]
    ]
    if not _is_code(changed) or [item.value for item in _items(changed)] != expected:
        raise _by_hand(theirs, place)
    return changed


def _is_code(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _by_hand(theirs: list[str], place: str) -> NotSureError:
    quoted = " and ".join(f'"{name}"' for name in dict.fromkeys(theirs))
    return NotSureError(
        f"{place}extensions is more than lists of plain strings at the top level, so that nothing"
        f' is changed: first replace {quoted} by "{_OURS}" in it by hand'
    )


def _called(text: str) -> Iterator[str]:
    """Yield the extensions in question that a `setup` function loads."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="setup_extension"), args=[ast.Constant(value=name)]
            ) if name in (_OURS, *_THEIRS):
                yield str(name)


def _place(text: str) -> str:
    lines = [stmt.lineno for stmt, node in with_statements(ast.parse(text)) if _is_name(node)]
    return f"conf.py:{lines[0]}: " if lines else ""


@dataclass(frozen=True, slots=True)
class _Item:
    """A plain string in a list of extensions.

    Attributes:
        value: The string.
        quote: The quotes around it.
        start: Its first byte.
        end: The byte after it.
        before: The end of the item before it in the same list, if there is one.
        after: The start of the one after it.
        is_in_tuple: Whether the list is a tuple.
        is_call: Whether it is the argument of `append`, not in a list.
    """

    value: str
    quote: str
    start: int
    end: int
    before: int | None = None
    after: int | None = None
    is_in_tuple: bool = False
    is_call: bool = False


def _items(text: str) -> list[_Item]:
    """Return the items of `extensions`; none if a statement with that name has another form."""
    data, tree = text.encode(), ast.parse(text)
    starts = line_starts(data)
    named: list[ast.stmt] = []
    found: list[_Item] = []
    for statement, node in with_statements(tree):
        if _is_name(node):
            named.append(statement)
    for i, statement in enumerate(named):
        container = _container(statement, is_first=i == 0)
        if container is None or statement not in tree.body or named.count(statement) != 1:
            return []
        is_call = isinstance(container, ast.Call)
        nodes = container.args if isinstance(container, ast.Call) else container.elts
        spans = [span(starts, node) for node in nodes]
        for j, (node, (start, end)) in enumerate(zip(nodes, spans, strict=True)):
            written = data[start:end].decode()
            value = node.value if isinstance(node, ast.Constant) else None
            if not isinstance(value, str) or written[1:-1] != value:
                return []
            before = spans[j - 1][1] if j else None
            after = spans[j + 1][0] if j + 1 < len(spans) else None
            is_in_tuple = isinstance(container, ast.Tuple)
            quote = written[0]
            found.append(_Item(value, quote, start, end, before, after, is_in_tuple, is_call))
    return found


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == _NAME


def _container(statement: ast.stmt, *, is_first: bool) -> ast.List | ast.Tuple | ast.Call | None:
    """Return what a statement adds to `extensions`; `None` if that is not certain."""
    match statement:
        case ast.Assign(targets=[ast.Name()], value=ast.List() | ast.Tuple() as listed):
            return listed if is_first else None
        case ast.AugAssign(target=ast.Name(), op=ast.Add(), value=ast.List() | ast.Tuple() as more):
            return None if is_first else more
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(), attr="append"), args=[_], keywords=[]
            ) as call
        ):
            return None if is_first else call
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(), attr="extend"),
                args=[ast.List() | ast.Tuple() as more],
                keywords=[],
            )
        ):
            return None if is_first else more
    return None


def _without(data: bytes, item: _Item) -> tuple[int, int, str] | None:
    """Return the edit that takes an item out of its list; `None` if that is not certain."""
    first = max(data.rfind(b"\n", 0, item.start), data.rfind(b"\r", 0, item.start)) + 1
    last = data.find(b"\n", item.end) + 1 or len(data)
    before, rest = data[first : item.start], data[item.end : last].strip()
    if item.is_call:
        is_alone = re.fullmatch(rb"extensions\.append\(\s*", before) and rest == b")"
        return (first, last, "") if is_alone else None
    is_last = item.after is None
    # The whole line, if the item stands alone there.
    if not before.strip() and (rest == b"," or (is_last and not rest)):
        return first, last, ""
    if item.after is not None:
        is_plain = re.fullmatch(rb"\s*,\s*", data[item.end : item.after])
        return (item.start, item.after, "") if is_plain else None
    comma = re.match(rb"\s*,", data[item.end :])
    if item.before is None:
        return item.start, item.end + (comma.end() if comma else 0), ""
    if not re.fullmatch(rb"\s*,\s*", data[item.before : item.start]):
        return None
    return item.before, item.end, "," if item.is_in_tuple and not comma else ""


def line_starts(data: bytes) -> list[int]:
    """Return the offset of each line of Python code."""
    # Form feeds and U+2028 end no line of Python, but do for `str.splitlines`.
    return [0, *(found.end() for found in re.finditer(rb"\r\n|\r|\n", data))]


def span(starts: list[int], node: ast.expr | ast.stmt) -> tuple[int, int]:
    """Return the first byte of a node, and the byte after it."""
    first, last = starts[node.lineno - 1], starts[(node.end_lineno or 1) - 1]
    return first + node.col_offset, last + (node.end_col_offset or 0)


def with_statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, ast.AST]]:
    """Yield each node with the innermost statement that it belongs to, in the order of the text."""
    left: list[tuple[ast.stmt, ast.AST]] = [(node, node) for node in reversed(tree.body)]
    while left:
        statement, node = left.pop()
        yield statement, node
        left += [
            (child if isinstance(child, ast.stmt) else statement, child)
            for child in reversed([*ast.iter_child_nodes(node)])
        ]
