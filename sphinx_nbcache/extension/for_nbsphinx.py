"""Pages that nbsphinx renders: it reads executed notebooks in place of the sources.

nbsphinx never executes a notebook that has outputs, and none at all if `nbsphinx_execute` is
"never". So the executed notebook takes the place of the source text when Sphinx has read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import import_object

from sphinx_nbcache.extension.handover import Build, content_of, put_into
from sphinx_nbcache.extension.their_options import suffix_for_nbsphinx
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.renderers import NBSPHINX, taken_apart
from sphinx_nbcache.options import PREFIX

# After all other handlers: they see the source, as without this extension.
_LAST = 900
_NEVER = "never"
# Before the JSON of an executed notebook, where a converter is called. No source begins like this.
_EXECUTED = "\0executed\0"
_READ_EITHER = f"{__name__}.read_either"


class NbsphinxPages:
    """Gives nbsphinx the executed notebooks.

    Args:
        build: The state of the build.
    """

    name = NBSPHINX
    is_usable = True

    def __init__(self, build: Build) -> None:
        self._build = build
        self._converters: dict[str, Any] = {}
        self._usual = _NEVER

    def connect(self, app: Sphinx) -> None:
        """Connect the handlers."""
        app.connect("source-read", self.replace_source, priority=_LAST)

    def take_over(self, app: Sphinx, config: Config) -> None:
        """Keep nbsphinx from running notebooks, and have it read executed ones."""
        self._usual = config.nbsphinx_execute
        # nbsphinx-link reads a notebook under another name, which only nbsphinx can run.
        if "nbsphinx_link" not in app.extensions:
            config.nbsphinx_execute = self._usual = _NEVER
        self._converters = dict(config.nbsphinx_custom_formats)
        # By names: Sphinx compares the value with that of the last build, and reads every page
        # again if it cannot be pickled.
        config.nbsphinx_custom_formats = {
            suffix: (_READ_EITHER, {"converter": converter})
            for suffix, converter in self._converters.items()
        }

    def replace_source(self, app: Sphinx, docname: str, source: list[str]) -> None:
        """`source-read`: replace the text of a notebook by the executed notebook."""
        content = content_of(self._build, docname)
        if content is None:
            return
        name = content.settled.planned.path.name
        formats = Formats(app.config[PREFIX + "formats"])
        if taken_apart(formats.extra.get(formats.suffix_of(name), "")).renderer != NBSPHINX:
            return
        suffix = suffix_for_nbsphinx(name, self._converters)
        try:
            node = self._read(source[0], suffix)
        except Exception:  # noqa: BLE001 (nbsphinx reads it again, and says what is wrong)
            self._build.note_shown(docname)
            return
        put_into(node, content, docname, self._build)
        is_changed = self._forbid(node)
        if is_changed or not content.keeps_outputs:
            mark = _EXECUTED if suffix in self._converters else ""
            source[0] = mark + json.dumps(node)

    def _read(self, text: str, suffix: str) -> Any:
        converter = self._converters.get(suffix)
        return ipynb_node(text) if converter is None else _convert(text, converter)

    def _forbid(self, node: Any) -> bool:
        """Keep nbsphinx from running a notebook; return whether that changes the notebook."""
        own = node.metadata.get("nbsphinx", {})
        # nbsphinx refuses a section of another type, with the name of the file.
        if not isinstance(own, dict) or own.get("execute", self._usual) == _NEVER:
            return False
        node.metadata["nbsphinx"] = {**own, "execute": _NEVER}
        return True


def ipynb_node(text: str) -> Any:
    """Return the notebook in an `.ipynb` file as nbsphinx reads it."""
    import nbformat

    return nbformat.reads(text, as_version=4)


def read_either(text: str, converter: Any) -> Any:
    """Return the notebook in a text: an executed one, or one in a custom format of nbsphinx.

    Args:
        text: The text.
        converter: The value of `nbsphinx_custom_formats` for its format.
    """
    if text.startswith(_EXECUTED):
        return ipynb_node(text.removeprefix(_EXECUTED))
    return _convert(text, converter)


def _convert(text: str, converter: Any) -> Any:
    """Call a converter as nbsphinx does (`NotebookParser.parse` in nbsphinx 0.9.8)."""
    arguments: dict[str, Any] = {}
    if not isinstance(converter, str) and not callable(converter):
        converter, arguments = converter
    function: Callable[..., Any] = (
        import_object(converter) if isinstance(converter, str) else converter
    )
    return function(text, **arguments)
