"""A proxy before a server, with the troubles that networks and services have.

As a process: `python troubled_proxy.py PORT TROUBLE`; it writes its own port.
"""

from __future__ import annotations

import asyncio
import sys

LATENCY = 0.05
FORBIDDEN = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 48\r\n\r\n"
    b"<Error><Code>AccessDenied</Code></Error>        "
)
GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\n" + b"garbage!" * 125
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
FIXED = {"forbidden": FORBIDDEN, "garbage": GARBAGE, "broken": BROKEN}
# Beyond lists and packs, and within the large object of these tests.
HALF = 50_000
SLOW = 4.0


class Proxy:
    def __init__(self, port: int, trouble: str) -> None:
        self.port = port
        self.trouble = trouble

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble in FIXED:
            while await reader.read(1 << 16):
                writer.write(FIXED[self.trouble])
                await writer.drain()
            return
        if self.trouble == "silent":
            await asyncio.sleep(1000)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
        back = asyncio.create_task(self._back(to_reader, writer))
        try:
            while piece := await reader.read(1 << 20):
                await asyncio.sleep(SLOW if self.trouble == "slow" else LATENCY)
                to_writer.write(piece)
                await to_writer.drain()
        finally:
            back.cancel()
            to_writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while piece := await reader.read(1 << 16):
            if self.trouble == "hangs":
                # The listing comes; an object, only in part.
                writer.write(piece[: max(0, HALF - sent)])
                sent += len(piece)
                if sent > HALF:
                    await writer.drain()
                    await asyncio.sleep(1000)
            elif self.trouble == "cut":
                writer.write(piece[: max(0, HALF - sent)])
                sent += len(piece)
                if sent > HALF:
                    await writer.drain()
                    writer.close()
            elif self.trouble == "drips":
                for byte in piece:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(1)
            else:
                writer.write(piece)
            await writer.drain()


async def main() -> None:
    proxy = Proxy(int(sys.argv[1]), sys.argv[2])
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 22)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 (for who started it)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
