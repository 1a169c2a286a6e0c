"""A TCP proxy in front of the emulator that breaks connections: faults between a relay and its cloud.

    proxy = ChaosProxy(emulator.url)
    relay = start(endpoint=await proxy.start())
    proxy.spoil("answer lost", times=3)

It knows where a request's body begins and ends, so it can break a connection at a chosen place. It passes bytes on
unchanged, the Host header too, so signatures stay valid. Runs in the test's event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final
from urllib.parse import urlsplit

KINDS: Final = ("reset before", "reset in", "answer lost", "answer cut", "hang", "slow answer")
"""reset before: the connection breaks at the head, no byte of the body reaches the cloud. reset in: half of the body
does. answer lost: the cloud has answered, the relay sees a reset. answer cut: half of the answer, then a reset.
hang: no answer until the relay gives up. slow answer: one byte a second."""
_CHUNK: Final = 16_384


class ChaosProxy:
    """State: the next faults, and the connections.

    Attributes:
        delay: seconds before each request is passed on.
        rate: bytes a second towards the cloud, per connection; 0 is unlimited.
        refused: True: connections are accepted and reset at once.
        seen: requests whose head arrived.
        spoiled: how often each kind struck.
    """

    def __init__(self, upstream: str, *, delay: float = 0.0, rate: float = 0.0) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._spoils: list[list] = []
        self._connections: dict[asyncio.Task, list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None
        self.delay = delay
        self.rate = rate
        self.refused = False
        self.seen = 0
        self.spoiled: Counter[str] = Counter()
        self.url = ""

    def __repr__(self) -> str:
        return f"<ChaosProxy {self.seen} requests, {dict(self.spoiled)}>"

    async def start(self, port: int = 0) -> str:
        """Listen; return the base URL to give to the relay."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self.url

    async def stop(self) -> None:
        """Stop listening and break every connection: the port refuses. `start(port)` restores it."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Break every open connection."""
        for task, writers in list(self._connections.items()):
            for writer in writers:
                writer.transport.abort()
            task.cancel()

    def spoil(self, kind: str, times: int | None = None) -> None:
        """Break the next requests in this way; None: all of them. Faults added first apply first."""
        assert kind in KINDS, kind
        self._spoils.append([kind, times])

    def heal(self) -> None:
        """Remove all faults."""
        self._spoils.clear()
        self.refused, self.delay, self.rate = False, 0.0, 0.0

    # --- one connection -----------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections[task] = [writer]
        try:
            if not self.refused:
                await self._serve(reader, writer, task)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for one in self._connections.pop(task):
                one.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task) -> None:
        cloud, to_cloud = await asyncio.open_connection(*self._upstream)
        self._connections[task].append(to_cloud)
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.seen += 1
            kind = self._next_kind()
            if self.delay:
                await asyncio.sleep(self.delay)
            if kind == "reset before":
                return
            body = await reader.readexactly(_length(head))
            if kind == "reset in":
                await self._pass_on(to_cloud, head + body[: len(body) // 2])
                return
            await self._pass_on(to_cloud, head + body)
            if not await self._answer(cloud, writer, kind):
                return

    async def _answer(self, cloud: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> bool:
        """Pass the answer on, or break it; return whether the connection is still usable."""
        head = await cloud.readuntil(b"\r\n\r\n")
        answer = head + await cloud.readexactly(_length(head))
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "answer cut":
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
        if kind in ("answer lost", "answer cut"):
            return False
        if kind == "slow answer":
            for byte in answer:
                writer.write(bytes((byte,)))
                await asyncio.sleep(1)
        writer.write(answer)
        await writer.drain()
        return b"connection: close" not in head.lower()

    async def _pass_on(self, to: asyncio.StreamWriter, content: bytes) -> None:
        for start in range(0, len(content), _CHUNK):
            part = content[start : start + _CHUNK]
            to.write(part)
            await to.drain()
            if self.rate:
                await asyncio.sleep(len(part) / self.rate)

    def _next_kind(self) -> str:
        while self._spoils:
            kind, left = self._spoils[0]
            if left == 0:
                self._spoils.pop(0)
                continue
            if left is not None:
                self._spoils[0][1] -= 1
            self.spoiled[kind] += 1
            return kind
        return ""


def _length(head: bytes) -> int:
    """Return the length of the body that follows a head."""
    lines = head.lower().split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
