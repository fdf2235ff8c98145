"""Entry points of other packages: executors, readers, renderers.

A lookup reads the metadata of every installed package. The built-in names must therefore never be
looked up here, so that a build without third-party plugins does not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

EXECUTORS = "sphinx_nbcache.executors"
READERS = "sphinx_nbcache.readers"
RENDERERS = "sphinx_nbcache.renderers"
MYST_NB_RENDERERS = "myst_nb.mime_renderers"


class PluginError(Exception):
    """A third-party plugin cannot be used. The message says why."""


def announced(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name; for equal names, the first on `sys.path`."""
    return _announced(group, tuple(sys.path))


def load(group: str, name: str) -> Any | None:
    """Return the object registered under a name; `None` if there is none.

    Raises:
        PluginError: The object cannot be imported.
    """
    found = announced(group).get(name)
    if found is None:
        return None
    try:
        return found.load()
    except Exception as error:  # noqa: BLE001 (the import of another package's module)
        raise PluginError(f"{found.value} cannot be imported: {error!r}") from None


# The search path is part of the key, because `conf.py` may extend it before a later lookup.
@lru_cache
def _announced(group: str, path: tuple[str, ...]) -> Mapping[str, EntryPoint]:  # noqa: ARG001 (part of the cache's key)
    from importlib.metadata import entry_points

    # Not the last one, as in a dictionary of all: imports prefer the first distribution, too.
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        found.setdefault(entry.name, entry)
    return found
