from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sphinx_nbcache.kernels import connections
from sphinx_nbcache.kernels.choosing import KernelManager
from sphinx_nbcache.kernels.connections import free_ports
from sphinx_nbcache.kernels.specs import KernelSpecs

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
only_linux = pytest.mark.skipif(not RANGE.exists(), reason="only Linux tells its range of ports")
LOCAL = "127.0.0.1"


def first_of_system() -> int:
    return int(RANGE.read_text().split()[0])


@only_linux
def test_ports_are_not_those_that_outgoing_connections_get() -> None:
    found = free_ports(5, LOCAL)
    assert found is not None
    assert len(set(found)) == 5
    assert all(10_000 < port < first_of_system() for port in found)


def test_no_port_is_given_twice_or_while_somebody_has_it() -> None:
    first = free_ports(100, LOCAL)
    assert first is not None
    second = free_ports(100, LOCAL)
    assert second is not None
    assert not set(first) & set(second)
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        port = taken.getsockname()[1]
        assert not connections.is_free(LOCAL, port)
    assert connections.is_free(LOCAL, port)


def test_where_there_are_too_few_the_system_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("10300 60999", "1024 65535"):
        (tmp_path / "range").write_text(text)
        monkeypatch.setattr(connections, "_RANGE", tmp_path / "range")
        assert free_ports(5, LOCAL) is None


@pytest.mark.parametrize("text", ["", "x y", None])
def test_where_the_range_is_unknown_ports_are_below_that_of_every_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "range").write_text(text)
    monkeypatch.setattr(connections, "_RANGE", tmp_path / "range")
    found = free_ports(100, LOCAL)
    assert found is not None
    assert all(10_000 < port < 32_768 for port in found)


async def _started(manager: KernelManager) -> list[int]:
    await manager.start_kernel()
    try:
        info: Any = manager.get_connection_info()
        return [info[name] for name in info if name.endswith("_port")]
    finally:
        await manager.shutdown_kernel(now=True)
        await manager.close()


@only_linux
@pytest.mark.kernel
def test_kernels_of_the_ordinary_start_have_such_ports() -> None:
    found = asyncio.run(_started(KernelManager(KernelSpecs(), kernel_name="python3")))
    assert len(set(found)) == 5
    assert all(port < first_of_system() for port in found)
