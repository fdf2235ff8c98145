"""Images: files named by their content, so that equal ones are kept and copied once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.look_values import length
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.nodes import Context
from sphinx_nbcache.results.terminal import printable
from sphinx_nbcache.text import shortened

_WORDS = re.compile(r"[^`$\\{}\[\]<>*_]*")
# The order is that of preference: vectors first.
SUFFIXES = {
    "image/svg+xml": ".svg",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "application/pdf": ".pdf",
}


def render_image(value: Any, context: Context, mime: str) -> list[nodes.Node]:
    """Return an image whose file is in the context's folder."""
    try:
        content = image_content(value, mime)
    except (ValueError, TypeError) as error:
        context.warn(Topic.MIME, f"an output of type {mime} cannot be decoded ({error})")
        return []
    path = write_image(content, SUFFIXES[mime], context.images)
    image = nodes.image(uri=context.image_uri(path), classes=["output", mime.replace("/", "_")])
    given = dict(context.looks.image)
    image["classes"] += given.pop("classes", [])
    alt = given.pop("alt", "")
    image.attributes.update(given)
    # A repr (`<Figure size 640x480 with 1 Axes>`) tells users of screen readers nothing.
    described = "" if context.plain.startswith("<") else context.plain
    caption = context.looks.figure.get("caption", "")
    if not _WORDS.fullmatch(caption):
        caption = ""  # its markup would be read aloud
    described = alt or context.metadata.get("alt") or described or caption
    image["alt"] = printable(str(described or "output of a code cell"))
    # A size in the metadata of the output takes precedence.
    for side in ("width", "height"):
        if (size := context.metadata.get(side)) is None:
            continue
        try:
            # docutils writers take text only, as from the options of a directive.
            image[side] = length(size)
        except ValueError:
            text = f"an image has the {side} {shortened(repr(size), 40)}, which is no length"
            context.warn(Topic.MIME, f"{text}; it has its own size")
    return [image]


def image_content(value: Any, mime: str) -> bytes:
    """Return the bytes of an image for its form in a MIME bundle.

    Raises:
        ValueError: It is not valid base64.
        TypeError: It is not text.
    """
    if not isinstance(value, str):
        raise TypeError("it is not text")
    if mime == "image/svg+xml":
        # SVG is text in a bundle, not base64. It may contain lone surrogates from JSON escapes.
        return value.encode("utf-8", "replace")
    try:
        # Not `validate=True`: kernels may break base64 into lines, and line breaks are skipped here
        # (https://docs.python.org/3/library/base64.html#base64.b64decode).
        content = base64.b64decode(value)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if not content:
        raise ValueError("it is empty")
    return content


def write_image(content: bytes, suffix: str, folder: Path) -> Path:
    """Write an image file, unless it exists; return its path.

    Raises:
        OSError: It cannot be written.
    """
    # A name by content also makes Sphinx copy a changed image: it does not overwrite files in
    # `_images` (https://github.com/sphinx-doc/sphinx/issues/14312).
    path = folder / (hashlib.sha256(content).hexdigest()[:32] + suffix)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Atomic: `-j` workers may write the same image, and another one may copy it meanwhile.
        replace_file(path, content)
    return path


def image_folder(env: BuildEnvironment) -> Path:
    """Return the folder of image files: next to the doctrees that refer to them."""
    return _image_folder(str(env.doctreedir))


@cache  # asked for each cell
def _image_folder(doctrees: str) -> Path:
    return Path(doctrees) / "nbcache-images"


def image_uri(env: BuildEnvironment, path: Path) -> str:
    """Return the URI of an image file in a document: a path from the source directory."""
    # A leading slash is the source directory for Sphinx (`env.relfn2path`), whatever the page's own
    # folder is; `..` leads to the doctrees.
    return "/" + Path(os.path.relpath(path, env.srcdir)).as_posix()
