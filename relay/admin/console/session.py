"""One session of the text console: splits the input into commands, writes the replies, and enforces timeouts.

The reference treats each read as one command: `printf health | nc` needs no line feed, but two commands in one packet
fail. Here a command ends with its line, with the stream, or after `SessionTimeouts.pause` without further bytes.

A web page can make a browser send text of its choice to this port: after a custom HTTP method, or within a TLS
handshake. So the session ends at the first line of an HTTP request and after a line with an unprintable character,
before any command that follows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Answer = Callable[[str], AsyncIterator[str]]

LINE_BYTES: Final = 65_536
"""The longest command."""
_BLANKS: Final = b" \t\r\n\v\f"
_SEVEN_BITS: Final = bytes(byte & 0x7F for byte in range(256))
"""The reference decodes ASCII as Node does: it clears the eighth bit."""
_CHUNK: Final = 16_384
"""Bytes of a reply that are written at once."""


class SessionTimeouts(NamedTuple):
    """Timeouts of a session, in seconds."""

    pause: float = 0.2
    """Without further bytes after an unfinished line: then the line is a command."""
    idle: float = 300.0
    """Between two commands; at least the longest interval of usual checks."""
    reading: float = 30.0
    """For the client to read what was written; then the connection is closed."""


class Commands:
    """State: the bytes of an unfinished line."""

    def __init__(self) -> None:
        self.rest = b""

    def receive(self, chunk: bytes) -> list[str]:
        """Return the commands that these bytes complete.

        Blank lines are skipped; input of blanks only is one empty command.
        """
        *lines, self.rest = (self.rest + chunk.translate(_SEVEN_BITS)).split(b"\n")
        found = [command for line in lines if (command := _text(line))]
        if not found and not self.rest.strip(_BLANKS):
            self.rest = b""
            return [""]
        return found

    def end(self) -> list[str]:
        """Return the unfinished line as a command, if there is one."""
        rest, self.rest = self.rest, b""
        return [_text(rest)] if rest else []


def is_request(command: str) -> bool:
    """Return whether this is the first line of an HTTP request, with any method."""
    return command.rpartition(" ")[2].startswith("HTTP/")


def _text(line: bytes) -> str:
    return line.strip(_BLANKS).decode("ascii")


class ConsoleSession:
    """State: a connection, and the time of its latest command."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: Answer, timeouts: SessionTimeouts
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._timeouts = timeouts
        self._commands = Commands()
        self.last = asyncio.get_running_loop().time()
        """Monotonic time of the latest command."""

    async def run(self) -> None:
        """Answer commands until the client quits, disconnects or is idle for too long."""
        try:
            while await self._answer_next():
                self.last = asyncio.get_running_loop().time()
            self._writer.close()
            async with asyncio.timeout(self._timeouts.reading):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            pass
        finally:
            self._writer.transport.abort()

    async def _answer_next(self) -> bool:
        """Answer the next commands; return whether the session goes on."""
        commands, is_over = await self._read()
        for command in commands:
            if command.split(" ")[0] == "quit" or is_request(command):
                return False
            await self._reply(command)
            if not command.isprintable():
                return False
            await asyncio.sleep(0)  # thousands of commands may be buffered, and their replies may never yield
        return not is_over and len(self._commands.rest) <= LINE_BYTES

    async def _read(self) -> tuple[list[str], bool]:
        """Return the next commands, and whether they are the last ones."""
        rest = self._commands.rest
        try:
            async with asyncio.timeout(self._timeouts.pause if rest else self._timeouts.idle):
                chunk = await self._reader.read(LINE_BYTES)
        except TimeoutError:
            return self._commands.end(), not rest
        return (self._commands.receive(chunk), False) if chunk else (self._commands.end(), True)

    async def _reply(self, command: str) -> None:
        pieces: list[str] = []
        size = 0
        async for piece in self._answer(command):
            pieces.append(piece)
            size += len(piece)
            if size >= _CHUNK:
                await self._write(pieces)
                pieces, size = [], 0
        await self._write(pieces)

    async def _write(self, pieces: list[str]) -> None:
        if self._writer.is_closing():  # uvloop then refuses a write with an error that is not a ConnectionError
            raise ConnectionResetError
        self._writer.write("".join(pieces).encode())
        async with asyncio.timeout(self._timeouts.reading):
            await self._writer.drain()
