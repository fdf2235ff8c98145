"""Ports for a kernel that no other process is likely to take first.

jupyter_client asks the system for free ports and releases them; the kernel takes them a second
later. They are in the range from which each outgoing connection gets a port. If a connection takes
one of them, ipykernel waits for ever. Our ports are therefore from below that range.
"""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
"""jupyter_client's names for the ports of a kernel."""

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST = 10_240
# A smaller range is not worth it.
_LEAST = 2_000
_ATTEMPTS = 200

_lock = threading.Lock()
_given: set[int] = set()


def free_ports(count: int, ip: str) -> list[int] | None:
    """Return free ports, each given once in this process; `None` lets the system choose.

    Args:
        count: The number of ports.
        ip: The address on which they have to be free.
    """
    try:
        end = int(_RANGE.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    if end - _FIRST < _LEAST:
        return None
    chance = random.SystemRandom()  # other processes must come to other ones
    found: list[int] = []
    with _lock:
        if len(_given) > (end - _FIRST) // 2:
            _given.clear()
        for _ in range(_ATTEMPTS):
            port = chance.randrange(_FIRST, end)
            if port not in _given and is_free(ip, port):
                _given.add(port)
                found.append(port)
            if len(found) == count:
                return found
    return None


def is_free(ip: str, port: int) -> bool:
    """Tell whether a port of an address is free now."""
    try:
        with socket.socket() as probe:
            probe.bind((ip, port))
    except OSError:
        return False
    return True
