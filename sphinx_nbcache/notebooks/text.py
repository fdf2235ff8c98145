"""Reading text notebooks through jupytext, and through a user's own function."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from sphinx_nbcache.notebooks.ipynb import from_node
from sphinx_nbcache.notebooks.model import Notebook, NotebookError

# `kernelspec:` in a YAML header, which may be commented out, and the lines indented below it.
_KERNELSPEC = re.compile(r"^(\W*)kernelspec:[ \t]*\n(?:\1[ \t]+\S.*\n?)+", re.MULTILINE)
_RULE = re.compile(r"^\W{0,4}---[ \t]*$", re.MULTILINE)
_KERNEL_NAME = re.compile(r"^(?P<lead>\W*)name:[ \t]*(?P<name>.+)$", re.MULTILINE)


def read_with_jupytext(text: str, fmt: str) -> Notebook:
    """Read a text notebook in a jupytext format such as `py:percent`.

    Raises:
        NotebookError: jupytext does not know the format or cannot read the text.
    """
    import jupytext

    try:
        node = jupytext.reads(_with_display_name(text), fmt=fmt)
    except Exception as error:  # noqa: BLE001 (a reader of foreign text fails in any way)
        first = str(error).partition("\n")[0]
        raise NotebookError(f"jupytext cannot read it as {fmt!r}: {first}") from None
    return from_node(node)


def _end_of_header(text: str) -> int:
    """Return where the YAML header of a text notebook ends; 0 if it has none."""
    rules = _RULE.finditer(text)
    start, end = next(rules, None), next(rules, None)
    if start is None or end is None or text[: start.start()].strip():
        return 0
    return end.start()


def _with_display_name(text: str) -> str:
    """Name the kernel in a header twice: nbformat refuses a kernelspec without a display name."""
    spec = _KERNELSPEC.search(text, 0, _end_of_header(text))
    if spec is None or "display_name:" in spec[0]:
        return text
    name = _KERNEL_NAME.search(spec[0])
    if name is None:
        return text
    line = f"\n{name['lead']}display_name: {name['name']}"
    position = spec.start() + name.end()
    return text[:position] + line + text[position:]


def read_with_function(text: str, name: str) -> Notebook:
    """Read a notebook by a function `module:function` from text to an nbformat 4 notebook.

    Raises:
        NotebookError: The function cannot be imported, fails, or returns something else.
    """
    module, _, attribute = name.partition(":")
    try:
        reader: Any = getattr(import_module(module), attribute)
    except Exception as error:  # noqa: BLE001 (the user's module)
        raise NotebookError(f"the reader {name!r} cannot be imported: {error}") from None
    try:
        node = reader(text)
    except Exception as error:  # noqa: BLE001 (the user's code)
        raise NotebookError(f"the reader {name!r} failed: {error!r}") from None
    if not isinstance(node, dict):
        raise NotebookError(f"the reader {name!r} returned no notebook")
    return from_node(node)
