"""The messages between a build and its helper: MessagePack with a length before it."""

from __future__ import annotations

import socket
import struct

import msgspec

_LENGTH = struct.Struct("<Q")
# No request may take longer, and each MiB adds as much again.
_SECONDS, _PER_SECOND = 5.0, 1 << 20


def allowed_seconds(size: int) -> float:
    """Return how long a request may take that has moved so many bytes."""
    return _SECONDS + size / _PER_SECOND


class Get(msgspec.Struct, tag=True):
    """Fetch objects, none of which is larger than its limit."""

    limits: dict[str, int]


class Put(msgspec.Struct, tag=True):
    """Write objects."""

    objects: dict[str, bytes]


class List(msgspec.Struct, tag=True):
    """Name what begins with a prefix."""

    prefix: str


class Delete(msgspec.Struct, tag=True):
    """Delete objects."""

    names: list[str]


class Got(msgspec.Struct, tag=True):
    """An object; `None` if there is none."""

    name: str
    content: bytes | None


class Written(msgspec.Struct, tag=True):
    """An object is there, for all readers."""

    name: str


class Deleted(msgspec.Struct, tag=True):
    """An object is gone."""

    name: str


class Listed(msgspec.Struct, tag=True):
    """The names."""

    names: list[str]


class Done(msgspec.Struct, tag=True):
    """An order was carried out."""


class Off(msgspec.Struct, tag=True):
    """The place does not work; no further order is carried out."""

    why: str


Order = Get | Put | List | Delete
Report = Got | Written | Deleted | Listed | Done | Off


def write(connection: socket.socket, message: bytes) -> None:
    """Send a message.

    Raises:
        OSError: The other side is gone, or does not read.
    """
    connection.sendall(_LENGTH.pack(len(message)) + message)


def read(connection: socket.socket) -> bytes | None:
    """Return the next message; `None` if the other side has closed the connection.

    Raises:
        OSError: The connection failed, or the message did not come in time.
    """
    head = _exactly(connection, _LENGTH.size)
    return None if head is None else _exactly(connection, _LENGTH.unpack(head)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        piece = connection.recv(min(size - len(found), 1 << 20))
        if not piece:
            return None
        found += piece
    return bytes(found)
