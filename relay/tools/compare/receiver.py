"""The TCP port to which the old daemon's Graphite back end connects.

Bounded: the number of connections, and the length of a line (graphite.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from relay.errors import reason_of, unusable
from relay.lines import LineSplitter, whole_lines
from relay.tools.compare.graphite import LINE_MOST, parse

if TYPE_CHECKING:
    from relay.clock import Clock
    from relay.tools.compare.flushes import Flushes

CONNECTIONS: Final = 16
_CHUNK: Final = 65_536


class Receiver:
    """State: a listening socket and its connections.

    Args:
        flushes: gets every line with the time of its arrival.
        clock: clock of this machine.
    """

    def __init__(self, flushes: Flushes, clock: Clock) -> None:
        self._flushes = flushes
        self._clock = clock
        self.connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        """Each open connection with the task that reads it."""
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the bound address.

        Raises:
            RelayError: RLY101, the address cannot be used.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {reason_of(error)}"
            fix = "name another address with --graphite, and point the old daemon's Graphite back end there"
            raise unusable(message, fix) from error
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def stop(self) -> None:
        """Close the port and its connections."""
        if self._server:
            self._server.close()
        for writer in self.connections:
            writer.transport.abort()
        await asyncio.gather(*self.connections.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if len(self.connections) == CONNECTIONS or task is None:
            writer.close()
            return
        self.connections[writer] = task
        try:
            with suppress(OSError):
                await self._read(reader)
        finally:
            del self.connections[writer]
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lines = LineSplitter(LINE_MOST)
        while chunk := await reader.read(_CHUNK):
            arrived = self._clock.wall()
            pieces = lines.receive(chunk)
            found = [line for line in whole_lines(pieces) if line.strip()]
            measures = [measure for measure in map(parse, found) if measure]
            for measure in measures:
                self._flushes.receive(measure, arrived)
            self._flushes.unreadable += len(found) - len(measures) + sum(bool(piece.reason) for piece in pieces)
            await asyncio.sleep(0)
