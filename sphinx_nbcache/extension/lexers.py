"""Finds highlighters by name without loading all the others that are installed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points

from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.util import ClassNotFound
from sphinx.highlighting import lexer_classes

_GROUP = "pygments.lexers"


def is_lexer(name: str) -> bool:
    """Tell whether there is a highlighter of this name; if so, Sphinx finds it from then on.

    For a name such as `ipython3` Pygments would load those of every installed package, and the
    packages with them: those of MyST-NB, for example, load all of IPython.
    """
    return name in lexer_classes or _is_found(name)


def load_lexers(names: Iterable[str]) -> None:
    """Load highlighters once, instead of in each of Sphinx's worker processes."""
    for name in set(names):
        is_lexer(name)


@cache
def _is_found(name: str) -> bool:
    if any(name.lower() in aliases for _, aliases, *_ in get_all_lexers(plugins=False)):
        return True
    if (found := _announced(name)) is not None:
        lexer_classes[name] = found
        return True
    try:
        get_lexer_by_name(name)
    except ClassNotFound:
        return False
    return True


def _announced(name: str) -> type[Lexer] | None:
    """Return the highlighter that a package announces under this very name."""
    for point in entry_points(group=_GROUP, name=name):
        try:
            found = point.load()
        except Exception:  # noqa: BLE001, S112 (another package's code)
            continue
        if isinstance(found, type) and issubclass(found, Lexer) and name in found.aliases:
            return found
    return None
