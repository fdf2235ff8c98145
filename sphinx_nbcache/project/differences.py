"""Differences between the outputs of two runs, and between the code of two notebooks."""

from __future__ import annotations

import difflib
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec

from sphinx_nbcache.results.outputs import Output, RunOutputs

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# ipywidgets takes the ids of models from the comm package, which calls `uuid4().hex`: they differ
# between any two runs (https://github.com/ipython/comm/blob/main/comm/base_comm.py).
_MODEL_ID = re.compile(r"[0-9a-f]{32}")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TEXTUAL = ("text/", "application/json", "application/javascript", "image/svg")
# Limits of a shown difference: the number of lines, and their length.
_MOST_LINES = 12
_WIDTH = 120
# How many lines to search for the end of a difference. The time of `difflib` is quadratic:
# https://docs.python.org/3/library/difflib.html#difflib.SequenceMatcher
_FAR = 200


def differences(old: RunOutputs, new: RunOutputs) -> dict[int, str]:
    """Return a short diff for each cell whose outputs differ, by the position of the cell.

    Execution counts are not compared. Widget ids, which differ in each run, are compared by order.

    Args:
        old: The outputs of one run.
        new: The outputs of another run of the same cells.
    """
    before, after = _comparable(old), _comparable(new)
    found = {
        position: _diff(a, b)
        for position, (a, b) in enumerate(zip(before.cells, after.cells, strict=True))
        if a != b
    }
    if not found and before.widgets != after.widgets:
        # Widget states are stored per notebook. Attribute the difference to the cell that shows
        # the widget, whose output looks different.
        lines = _json_lines(before.widgets), _json_lines(after.widgets)
        shown = (p for p, cell in enumerate(before.cells) if any(map(_shows_widget, cell)))
        found[next(shown, 0)] = _short_diff(*lines)
    return found


def _comparable(outputs: RunOutputs) -> RunOutputs:
    cells = [
        [{k: v for k, v in output.items() if k != "execution_count"} for output in cell]
        for cell in outputs.cells
    ]
    plain = RunOutputs(cells, outputs.widgets)
    names = {id_: f"widget-{n}" for n, id_ in enumerate(dict.fromkeys(_widget_ids(plain)), 1)}
    if not names:
        return plain
    # Ids also occur inside strings, such as `IPY_MODEL_…` references and HTML. Rename them in the
    # encoded text, to find them all.
    text = msgspec.json.encode(plain).decode()
    renamed = _MODEL_ID.sub(lambda found: names.get(found[0], found[0]), text)
    return msgspec.json.decode(renamed, type=RunOutputs)


def _widget_ids(outputs: RunOutputs) -> Iterator[str]:
    """Yield the ids of widgets in an order that does not depend on the ids.

    Shown widgets come first, each followed by the widgets that it refers to.
    """
    found = outputs.widgets.get("state")
    states: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    texts = {id_: _json(state) for id_, state in states.items()}
    shown = [
        str(output["data"][_WIDGET_VIEW].get("model_id"))
        for cell in outputs.cells
        for output in filter(_shows_widget, cell)
    ]
    # Order the rest, such as layouts and styles, by content.
    others = sorted(texts, key=lambda id_: _MODEL_ID.sub("", texts[id_]))
    pending, seen = [*reversed(others), *reversed(shown)], set[str]()
    while pending:
        id_ = pending.pop()
        if id_ not in seen:
            seen.add(id_)
            yield id_
            pending += reversed([r for r in _MODEL_ID.findall(texts.get(id_, "")) if r in texts])


def _shows_widget(output: Output) -> bool:
    data = output.get("data")
    return isinstance(data, Mapping) and isinstance(data.get(_WIDGET_VIEW), Mapping)


def _diff(old: list[Output], new: list[Output]) -> str:
    lines = [line for output in old for line in _lines(output)]
    return _short_diff(lines, [line for output in new for line in _lines(output)])


