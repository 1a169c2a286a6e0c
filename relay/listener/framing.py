"""Finds the ends of lines and frames in a stream: bytes in, pieces for the hot path out, independent of read sizes.

Two framings. Lines end in a line feed (lines.py). A frame of Datadog starts with its length (four bytes, little endian)
and holds the payload of one datagram.

Invariant (I1, I6): every line comes out once, either whole or rejected with one reason; at most `limit` bytes wait for
the end of their line. An unterminated last line is accepted only if the sender ended the stream in order. After a
reset, or when the relay hangs up, that line is rejected as `truncated`.

Does not know: sockets, the clock, the grammar of a line.
"""

from __future__ import annotations

from typing import Final, Protocol

from relay import limits
from relay.lines import LineSplitter, Piece, too_long

_HEAD: Final = 4
"""Size of the length field before each frame, in bytes."""


class Framing(Protocol):
    """Splits the bytes of one connection; `receive` and `end` return the pieces that are complete."""

    broken: bool
    """The start of the next frame is unknown: the connection must be closed."""

    def receive(self, chunk: bytes) -> list[Piece]:
        """Add bytes, at most `limits.STREAM_CHUNK`; return the pieces that are complete now."""
        ...

    def end(self, *, in_order: bool) -> list[Piece]:
        """Return the last pieces of the stream; `in_order`: the sender ended the stream."""
        ...


class LineFraming(LineSplitter):
    """Lines, none longer than a datagram. Each line feed begins a line: such a stream is never broken."""

    broken = False

    def __init__(self, limit: int) -> None:
        super().__init__(min(limit, limits.DATAGRAM_BYTES))


class FrameFraming:
    """State: the beginning of an unfinished frame."""

    def __init__(self, limit: int = limits.DATAGRAM_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self.broken = False

    def receive(self, chunk: bytes) -> list[Piece]:
        """Return the frames that are complete now; a frame longer than a datagram breaks the stream."""
        pieces: list[Piece] = []
        pending, at = self._pending, 0
        pending += chunk
        while len(pending) >= at + _HEAD:
            size = int.from_bytes(pending[at : at + _HEAD], "little")
            if size > self._limit:
                self.broken = True
                pieces.append(too_long(pending[at:]))
                at = len(pending)
                break
            if len(pending) < at + _HEAD + size:
                break
            at += _HEAD
            if size:
                pieces.append(Piece(bytes(pending[at : at + size])))
            at += size
        del pending[:at]
        return pieces

    def end(self, *, in_order: bool) -> list[Piece]:
        """Return the whole lines of an unfinished frame; its last line is rejected however the stream ended."""
        del in_order
        if not self._pending:
            return []
        lines, _, last = bytes(self._pending[_HEAD:]).rpartition(b"\n")
        self._pending.clear()
        return [*([Piece(lines)] if lines else []), Piece(last, "truncated")]
