"""The code of one installed distribution: its files, their digests, and where it is edited.

Nothing is imported: `RECORD` holds the digests of files, `direct_url.json` the origin.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from sphinx_nbcache.traces.fingerprints import text_digest

FROM_INDEX = "index"
"""The content of a distribution that its version stands for."""
EDITABLE = "editable"
"""The content of an editable installation: its files are compared instead."""

_HASH = "sha256="
_SCRIPTS = ("bin/", "Scripts/", "include/", "Include/")
# The finder that setuptools writes for an editable installation.
_FINDER = re.compile(r"__editable___.+_finder\.py")
_MAPPING = re.compile(r"^MAPPING\b[^=]*=\s*(\{.*\})\s*$", re.MULTILINE)


def read_text(*parts: str) -> str:
    """Return the text of a file; empty if it cannot be read."""
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def origin_of(information: str) -> Mapping[str, object]:
    """Return where a distribution came from; empty if it came from an index.

    Args:
        information: Its `.dist-info` directory.
    """
    # https://packaging.python.org/en/latest/specifications/direct-url/
    try:
        origin = json.loads(read_text(information, "direct_url.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    return origin if isinstance(origin, dict) else {}


def is_editable(origin: Mapping[str, object]) -> bool:
    """Tell whether an origin is that of an editable installation."""
    folder = origin.get("dir_info")
    return isinstance(folder, dict) and folder.get("editable") is True


def local_path(origin: Mapping[str, object]) -> str | None:
    """Return the path of a directory or an archive from which a distribution was installed."""
    url = origin.get("url")
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None
    return unquote(parts.path) if parts is not None and parts.scheme == "file" else None


def content_of(information: str) -> str:
    """Return a digest of the files of a distribution, or a word for what stands for them.

    The version stands for compiled packages from an index: their wheels differ between systems.
    """
    origin = origin_of(information)
    if is_editable(origin):
        return EDITABLE
    is_pure = "root-is-purelib: true" in read_text(information, "WHEEL").lower()
    if not (is_pure or "dir_info" in origin or "archive_info" in origin):
        return FROM_INDEX
    files = recorded(information)
    pairs = (text for item in sorted(files.items()) for text in item)
    return text_digest(*pairs) if files else FROM_INDEX


def recorded(information: str) -> dict[str, str]:
    """Return the digests in a `RECORD` by path, without what installers add.

    pip and uv write other scripts, other metadata, and bytecode or none.
    """
    # https://packaging.python.org/en/latest/specifications/recording-installed-packages/
    found = {}
    own = os.path.basename(information) + "/"
    for line in read_text(information, "RECORD").splitlines():
        # Paths with commas are quoted, so these fields are counted from the end.
        path, _, rest = line.rpartition(",")[0].rpartition(",")
        if not rest.startswith(_HASH) or path.startswith(own) or path.endswith((".pyc", ".pyo")):
            continue
        outside = path.startswith("../")
        path = path.replace("../", "")
        if not (outside and path.startswith(_SCRIPTS)):
            found[path] = rest[len(_HASH) :]
    return found


def hexadecimal(digest: str) -> str:
    """Return a digest of a `RECORD` in the form of other digests."""
    try:
        return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
    except (ValueError, binascii.Error):
        return ""


def edited_modules(information: str) -> dict[str, str]:
    """Return the paths of the top-level modules of an editable installation, by name.

    A path is that of a module's file or of a package's directory. The result is empty for build
    systems with a finder of their own, such as meson-python.
    """
    site, found = os.path.dirname(information), {}
    for line in read_text(information, "RECORD").splitlines():
        name = line.partition(",")[0]
        if "/" in name:
            continue
        if _FINDER.fullmatch(name):
            found.update(_mapped(read_text(site, name)))
        elif name.endswith(".pth"):
            for folder in path_lines(os.path.join(site, name)):
                found.update(dict(_modules_of(folder)))
    return found


def source_files(information: str, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the file and the digest of each path of a distribution, relative to `site-packages`.

    Only the file is known for an editable installation, else only the digest. Paths that do not
    exist are left out.
    """
    if not is_editable(origin_of(information)):
        digests = recorded(information)
        return {path: ("", hexadecimal(digests[path])) for path in paths if path in digests}
    modules = edited_modules(information)
    found = {}
    for path in paths:
        top, slash, rest = path.partition("/")
        base = modules.get(top if slash else top.partition(".")[0])
        if base is not None:
            found[path] = (os.path.join(base, rest) if slash else base, "")
    return found


def entry_lines(information: str) -> Iterator[tuple[str, str]]:
    """Yield the group and the line of each entry point of a distribution, sorted."""
    # https://packaging.python.org/en/latest/specifications/entry-points/
    group, found = "", []
    for line in map(str.strip, read_text(information, "entry_points.txt").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found.append((group, f"{name.strip()} = {value.strip()}"))
    yield from sorted(found)


def path_lines(file: str) -> Iterator[str]:
    """Yield the directories that a `.pth` file adds to the search path."""
    # https://docs.python.org/3/library/site.html
    for line in read_text(file).splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            yield os.path.normpath(os.path.join(os.path.dirname(file), line.strip()))


def _mapped(finder: str) -> dict[str, str]:
    match = _MAPPING.search(finder)
    try:
        mapping = ast.literal_eval(match[1]) if match is not None else {}
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return {name: path for name, path in mapping.items() if isinstance(path, str)}


def _modules_of(folder: str) -> Iterator[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".py"):
            yield name[:-3], path
        elif os.path.isdir(path) and name.isidentifier():
            yield name, path