def _short_diff(old: list[str], new: list[str]) -> str:
    """Return the beginning of a diff, in linear time."""
    # One equal line before the difference serves as context.
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    start = max(same - 1, 0)
    pair = old[start : start + _FAR], new[start : start + _FAR]
    # Skip the file names in the first two lines, and the line numbers: they count from `start`.
    diff = [
        line
        for line in list(difflib.unified_diff(*pair, n=1, lineterm=""))[2:]
        if not line.startswith("@@")
    ]
    left = len(diff) - _MOST_LINES
    if left > 0:
        diff[_MOST_LINES:] = ["…"]
    return "\n".join(diff)


def _lines(output: Output) -> Iterator[str]:
    """Yield the compared parts of an output, as lines."""
    kind = output.get("output_type")
    if kind == "stream":
        yield from _wrapped(str(output.get("text")), f"{output.get('name')}: ")
    elif kind == "error":
        # IPython colours tracebacks with ANSI sequences, which would garble the terminal.
        yield from _wrapped(_COLOURS.sub("", _traceback(output)))
        yield f"{output.get('ename')}: {output.get('evalue')}"
    else:
        data = output.get("data")
        for mime, value in data.items() if isinstance(data, Mapping) else ():
            yield from _representation(mime, value)
        if output.get("metadata"):
            yield from _wrapped(_json(output["metadata"]), "metadata: ")


def _traceback(output: Output) -> str:
    lines = output.get("traceback")
    return "\n".join(map(str, lines)) if isinstance(lines, list) else ""


def _representation(mime: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield from (f"{mime}: {line}" for line in _json_lines(value))
    elif mime.startswith(_TEXTUAL):
        yield from _wrapped(value, f"{mime}: ")
    else:
        digest = hashlib.sha256(value.encode()).hexdigest()[:12]
        yield f"{mime}: {len(value)} characters, {digest}…"


def _json_lines(value: Any) -> list[str]:
    return list(_wrapped(msgspec.json.format(_json(value))))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _wrapped(text: str, before: str = "") -> Iterator[str]:
    """Yield lines, and split long ones, so that a difference inside them is visible."""
    for line in text.splitlines() or [""]:
        for start in range(0, max(len(line), 1), _WIDTH):
            yield before + line[start : start + _WIDTH]


class NoDiffError(Exception):
    """nbdime is not installed. The message says how to install it."""


def diff_code(
    old: Sequence[str], new: Sequence[str], *, old_name: str, new_name: str, colour: bool = False
) -> str:
    """Return a diff of code cells; empty if they are the same.

    Only sources are compared: outputs and counts differ between any two runs, and other cells do
    not affect execution.

    Args:
        old: Sources of the code cells that have code.
        new: The same for the other notebook.
        old_name: The name of the first notebook, for the first line.
        new_name: The name of the other notebook, for the second line.
        colour: Whether to colour the diff with ANSI sequences.

    Raises:
        NoDiffError: nbdime is not installed.
    """
    try:
        from nbdime.diffing.notebooks import diff_notebooks
        from nbdime.prettyprint import PrettyPrintConfig, pretty_print_diff
    except ImportError as error:
        raise NoDiffError(
            f"a diff needs nbdime, which cannot be imported ({error});"
            " pip install 'sphinx-nbcache[diff]' gets it"
        ) from None
    before, after = _notebook(old), _notebook(new)
    if not (difference := diff_notebooks(before, after)):
        return ""
    out = io.StringIO()
    # nbdime prefers `git diff`, then `diff`, if it finds them. Their output depends on the user's
    # settings: https://github.com/jupyter/nbdime/blob/master/nbdime/prettyprint.py
    config = PrettyPrintConfig(out=out, use_git=False, use_diff=False, use_color=colour)
    pretty_print_diff(before, difference, "", config)
    return f"--- {old_name}\n+++ {new_name}\n{out.getvalue()}"


def _notebook(sources: Sequence[str]) -> Any:
    from nbformat import from_dict

    # nbformat 4.4: version 4.5 requires cell ids, which would show up in the diff:
    # https://nbformat.readthedocs.io/en/latest/changelog.html
    cell: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": []}
    cells = [{**cell, "source": source, "execution_count": None} for source in sources]
    return from_dict({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
