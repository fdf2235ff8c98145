"""Where the scripts of pages come from: the network, or this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder

from sphinx_nbcache.config import declared_options
from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.rendering.live.libraries import Library, libraries_for, local_file
from sphinx_nbcache.rendering.live.nodes import HAS_SCRIPT, HOSTS, LIBRARIES, LOCALLY, LiveOutput

CDN, LOCAL = "cdn", "local"
FOLDER = "nbcache-scripts"
"""The folder in `_static` for the libraries."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where scripts come from.

    Attributes:
        is_local: Whether nothing may come from another host.
        folder: The folder that the project names, if it names one.
    """

    is_local: bool = False
    folder: Path | None = None

    def missing(self, names: Iterable[str]) -> list[Library]:
        """Return the libraries that a page cannot have."""
        if not self.is_local:
            return []
        return [
            wanted for wanted in libraries_for(names) if local_file(wanted, self.folder) is None
        ]


def place_of_scripts(app: Sphinx) -> Place:
    """Return where the option `nbcache_scripts` says that scripts come from."""
    declared, default = declared_options()["scripts"]
    # The option is not there if only `sphinx_nbcache.click_pages` is loaded.
    value = getattr(app.config, "nbcache_scripts", default)
    try:
        value = declared.check(value)
    except ValueError:
        value = default  # the check of all options has said so
    if value == CDN:
        return Place()
    return Place(is_local=True, folder=None if value == LOCAL else Path(app.srcdir, value))


def runs_scripts(builder: Builder) -> bool:
    """Tell whether the pages of a builder are for browsers."""
    from sphinx.builders.html import StandaloneHTMLBuilder
    from sphinxcontrib.serializinghtml import SerializingHTMLBuilder

    # Help files and books are `embedded`; the pages of the last ones get their scripts elsewhere.
    return (
        isinstance(builder, StandaloneHTMLBuilder)
        and not builder.embedded
        and not isinstance(builder, SerializingHTMLBuilder)
    )


def why_not(form: nodes.Element, place: Place) -> list[str]:
    """Return why a form of an output cannot be shown, in words with the remedy.

    Args:
        form: The form.
        place: Where scripts come from.
    """
    if not place.is_local:
        return []
    problems: list[str] = []
    for node in form.findall(LiveOutput):
        hosts: list[str] = [] if LOCALLY in node else node.get(HOSTS, [])
        problems += [
            f"{missing.package} {missing.version} is not on this machine: {missing.remedy}"
            for missing in place.missing(node[LIBRARIES])
        ]
        problems += [
            f"it loads {address!r:.100} from another host, which nbcache_scripts rules out"
            for address in hosts
        ]
    return problems


def needs_scripts(form: nodes.Element) -> bool:
    """Tell whether only scripts can show a form."""
    return any(node[LIBRARIES] or node[HAS_SCRIPT] for node in form.findall(LiveOutput))


def without_other_hosts(form: nodes.Element) -> list[str]:
    """Take out of the HTML of a form whatever loads from another host; return the addresses."""
    left_out: list[str] = []
    for node in form.findall(LiveOutput):
        if LOCALLY in node:
            node.rawsource, node.children = node[LOCALLY], []
            node.append(nodes.Text(node[LOCALLY]))
            left_out += node[HOSTS]
    return left_out


def copied(wanted: Library, place: Place, static: Path) -> str:
    """Copy the file of a library to the site, unless it is there; return its path in `_static`.

    Raises:
        OSError: It cannot be copied.
    """
    file = local_file(wanted, place.folder)
    assert file is not None
    stat = file.stat()
    digest = _digest(file, stat.st_mtime_ns, stat.st_size)
    stem, dot, suffix = file.name.partition(".")
    name = f"{FOLDER}/{stem}-{digest}{dot}{suffix}"
    target = static / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        # Atomic: the writers of `-j` may do so at the same time.
        replace_file(target, file.read_bytes())
    return name


@lru_cache
def _digest(file: Path, _modified: int, _size: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
