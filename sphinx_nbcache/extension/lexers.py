"""The highlighters of code: which there are, and which one a result needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.util import ClassNotFound
from sphinx.highlighting import lexer_classes

from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.nodes import Warn
from sphinx_nbcache.results.records import Result, Stored

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
    # `plugins=False`: Pygments imports the lexers of all packages at each look-up of a name that is
    # not its own (https://github.com/pygments/pygments/issues/2479).
    if any(name.lower() in aliases for _, aliases, *_ in get_all_lexers(plugins=False)):
        return True
    if (found := _announced(name)) is not None:
        # The registry behind `app.add_lexer`: Sphinx highlights with it before it asks Pygments
        # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
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
        # The name of an entry point need not be an alias of its lexer, and Pygments goes by
        # aliases.
        if isinstance(found, type) and issubclass(found, Lexer) and name in found.aliases:
            return found
    return None


def lexers_of(results: Iterable[Stored | None]) -> set[str]:
    """Return the names of the highlighters that pages of these results need."""
    return {kernels_lexer(stored.result) for stored in results if stored is not None}


def kernels_lexer(result: Result) -> str:
    """Return the highlighter that the kernel of a result names; empty if it names none."""
    info = result.language_info
    # `pygments_lexer` is optional in a kernel's info
    # (https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info).
    return str(info.get("pygments_lexer") or info.get("name") or "")


def with_known_lexers(looks: Looks, warn: Warn) -> Looks:
    """Return looks without highlighters that do not exist."""
    unknown: dict[str, Any] = {}
    for option in ("text_lexer", "error_lexer"):
        name = getattr(looks, option)
        if name and not is_lexer(name):
            unknown[option] = ""
            warn(
                Topic.LEXER, f"{option} = {name!r} names no highlighter; its own colours are shown"
            )
    return replace(looks, **unknown) if unknown else looks


def known_lexer(name: str, warn: Warn) -> str:
    """Return the name of a lexer if there is one, else that of plain text, after a warning."""
    if is_lexer(name):
        return name
    warn(Topic.LEXER, f"there is no highlighter named {name!r}; the source is shown plain")
    return "none"
