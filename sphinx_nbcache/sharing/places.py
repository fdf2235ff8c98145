"""The places where results lie beyond this machine: a bucket, a folder, a site.

This module is used in the helper's process only: whatever hangs here, the build goes on.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Protocol

from sphinx_nbcache.files.atomic import replacing

INDEX = "index.json"
"""Names the packs, for readers who cannot list: those by HTTPS."""
PIECE = 1 << 16
# The watch of the helper ends what takes longer; these are for connections that never come about.
_CONNECT, _TOTAL = "5s", "60s"
_SECONDS = 5
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_MOST_NAMES = 100_000
_LARGEST_INDEX = 1 << 24


class PlaceError(Exception):
    """A place cannot be used. The message says why."""


class Received:
    """The progress of one request, which the watch of the helper looks at.

    Attributes:
        limit: The largest size that is of use.
        size: The bytes until now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0

    def gather(self, pieces: Iterable[Any]) -> bytes:
        """Return the pieces as one; what is longer than the limit is cut off."""
        found = bytearray()
        for piece in pieces:
            found += piece
            self.size = len(found)
            if self.size > self.limit:
                break
        return bytes(found)


class Place(Protocol):
    """Bytes under names. All methods may be called in several threads at once."""

    def get(self, name: str, received: Received) -> bytes | None:
        """Return an object; `None` if there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object. No reader ever sees a part of it."""

    def list(self, prefix: str) -> list[str]:
        """Return the names that begin with a prefix, which ends in a slash."""

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""


def place_of(url: str, folder: str) -> Place:
    """Return the place of an address.

    Args:
        url: The address, as in `nbcache_remote`.
        folder: The folder for this format of records, below the address.

    Raises:
        PlaceError: It cannot be used here.
    """
    scheme = url.partition(":")[0]
    if scheme == "file":
        parts = urllib.parse.urlsplit(url)
        return FolderPlace(Path(urllib.request.url2pathname(parts.path), folder))
    if scheme == "https":
        return SitePlace(f"{url.rstrip('/')}/{folder}/")
    return BucketPlace(url, folder)


class FolderPlace:
    """A folder, such as one on a file server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, received: Received) -> bytes | None:
        """Return the content of a file."""
        try:
            with (self._folder / name).open("rb") as file:
                return received.gather(iter(lambda: file.read(PIECE), b""))
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Write a file by renaming it, unless it is there."""
        path = self._folder / name
        if name != INDEX and path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)

    def list(self, prefix: str) -> list[str]:
        """Return the names of files in a folder."""
        try:
            return [prefix + name for name in os.listdir(self._folder / prefix)]  # noqa: PTH208
        except FileNotFoundError:
            return []

    def delete(self, name: str) -> None:
        """Remove a file."""
        (self._folder / name).unlink(missing_ok=True)


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0913, PLR0917 (its signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise PlaceError("it leads to an address without https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class SitePlace:
    """Files of a web server, which can only be read. `index.json` names the packs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(_OnlyHttps)

    def get(self, name: str, received: Received) -> bytes | None:
        """Return a file."""
        try:
            with self._opener.open(self._url + name, timeout=_SECONDS) as response:
                found = received.gather(iter(lambda: response.read1(PIECE), b""))
                if response.length and len(found) <= received.limit:
                    raise PlaceError("the connection ended within an object")
                return found
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                return None
            raise PlaceError(f"HTTP {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise PlaceError(str(error.reason)) from None

    def put(self, name: str, content: bytes) -> None:
        """Refuse to write."""
        del name, content
        raise PlaceError("nothing can be written by https")

    def list(self, prefix: str) -> list[str]:
        """Return the packs that the index names."""
        found = self.get(INDEX, Received(_LARGEST_INDEX))
        try:
            packs = json.loads(found or b'{"packs": []}')["packs"]
            return [f"{prefix}{name}" for name in packs]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise PlaceError(f"{INDEX} cannot be read") from None

    def delete(self, name: str) -> None:
        """Refuse to delete."""
        del name
        raise PlaceError("nothing can be deleted by https")


class BucketPlace:
    """A bucket of S3, Google Cloud Storage or Azure, and of what speaks like them."""

    def __init__(self, url: str, folder: str) -> None:
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError:
            text = "it needs the extra `remote`: pip install 'sphinx-nbcache[remote]'"
            raise PlaceError(text) from None
        self._obstore = obstore
        try:
            self._store = obstore.store.from_url(
                f"{url.rstrip('/')}/{folder}",
                client_options={
                    "connect_timeout": _CONNECT,
                    "timeout": _TOTAL,
                    # Only where the user names an address without encryption, as AWS's own tools.
                    "allow_http": any(_is_plain(name) for name in _ENDPOINTS),
                },
                # For answers such as "slow down", and connections that break off.
                retry_config={"max_retries": 2, "retry_timeout": _seconds(_SECONDS)},
            )
        except (BaseError, ValueError) as error:
            raise PlaceError(str(error)) from None

    def get(self, name: str, received: Received) -> bytes | None:
        """Return an object."""
        try:
            return received.gather(self._obstore.get(self._store, name).stream(PIECE))
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        self._obstore.put(self._store, name, content, use_multipart=False)

    def list(self, prefix: str) -> list[str]:
        """Return the names of objects."""
        found: list[str] = []
        for batch in self._obstore.list(self._store, prefix, chunk_size=1000):
            found += [item["path"] for item in batch]
            if len(found) > _MOST_NAMES:
                raise PlaceError(f"more than {_MOST_NAMES} packs are there")
        return found

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._obstore.delete(self._store, name)


def _is_plain(variable: str) -> bool:
    return os.environ.get(variable, "").startswith("http://")


def _seconds(number: int) -> Any:
    from datetime import timedelta

    return timedelta(seconds=number)
