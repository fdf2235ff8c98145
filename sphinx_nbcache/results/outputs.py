"""Packs the outputs of a run for the store, and unpacks them.

The outputs of a run are one JSON text. Images and other large representations are separate blobs,
named by their digests, so that equal images are stored once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import DEEPEST, Json, PerCell, is_deep
from sphinx_nbcache.results.records import Failure, content_digest

Output = dict[str, Any]
CellOutputs = list[list[Output]]

# Representations of at least this size become separate blobs.
_BLOB_SIZE = 8 * 1024
_BINARY = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"})
_TEXT_KEY = "$nbcache-text"
# The forms in which kernels send base64: one line, with or without a line end, and folded lines.
# A restored output must equal the original character for character, or its page would change.
_BASE64_KEYS: Mapping[str, Callable[[bytes], bytes]] = {
    "$nbcache-base64": base64.b64encode,
    "$nbcache-base64-line": lambda content: base64.b64encode(content) + b"\n",
    "$nbcache-base64-lines": base64.encodebytes,
}
# Escapes JSON of a notebook that looks like one of the references above.
_JSON_KEY = "$nbcache-json"


class OutputsError(Exception):
    """Outputs cannot be unpacked. The message says why."""


class RunOutputs(msgspec.Struct):
    """The outputs of a run, for each code cell with code, and the widget states."""

    cells: Annotated[CellOutputs, PerCell]
    widgets: Json = {}


def render_id(outputs: RunOutputs, status: str, lexer: str, failure: Failure | None) -> str:
    """Return the digest of everything that a page shows of a run.

    Execution counts and the identity of the run are left out. If a new run looks the same as the
    last one, the render id is the same, and Sphinx need not read the page again.
    """
    shown = [
        [{k: v for k, v in output.items() if k != "execution_count"} for output in cell]
        for cell in outputs.cells
    ]
    seen = [shown, outputs.widgets, status, lexer, failure]
    # Kernels send the keys of a MIME bundle in any order.
    encoded = msgspec.json.encode(seen, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:32]


def pack(outputs: RunOutputs) -> tuple[bytes, dict[str, bytes]]:
    """Return the JSON text of the outputs, and the blobs that it refers to by digest."""
    blobs: dict[str, bytes] = {}
    packed = RunOutputs([[_packed(output, blobs) for output in cell] for cell in outputs.cells])
    packed.widgets = outputs.widgets
    # In the order of the kernel: renderers choose, and list, the forms of an output in this order.
    return msgspec.json.encode(packed), blobs


def unpack(content: bytes, blob: Callable[[str], bytes]) -> RunOutputs:
    """Return the outputs from their JSON text.

    Args:
        content: The JSON text, as returned by [](pack).
        blob: Returns the blob for a digest, or raises [](OutputsError).

    Raises:
        OutputsError: The text was not written by [](pack), or a blob is missing or damaged.
    """
    try:
        outputs = msgspec.json.decode(content, type=RunOutputs)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise OutputsError(f"outputs that are not as they were written: {error}") from None
    if is_deep([outputs.cells, outputs.widgets], content):
        raise OutputsError(f"outputs that are nested deeper than {DEEPEST} levels")
    for cell in outputs.cells:
        for output in cell:
            if isinstance(data := output.get("data"), dict):
                output["data"] = {mime: _loaded(value, blob) for mime, value in data.items()}
    return outputs


def _packed(output: Output, blobs: dict[str, bytes]) -> Output:
    data = output.get("data")
    if not isinstance(data, Mapping):
        return output
    return {**output, "data": {mime: _moved(mime, data[mime], blobs) for mime in data}}


def _moved(mime: str, value: Any, blobs: dict[str, bytes]) -> Any:
    """Move a large representation to the blobs; return its replacement."""
    if not isinstance(value, str):
        return {_JSON_KEY: value} if _is_reference(value) else value
    key, content = _TEXT_KEY, value.encode()
    if mime in _BINARY:
        key, content = _decoded(value)
    if key == _TEXT_KEY and len(content) < _BLOB_SIZE:
        return value
    digest = content_digest(content)
    blobs[digest] = content
    return {key: digest}


def _decoded(value: str) -> tuple[str, bytes]:
    """Return the key and content of base64; those of a text if decoding is not reversible."""
    text = value.encode()
    try:
        content = base64.b64decode(text, validate=False)
    except ValueError:
        return _TEXT_KEY, text
    exact = (key for key, encoded in _BASE64_KEYS.items() if encoded(content) == text)
    return next(((key, content) for key in exact), (_TEXT_KEY, text))


def _loaded(value: Any, blob: Callable[[str], bytes]) -> Any:
    if not _is_reference(value):
        return value
    ((key, digest),) = value.items()
    if key == _JSON_KEY:
        return digest
    if not isinstance(digest, str):
        raise OutputsError("a reference to a blob that is no digest")
    content = blob(digest)
    if key in _BASE64_KEYS:
        return _BASE64_KEYS[key](content).decode()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise OutputsError(f"an output that is not text: {error}") from None


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and next(iter(value)) in (_TEXT_KEY, _JSON_KEY, *_BASE64_KEYS)
    )
