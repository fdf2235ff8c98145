"""The package's docstrings use Markdown inline; autodoc reads reStructuredText."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

_LINK = re.compile(r"\[\]\(([\w.]+)\)")
# Napoleon takes what stands before a colon in an attribute's docstring for a type.
_COLON = "\ue000"
_CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")


def translate(_app: Sphinx, what: str, _name: str, _obj: object, _opt: object, lines: list) -> None:
    """Turn `code` into literals, and [](name) into references."""
    for number, line in enumerate(lines):
        line = _CODE.sub(r"``\1``", line)
        if what in ("attribute", "property", "data"):
            line = line.replace(": ", _COLON)
        lines[number] = _LINK.sub(r":py:obj:`\1`", line)


def restore(_app: Sphinx, _what: str, _name: str, _obj: object, _opt: object, lines: list) -> None:
    """Put back the colons that napoleon was not to see."""
    lines[:] = [line.replace(_COLON, ": ") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Translate before napoleon (priority 500) makes roles of its own."""
    app.connect("autodoc-process-docstring", translate, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
