"""Checks for values that say how cells look, as [](sphinx_nbcache.values) has them for others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sphinx_nbcache.text import did_you_mean, for_markup
from sphinx_nbcache.values import mapping, one_of, switch

dialect = one_of("gfm", "commonmark", "myst")
# The lexers of MyST-NB for text with colours, which is shown with its colours anyway.
_LEXERS_FOR_COLOURS = frozenset({"myst-ansi", "ipythontb"})
_LINE_NUMBERS = re.compile(r"\d{1,7}(?:-\d{0,7})?(?:\s*,\s*\d{1,7}(?:-\d{0,7})?)*", re.ASCII)
_LENGTH = re.compile(r"\d*\.?\d+\s*(?:em|ex|px|in|cm|mm|pt|pc|rem|ch|vw|vh|%|)", re.ASCII)
_SCALE = re.compile(r"\d{1,6}", re.ASCII)
_LONGEST = 20
_ALIGNMENTS = ("left", "center", "right")
_MIME_TYPE = re.compile(r"-?[\w.+-]+/[\w.+;= -]+")


def lexer(value: Any) -> str:
    """Return the name of a lexer; empty for text with its own colours."""
    if not isinstance(value, str):
        raise ValueError("the name of a lexer")  # noqa: TRY004 (one error type for all values)
    return "" if value in _LEXERS_FOR_COLOURS else value.strip()


def line_numbers(value: Any) -> str:
    """Return numbers and ranges of lines, as the directive `code-block` takes them."""
    # YAML reads a single number as such.
    text = str(value).strip() if isinstance(value, str | int) else "?"
    if isinstance(value, bool) or not (text == "" or _LINE_NUMBERS.fullmatch(text)):
        raise ValueError("a list of line numbers, such as 1,3-5")
    return text


def words(value: Any) -> str:
    """Return a text without line breaks."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("a text of one line")
    return value


def mime_types(value: Any) -> tuple[str, ...]:
    """Return MIME types; a single string is split at commas."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, str) and _MIME_TYPE.fullmatch(item) for item in value
    ):
        raise ValueError("a list of MIME types")
    return tuple(value)


def mime_priority(value: Any) -> tuple[str, ...] | dict[str, tuple[str, ...]]:
    """Return MIME types, of which those with a hyphen are never taken; or these by builder."""
    if not isinstance(value, Mapping):
        return mime_types(value)
    if not all(isinstance(builder, str) and builder for builder in value):
        raise ValueError("a dictionary from builder to MIME types")
    return {builder: mime_types(types) for builder, types in value.items()}


def image_options(value: Any) -> dict[str, Any]:
    """Return the options of an image, as the directive `image` takes them."""
    return _of_directive(value, ("width", "height", "scale", "align", "alt", "classes"))


def figure_options(value: Any) -> dict[str, Any]:
    """Return the options of a figure."""
    keys = ("caption", "caption_before", "name", "align", "width", "classes")
    return _of_directive(value, keys)


def _of_directive(value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    options = dict(mapping(value, "a dictionary of options"))
    # `class` is what the directives of docutils call it.
    if "class" in options:
        options.setdefault("classes", options.pop("class"))
    for key, item in options.items():
        if key not in keys:
            raise ValueError(f"a dictionary of {', '.join(keys)}{did_you_mean(key, keys)}")
        options[key] = _DIRECTIVE_OPTIONS[key](item)
    return options


def length(value: Any) -> str:
    """Return a length, as docutils takes it; a number without a unit is one in pixels."""
    text = str(value).strip() if isinstance(value, str | int | float) else "?"
    if isinstance(value, bool) or len(text) > _LONGEST or not _LENGTH.fullmatch(text):
        raise ValueError('a dictionary with a length such as "60%" or "200px"')
    return "".join(text.split())


def _percentage(value: Any) -> int:
    text = str(value).strip().removesuffix("%").strip()
    if isinstance(value, bool) or not _SCALE.fullmatch(text):
        raise ValueError("a dictionary with a scale in per cent")
    return int(text)


def _alignment(value: Any) -> str:
    if value not in _ALIGNMENTS:
        listed = ", ".join(map(repr, _ALIGNMENTS))
        raise ValueError(f"a dictionary with an alignment of {listed}")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a dictionary of texts")  # noqa: TRY004
    return for_markup(value)


def _classes(value: Any) -> list[str]:
    names = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("a dictionary with a list of classes")
    return [for_markup(name) for name in names]


_DIRECTIVE_OPTIONS: Mapping[str, Callable[[Any], Any]] = {
    "width": length,
    "height": length,
    "scale": _percentage,
    "align": _alignment,
    "alt": _text,
    "name": _text,
    "caption": _text,
    "caption_before": switch,
    "classes": _classes,
}
