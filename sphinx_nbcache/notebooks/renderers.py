"""The rules of nbsphinx and MyST-NB, for projects in which one of them renders the notebooks.

They decide which files are notebooks, which metadata are settings, and what "auto" means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sphinx_nbcache.config import ExecuteMode
from sphinx_nbcache.notebooks.front_matter import MYST, jupytext_format

NBSPHINX, MYST_NB = "nbsphinx", "myst_nb"
TITLES: Mapping[str, str] = {NBSPHINX: "nbsphinx", MYST_NB: "MyST-NB"}
# A value of `nbcache_formats` for files that no one reads as notebooks.
NO_NOTEBOOKS = "none"
INLINE = "inline"
# The execution modes of both, and ours
# (https://nbsphinx.readthedocs.io/en/0.9.8/configuration.html#nbsphinx_execute,
# https://myst-nb.readthedocs.io/en/v1.4.0/computation/execute.html). Their pages are read only when
# something changed, so what they "always" run is what we run when it changed.
MODES: Mapping[str, Mapping[str, ExecuteMode]] = {
    NBSPHINX: {"auto": "missing", "always": "changed", "never": "off"},
    MYST_NB: {"auto": "missing", "cache": "changed", "force": "changed", "off": "off"},
}
# The option of each that has the mode.
MODE_OPTIONS: Mapping[str, str] = {NBSPHINX: "nbsphinx_execute", MYST_NB: "nb_execution_mode"}
# The usual keys of a notebook's metadata; that of MyST-NB may be another (`nb_metadata_key`).
KEYS: Mapping[str, str] = {NBSPHINX: "nbsphinx", MYST_NB: "mystnb"}
_MYST_READER = re.compile(r"myst-nb\[(?P<extensions>[\w,]*)\]")


@dataclass(frozen=True, slots=True)
class DeclaredFormat:
    """A value of `nbcache_formats`, taken apart.

    Attributes:
        renderer: The extension whose rules apply; empty for ours.
        mode: Its execution mode, in its own words.
        reader: The format or reader; empty for the usual one of the suffix.
        key: The key of a notebook's metadata with settings for the renderer.
    """

    renderer: str = ""
    mode: str = ""
    reader: str = ""
    key: str = ""

    def __str__(self) -> str:
        if not self.renderer:
            return self.reader
        key = "" if self.key in ("", KEYS[self.renderer]) else f"/{self.key}"
        return f"{self.renderer}/{self.mode}{key} {self.reader}".strip()

    @property
    def execute(self) -> ExecuteMode:
        """The value of `nbcache_execute` for its mode."""
        return MODES.get(self.renderer, {}).get(self.mode, "changed")


def taken_apart(value: str) -> DeclaredFormat:
    """Return the parts of a value of `nbcache_formats`."""
    first, _, reader = value.partition(" ")
    renderer, slash, rest = first.partition("/")
    if not slash or renderer not in MODES:
        return DeclaredFormat(reader=value)
    mode, _, key = rest.partition("/")
    return DeclaredFormat(renderer, mode, reader, key or KEYS[renderer])


def myst_reader(extensions: Iterable[str]) -> str:
    """Return the reader for the Markdown notebooks of MyST-NB.

    Args:
        extensions: The option `myst_enable_extensions`, on which the blocks of a file depend.
    """
    return f"myst-nb[{','.join(sorted(extensions))}]"


def myst_extensions(fmt: str) -> tuple[str, ...] | None:
    """Return the extensions of MyST in such a reader; `None` for any other format."""
    found = _MYST_READER.fullmatch(fmt)
    return None if found is None else tuple(filter(None, found["extensions"].split(",")))


def is_inline(metadata: Mapping[str, Any], key: str) -> bool:
    """Tell whether the metadata of a notebook have MyST-NB run it while its page is read.

    Args:
        metadata: The metadata.
        key: Their key with settings for MyST-NB.
    """
    section = metadata.get(key)
    return isinstance(section, Mapping) and section.get("execution_mode") == INLINE


def is_inline_ipynb(text: str, key: str) -> bool:
    """Tell the same of the text of an `.ipynb` file."""
    # Only a file with both words is parsed for this.
    if f'"{INLINE}"' not in text or '"execution_mode"' not in text:
        return False
    try:
        metadata = json.loads(text).get("metadata")
    except (ValueError, AttributeError, RecursionError):
        return False  # whoever reads it says what is wrong
    return isinstance(metadata, Mapping) and is_inline(metadata, key)


def is_myst_notebook(metadata: Mapping[str, Any]) -> bool:
    """Tell whether MyST-NB takes a Markdown file with this front matter for a notebook.

    It needs a declaration; unlike with our own parser, a kernel is not enough
    (`is_myst_markdown_notebook` in `myst_nb/core/read.py`, MyST-NB 1.4).
    """
    return metadata.get("file_format") == "mystnb" or jupytext_format(metadata) == MYST


@dataclass(frozen=True, slots=True)
class ForeignSetting:
    """A setting in the metadata of a notebook, in the words of the renderer.

    Attributes:
        section: The key of the metadata.
        key: The key below it.
        value: The value.
        option: The option of ours that it overrides.
        meant: The value for that option; `None` if the value cannot be used.
        expected: The values that can be used.
    """

    section: str
    key: str
    value: Any
    option: str
    meant: Any
    expected: str


def foreign_settings(
    declared: DeclaredFormat, metadata: Mapping[str, Any]
) -> Iterator[ForeignSetting]:
    """Yield the settings for a renderer in the metadata of a notebook."""
    name = declared.key
    section = metadata.get(name)
    if not declared.renderer or not isinstance(section, Mapping):
        return
    for key, (option, translate, expected) in _SETTINGS[declared.renderer].items():
        if key in section:
            value = section[key]
            yield ForeignSetting(name, key, value, option, translate(value), expected)


_Key = tuple[str, Callable[[Any], Any], str]


def _mode(renderer: str) -> _Key:
    modes = MODES[renderer]
    expected = "one of " + ", ".join(map(repr, modes))
    return "execute", lambda value: modes.get(value) if isinstance(value, str) else None, expected


def _switch(option: str, *, on: Any, off: Any) -> _Key:
    return (
        option,
        lambda value: (on if value else off) if isinstance(value, bool) else None,
        "a bool",
    )


def _time_limit() -> _Key:
    def seconds(value: Any) -> Any:
        if value is None:
            return "none"
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    return "timeout", seconds, "a number of seconds"


_SETTINGS: Mapping[str, Mapping[str, _Key]] = {
    NBSPHINX: {
        "execute": _mode(NBSPHINX),
        "allow_errors": _switch("allow_errors", on=True, off=False),
        "timeout": _time_limit(),
    },
    MYST_NB: {
        "execution_mode": _mode(MYST_NB),
        "execution_allow_errors": _switch("allow_errors", on=True, off=False),
        "execution_timeout": _time_limit(),
        "execution_in_temp": _switch("run_in", on="temp", off="notebook"),
        "execution_raise_on_error": _switch("on_error", on="stop", off="warn"),
    },
}
