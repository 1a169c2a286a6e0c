"""Finds the ends of lines and frames in a stream: bytes in, pieces for the hot path out, independent of read sizes.

Two framings. Lines end in a line feed. A frame of Datadog starts with its length (four bytes, little endian) and holds
the payload of one datagram.

Invariant (I1, I6): every line comes out once, either whole or rejected with one reason; at most `limit` bytes wait for
the end of their line. An unterminated last line is accepted only if the sender ended the stream in order. After a
reset, or when the relay hangs up, that line is rejected as `truncated`.

Does not know: sockets, the clock, the grammar of a line.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from relay import limits

_HEAD: Final = 4
"""Size of the length field before each frame, in bytes."""


class Piece(NamedTuple):
    """Complete lines, at most as many bytes as a datagram holds; or the beginning of a rejected line."""

    text: bytes
    reason: str = ""
    """Why the line is rejected: line_too_long or truncated; empty for complete lines."""


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


class LineFraming:
    """State: the beginning of an unfinished line, or that the rest of a rejected line is being skipped."""

    broken = False

    def __init__(self, limit: int) -> None:
        self._limit = min(limit, limits.DATAGRAM_BYTES)
        self._pending = bytearray()
        self._skips = False

    def __repr__(self) -> str:
        """Report the size of the unfinished line."""
        return f"<LineFraming {len(self._pending)} bytes>"

    def receive(self, chunk: bytes) -> list[Piece]:
        """Return the lines that are complete now."""
        last = chunk.rfind(b"\n")
        if last < 0:
            return self._hold(chunk)
        pieces, start = [], 0
        if self._pending or self._skips:
            start = chunk.find(b"\n") + 1
            pieces = self._finish(chunk[: start - 1])
        if last > start:
            pieces += self._whole(chunk[start:last])
        return pieces + self._hold(chunk[last + 1 :])

    def end(self, *, in_order: bool) -> list[Piece]:
        """Return the unterminated last line; it is rejected as truncated unless the stream ended in order."""
        pieces = self._finish(b"")
        return pieces if in_order else [Piece(piece.text, "truncated") for piece in pieces]

    def _whole(self, text: bytes) -> list[Piece]:
        """Return the complete lines of one chunk; lines beyond the limit are rejected."""
        if len(text) <= self._limit:
            return [Piece(text)]
        lines = text.split(b"\n")
        good = b"\n".join(line for line in lines if len(line) <= self._limit)
        return [Piece(good), *(_too_long(line) for line in lines if len(line) > self._limit)]

    def _finish(self, rest: bytes) -> list[Piece]:
        """Return the line that ends with `rest`, unless it was rejected before its end."""
        line = bytes(self._pending + rest)
        skipped, self._skips = self._skips, False
        self._pending.clear()
        if skipped or not line:
            return []
        return [Piece(line) if len(line) <= self._limit else _too_long(line)]

    def _hold(self, text: bytes) -> list[Piece]:
        """Keep the beginning of a line; reject the line, once, when it grows too long."""
        if self._skips:
            return []
        self._pending += text
        if len(self._pending) <= self._limit:
            return []
        rejected = _too_long(self._pending)
        self._pending.clear()
        self._skips = True
        return [rejected]


class FrameFraming:
    """State: the beginning of an unfinished frame."""

    def __init__(self, limit: int = limits.DATAGRAM_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self.broken = False

    def __repr__(self) -> str:
        """Report the size of the unfinished frame."""
        return f"<FrameFraming {len(self._pending)} bytes>"

    def receive(self, chunk: bytes) -> list[Piece]:
        """Return the frames that are complete now; a frame longer than a datagram breaks the stream."""
        pieces: list[Piece] = []
        pending, at = self._pending, 0
        pending += chunk
        while len(pending) >= at + _HEAD:
            size = int.from_bytes(pending[at : at + _HEAD], "little")
            if size > self._limit:
                self.broken = True
                pieces.append(_too_long(pending[at:]))
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


def _too_long(line: bytes | bytearray) -> Piece:
    return Piece(bytes(line[: limits.REJECT_BYTES]), "line_too_long")
