"""Reading text notebooks through jupytext or a user's function, and code that cells load.

Like MyST-NB's `:load:`, the option `load` is a path relative to the notebook; the file replaces
the body.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from typing import Any

from sphinx_nbcache.notebooks.front_matter import ENCODING_LINE, lines_before_header
from sphinx_nbcache.notebooks.ipynb import from_node
from sphinx_nbcache.notebooks.notebook import Notebook, NotebookError
from sphinx_nbcache.notebooks.readers import announced_name, meant_format
from sphinx_nbcache.plugins import READERS, PluginError, load
from sphinx_nbcache.text import first_line

# `kernelspec:` in a YAML header, which may be commented out, and the lines indented below it.
_KERNELSPEC = re.compile(r"^(\W*)kernelspec:[ \t]*\n(?:\1[ \t]+\S.*\n?)+", re.MULTILINE)
_RULE = re.compile(r"^\W{0,4}---[ \t]*$", re.MULTILINE)
_KERNEL_NAME = re.compile(r"^(?P<lead>\W*)name:[ \t]*(?P<name>.+)$", re.MULTILINE)


def read_with_jupytext(text: str, fmt: str = "") -> Notebook:
    """Read a text notebook in a jupytext format such as `py:percent`; by default, jupytext guesses.

    Raises:
        NotebookError: jupytext does not know the format or cannot read the text.
    """
    import jupytext

    try:
        # jupytext 1.19 validates what it has read, and fails for a kernelspec with a name alone
        # (https://github.com/jupyter/nbformat/issues/448).
        node = jupytext.reads(_with_display_name(text), fmt=fmt or None)
    except Exception as error:  # noqa: BLE001 (a reader of foreign text fails in any way)
        failed = f"jupytext cannot read it as {fmt!r}: {first_line(str(error))}"
        _refuse_encoding(text)
        raise NotebookError(meant_format(fmt) or failed) from None
    return _with_lines(from_node(node), text)


def _refuse_encoding(text: str) -> None:
    """Raise an error if a script has an encoding line that jupytext does not accept."""
    for number, line in enumerate(text.splitlines()[:2], 1):
        found = ENCODING_LINE.match(line)
        if found is not None and found["encoding"] != "utf-8":
            said = found["encoding"]
            raise NotebookError(
                f"its encoding line says `{said}`, and jupytext accepts only `utf-8`; save the file"
                " in UTF-8, and write `utf-8` there",
                number,
            )


def _with_lines(notebook: Notebook, text: str) -> Notebook:
    """Return a notebook with the lines of its cells, which jupytext does not provide.

    The text contains the code unchanged, unless magics are commented out.
    """
    # Line breaks on both sides, so that a source is found only as whole lines.
    text = "\n" + text.replace("\r\n", "\n") + "\n"
    cells, position = [], 0
    for cell in notebook.cells:
        found = text.find(f"\n{cell.source}\n", position) if cell.source.strip() else -1
        if found >= 0:
            # Onwards from there: an equal cell further up has been found already.
            position = found + len(cell.source) + 1
            line = text.count("\n", 0, found) + 1
            cell = replace(cell, line=line, has_lines=True)  # noqa: PLW2901 (the same cell, placed)
        cells.append(cell)
    return replace(notebook, cells=tuple(cells))


def _end_of_header(text: str) -> int:
    """Return the end of the YAML header of a text notebook; 0 if it has none."""
    first = text.split("\n", 2)[:2]
    before = sum(len(line) + 1 for line in first[: lines_before_header(first)])
    rules = _RULE.finditer(text, before)
    start, end = next(rules, None), next(rules, None)
    if start is None or end is None or text[before : start.start()].strip():
        return 0
    return end.start()


def _with_display_name(text: str) -> str:
    """Add a display name to the kernel in a header: nbformat requires one in a kernelspec."""
    spec = _KERNELSPEC.search(text, 0, _end_of_header(text))
    if spec is None or "display_name:" in spec[0]:
        return text
    name = _KERNEL_NAME.search(spec[0])
    if name is None:
        return text
    line = f"\n{name['lead']}display_name: {name['name']}"
    position = spec.start() + name.end()
    return text[:position] + line + text[position:]


def read_with_function(text: str, fmt: str) -> Notebook:
    """Read a notebook with third-party code: a function from text to an nbformat 4 notebook.

    Args:
        text: The text of the file.
        fmt: `module:function`, with further arguments as `module:function {"name": value}`; or the
            format of another package's reader.

    Raises:
        NotebookError: The function cannot be imported, fails, or returns something else.
    """
    name = announced_name(fmt)
    name, arguments = (name, {}) if name else _with_arguments(fmt)
    reader = _announced_reader(name) if announced_name(fmt) else _imported_reader(name)
    if not callable(reader):
        raise NotebookError(f"the reader {name!r} is not a function, but {reader!r}")
    try:
        node = reader(text, **arguments)
    except Exception as error:  # noqa: BLE001 (the user's code)
        if isinstance(error, OSError) and error.filename == text:
            # Readers of jupyter-cache do this.
            raise NotebookError(
                f"the reader {name!r} takes a path, but a reader is called with the text of the"
                " file"
            ) from None
        raise NotebookError(f"the reader {name!r} failed: {error!r}") from None
    if isinstance(node, Notebook):
        return node
    if not isinstance(node, dict):
        raise NotebookError(f"the reader {name!r} returned no notebook")
    return from_node(node)


def _with_arguments(fmt: str) -> tuple[str, dict[str, Any]]:
    """Split `module:function {"name": value}` into the function and its further arguments."""
    name, _, written = fmt.partition(" ")
    try:
        arguments = json.loads(written or "{}")
    except ValueError as error:
        raise NotebookError(f"the arguments of the reader {name!r} are no JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise NotebookError(f"the arguments of the reader {name!r} are no JSON object")
    return name, arguments


def _imported_reader(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 (the user's module)
        raise NotebookError(f"the reader {name!r} cannot be imported: {error}") from None


def _announced_reader(name: str) -> Any:
    try:
        reader = load(READERS, name)
    except PluginError as error:
        raise NotebookError(f"the reader {name!r}: {error}") from None
    # The format was remembered in a scan, or is in the project's list.
    if reader is None:
        raise NotebookError(f"the reader {name!r} is not installed any more")
    return reader
