"""Values of a notebook that pages show elsewhere than below their cell.

They are outputs with a section in their metadata: glued ones as
[](sphinx_nbcache.kernel_side.gluing), MyST-NB and scrapbook write it, and those of expressions in
the text, which a run evaluates after the cell before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sphinx_nbcache.bounded import LONGEST_MESSAGE, clipped
from sphinx_nbcache.kernel_side.gluing import HIDDEN, METADATA
from sphinx_nbcache.notebooks.ipynb import plain_data

_Output = Mapping[str, Any]
_EXPRESSION = "nbcache_expression"
NOTHING = "the kernel has sent no form of it that could be shown"


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A value with the name, or the expression, by which a page shows it.

    Attributes:
        data: Its forms by MIME type.
        metadata: The metadata of the output.
        error: Why there is none; empty if there is one.
        widgets: The models of the widgets of its notebook.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    widgets: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> _Output:
        """The value as the output of a cell."""
        return {"output_type": "display_data", "data": self.data, "metadata": self.metadata}


@dataclass(frozen=True, slots=True)
class NamedValues:
    """The values of a notebook.

    Attributes:
        glued: By name; the last value of a name counts.
        evaluated: By expression, in the order of the text.
        doubled: The names that more than one cell gives, in alphabetical order.
    """

    glued: Mapping[str, NamedValue] = field(default_factory=dict)
    evaluated: Mapping[str, Sequence[NamedValue]] = field(default_factory=dict)
    doubled: Sequence[str] = ()


def values_in(
    cells: Sequence[Sequence[_Output]], widgets: Mapping[str, Any] = MappingProxyType({})
) -> NamedValues:
    """Return the values in the outputs of a notebook, with the models of its widgets."""
    glued: dict[str, NamedValue] = {}
    evaluated: dict[str, list[NamedValue]] = {}
    counts: Counter[str] = Counter()
    for cell in cells:
        found = {name: replace(value, widgets=widgets) for name, value in _glued_in(cell)}
        glued |= found
        counts.update(found.keys())
        for expression, value in _evaluated_in(cell):
            evaluated.setdefault(expression, []).append(replace(value, widgets=widgets))
    doubled = sorted(name for name, count in counts.items() if count > 1)
    return NamedValues(glued, evaluated, doubled)


def evaluated(
    expression: str, reply: Mapping[str, Any], limit: float | None = None
) -> dict[str, Any]:
    """Return the reply of a kernel to an expression as an output that cells do not show.

    Args:
        expression: The expression.
        reply: The reply.
        limit: The megabytes that a value may have; `None` for no limit.
    """
    data, metadata = reply.get("data"), reply.get("metadata")
    data = data if isinstance(data, dict) else {}
    section = {"expression": expression}
    if not data:
        what = f"{reply.get('ename')}: {reply.get('evalue')}" if "ename" in reply else NOTHING
        section["error"] = clipped(what, LONGEST_MESSAGE)
    elif limit is not None and sum(len(str(form)) for form in data.values()) > limit * 1e6:
        section["error"] = f"it is larger than {limit:g} MB (nbcache_output_limit)"
        data = {}
    return {
        "output_type": "display_data",
        "data": {HIDDEN + mime: value for mime, value in plain_data(data).items()},
        "metadata": {
            **(plain_data(metadata) if isinstance(metadata, dict) else {}),
            _EXPRESSION: section,
        },
    }


def is_hidden(output: _Output) -> bool:
    """Tell whether an output is a value that its cell does not show."""
    if _section(output, _EXPRESSION) is not None:
        return True
    section = _section(output, METADATA)
    return section is not None and bool(section.get("mime_prefix"))


def _glued_in(cell: Sequence[_Output]) -> Iterator[tuple[str, NamedValue]]:
    for output in cell:
        section = _section(output, METADATA)
        if section is None or not isinstance(name := section.get("name"), str):
            continue
        prefix = section.get("mime_prefix", "")
        yield name, _value(output, prefix if isinstance(prefix, str) else "")


def _evaluated_in(cell: Sequence[_Output]) -> Iterator[tuple[str, NamedValue]]:
    for output in cell:
        section = _section(output, _EXPRESSION)
        if section is not None:
            value = _value(output, HIDDEN, str(section.get("error", "")))
            yield str(section.get("expression")), value


def _value(output: _Output, prefix: str, error: str = "") -> NamedValue:
    data = output.get("data")
    data = data if isinstance(data, Mapping) else {}
    shown = {str(mime).removeprefix(prefix): value for mime, value in data.items()}
    return NamedValue(shown, output["metadata"], error)


def _section(output: _Output, name: str) -> Mapping[str, Any] | None:
    metadata = output.get("metadata")
    section = metadata.get(name) if isinstance(metadata, Mapping) else None
    return section if isinstance(section, Mapping) else None
