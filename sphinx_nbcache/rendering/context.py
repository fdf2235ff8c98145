"""The context of a renderer: its document, and where it may put files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic

Warn = Callable[[Topic, str], None]


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one output.

    Attributes:
        document: The document that is being read.
        images: Where image files are kept.
        image_uri: Returns the URI of such a file.
        warn: Issues a warning about the current cell.
        metadata: The output's metadata for the current MIME type.
        plain: The output's `text/plain` form, if it has one.
    """

    document: nodes.document
    images: Path
    image_uri: Callable[[Path], str]
    warn: Warn
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plain: str = ""
