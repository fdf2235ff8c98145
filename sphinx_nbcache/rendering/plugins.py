"""Renderers of other packages, for MIME types that this one does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.plugins import MYST_NB_RENDERERS, RENDERERS, PluginError, announced, load
from sphinx_nbcache.rendering.html.containing import contained
from sphinx_nbcache.rendering.images import write_image
from sphinx_nbcache.rendering.nodes import Context

# The example of MyST-NB itself, which would cost the import of MyST-NB.
_EXAMPLE = "myst_nb."


@dataclass(frozen=True, slots=True)
class MimeData:
    """A form of an output as MyST-NB gives it to plugins (`myst_nb/core/render.py`, 1.4)."""

    mime_type: str
    content: Any
    cell_metadata: Mapping[str, Any] = field(default_factory=dict)
    output_metadata: Mapping[str, Any] = field(default_factory=dict)
    cell_index: int | None = None
    output_index: int | None = None
    line: int | None = None

    @property
    def string(self) -> str:
        """The content as text."""
        return self.content if isinstance(self.content, str) else str(self.content)


@dataclass(frozen=True, slots=True)
class NbElementRenderer:
    """The part of MyST-NB's renderer that its plugins can use here."""

    context: Context

    @property
    def document(self) -> nodes.document:
        """The document that is being read."""
        return self.context.document

    def write_file(self, path: list[str], content: bytes, *_how: Any, **_named: Any) -> str:
        """Write a file of an output, named by its content; return its URI for an image."""
        suffix = "." + path[-1].rpartition(".")[2]
        return self.context.image_uri(write_image(content, suffix, self.context.images))


def render_by_plugin(mime: str, value: Any, context: Context) -> list[nodes.Node]:
    """Return the nodes that a renderer of another package makes; none if there is no renderer.

    A renderer that fails is a warning, and does not end the build.
    """
    for name, render in _renderers(mime, context):
        try:
            shown = render(value)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (the code of another package)
            _warn(context, f"the renderer {name} failed for {mime}: {error!r:.300}")
            continue
        if shown is None:
            continue
        if isinstance(shown, list) and all(isinstance(node, nodes.Node) for node in shown):
            return [_completed(node) for node in shown]
        _warn(context, f"the renderer {name} returned no list of nodes for {mime}")
    return []


def _completed(node: nodes.Node) -> nodes.Node:
    """Return a node of another package in the form that writers need, with its HTML contained."""
    for part in list(node.findall(nodes.Element)):
        if isinstance(part, nodes.math_block):
            # Sphinx's writers read them without a default.
            part.setdefault("number", None)
            part.setdefault("nowrap", False)
            part.setdefault("no-wrap", False)
        elif isinstance(part, nodes.raw) and "html" in str(part.get("format", "")).split():
            html = contained(part.astext()) or ""
            part.rawsource, part.children = html, []
            part.append(nodes.Text(html))
    return node


def _renderers(mime: str, context: Context) -> Iterator[tuple[str, Any]]:
    """Yield the renderers that may know a type, with their names."""
    if mime in announced(RENDERERS):
        own = _loaded(RENDERERS, mime, context)
        if own is not None:
            yield announced(RENDERERS)[mime].value, lambda value: own(value, context)
    for name, entry in announced(MYST_NB_RENDERERS).items():
        if entry.value.startswith(_EXAMPLE):
            continue
        plugin = _loaded(MYST_NB_RENDERERS, name, context)
        if plugin is not None:
            yield (
                entry.value,
                lambda value, plugin=plugin: _as_myst_nb(plugin, mime, value, context),
            )


def _as_myst_nb(plugin: Any, mime: str, value: Any, context: Context) -> Any:
    data = MimeData(mime, value, output_metadata={mime: context.metadata}, line=context.line)
    return plugin.handle_mime(NbElementRenderer(context), data, False)  # noqa: FBT003 (not inline)


def _loaded(group: str, name: str, context: Context) -> Any | None:
    try:
        return load(group, name)
    except PluginError as error:
        _warn(context, f"a renderer of another package cannot be used: {error}")
        return None


def _warn(context: Context, text: str) -> None:
    context.warn(Topic.RENDERER, text)
