"""`html-page-context`: gives each page the scripts that its outputs need, and no other ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.util.logging import getLogger

from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.rendering.live.libraries import Library, libraries_for
from sphinx_nbcache.rendering.live.nodes import HAS_SCRIPT, LIBRARIES, NEEDS_SCRIPTS, LiveOutput
from sphinx_nbcache.rendering.live.places import (
    FOLDER,
    copied,
    place_of_scripts,
)

if TYPE_CHECKING:
    from docutils.nodes import document
    from sphinx.application import Sphinx

_LOGGER = getLogger(__name__)
SCRIPT = "nbcache-live.js"
# After the scripts of Sphinx, of other extensions, and of the theme (500).
_PRIORITY = 700
_MANAGER = "html-manager"


def add_scripts(
    app: Sphinx,
    pagename: str,
    _template: str,
    context: dict[str, Any],
    doctree: document | None,
) -> None:
    """Add the scripts of a page, each once and in order."""
    # No other page is searched.
    if doctree is None or not doctree.get(NEEDS_SCRIPTS):
        return
    found = list(doctree.findall(LiveOutput))
    place = place_of_scripts(app)
    static = Path(app.outdir, "_static")
    for wanted in libraries_for(name for node in found for name in node[LIBRARIES]):
        # During this event, Sphinx adds the file to the current page only
        # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
        if not place.is_local:
            app.add_js_file(wanted.url, priority=_PRIORITY, **_attributes(wanted))
            continue
        try:
            file = copied(wanted, place, static)
        except OSError as error:
            _LOGGER.warning(
                "%s cannot be copied to %s, and its outputs are not drawn: %s",
                wanted.package,
                static / FOLDER,
                trouble_in_words(error),
                type=WARNING_TYPE,
                subtype=Topic.SCRIPTS.value,
                location=pagename,
            )
        else:
            app.add_js_file(file, priority=_PRIORITY, **_cdn_of_widgets(wanted, context))
    if any(node[HAS_SCRIPT] for node in found):
        app.add_js_file(SCRIPT, priority=_PRIORITY, defer="defer")


def _attributes(wanted: Library) -> dict[str, Any]:
    hashed = {"integrity": wanted.integrity} if wanted.integrity else {}
    # `defer` keeps the order, and waits until the page is complete.
    return {"defer": "defer", "crossorigin": "anonymous", **hashed}


def _cdn_of_widgets(wanted: Library, context: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a local script: widgets look for modules on this site only."""
    if wanted.name != _MANAGER:
        return {"defer": "defer"}
    folder = context["pathto"](f"_static/{FOLDER}/", resource=True)
    return {"defer": "defer", "data-jupyter-widgets-cdn": folder}
