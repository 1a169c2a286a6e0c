"""A cloud that answers with given bytes, and else accepts everything."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

STORED = b'{"requestId":"r","result":{"success":true}}'
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(STORED), STORED)


class RawCloud:
    """State: the next answers, each for one request, and the bodies that were received."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.endless = b""
        """Sent again and again after an answer, until the client hangs up."""
        self.taken: list[bytes] = []
        self.sent = 0
        """Bytes of `endless`."""
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.endless = b""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(size[1]) if size else 0)
            if self.answers:
                writer.write(self.answers.pop(0))
                await self._go_on(writer)
            else:
                self.taken.append(body)
                writer.write(TAKEN)
            await writer.drain()
        writer.close()

    async def _go_on(self, writer: asyncio.StreamWriter) -> None:
        while self.endless:
            writer.write(self.endless)
            self.sent += len(self.endless)
            await writer.drain()
