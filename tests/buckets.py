"""A real S3 API on this machine, with and without troubles before it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROXY = Path(__file__).parent / "troubled_proxy.py"
BUCKET = "results"


def free_port() -> int:
    """Return a port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isinstance(port, int)
        return port


@dataclass(frozen=True)
class Bucket:
    """A bucket of a server on this machine."""

    port: int

    @property
    def url(self) -> str:
        """The address for `nbcache_remote`."""
        return f"s3://{BUCKET}/a/prefix"

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Return the variables by which clients find the server, or a proxy before it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def empty(self) -> None:
        """Begin with an empty bucket."""
        self._call("POST", "/moto-api/reset")
        self._call("PUT", f"/{BUCKET}")

    def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            content = response.read()
            assert isinstance(content, bytes)
            return content

    @contextmanager
    def behind(self, trouble: str) -> Iterator[int]:
        """Yield the port of a proxy that has a trouble."""
        if trouble == "down":
            yield free_port()
            return
        command = [sys.executable, str(PROXY), str(self.port), trouble]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield int(process.stdout.readline())
            finally:
                process.kill()


@contextmanager
def s3_server(log: Path) -> Iterator[Bucket]:
    """Start a server; yield its bucket."""
    port = free_port()
    server = os.environ.get("NBCACHE_MOTO_SERVER", "moto_server")
    with (
        log.open("wb") as file,
        subprocess.Popen([server, "-p", str(port)], stdout=file, stderr=file) as process,
    ):
        try:
            bucket = Bucket(port)
            # Its first start, without compiled modules, takes a minute on a busy machine.
            end = time.monotonic() + 180
            while time.monotonic() < end:
                with suppress(OSError):
                    bucket.empty()
                    break
                time.sleep(0.1)
            else:
                raise AssertionError(log.read_text(encoding="utf-8"))
            yield bucket
        finally:
            process.kill()
