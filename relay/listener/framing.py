"""Where a line or a frame of a stream ends: bytes in, pieces for the hot path out, whatever the cuts between reads.

Two framings: lines end in a line feed; Datadog's frames have their length before them, four bytes, little endian, and
hold what a datagram would. No I/O and no clock. The invariant (I1, I6): every line comes out once, whole or rejected
with one reason, and no more than `limit` bytes wait for their end. A line that was cut off is only a line if its sender
ended the stream in order; after a reset, or when the relay hangs up, it is `truncated`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from relay import limits

_HEAD: Final = 4
"""Bytes of a frame's length."""


class Piece(NamedTuple):
    """Complete lines, at most one datagram's worth; or the beginning of a line that is rejected."""

    text: bytes
    reason: str = ""
    """Why the line is rejected: line_too_long, truncated; empty if it is not."""


class Framing(Protocol):
    """One connection's bytes; `receive` and `end` return what is complete."""

    broken: bool
    """Nobody can know any more where a frame begins: hang up."""

    def receive(self, chunk: bytes) -> list[Piece]:
        """Take bytes, at most `limits.STREAM_CHUNK`."""
        ...

    def end(self, *, in_order: bool) -> list[Piece]:
        """No more bytes will come; `in_order`: because the sender said so."""
        ...


class LineFraming:
    """State: the beginning of a line, or that the rest of one is skipped."""

    broken = False

    def __init__(self, limit: int) -> None:
        self._limit = min(limit, limits.DATAGRAM_BYTES)
        self._pending = bytearray()
        self._skips = False

    def __repr__(self) -> str:
        """Report what waits."""
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
        """An unterminated last line counts."""
        pieces = self._finish(b"")
        return pieces if in_order else [Piece(piece.text, "truncated") for piece in pieces]

    def _whole(self, text: bytes) -> list[Piece]:
        """Return lines that came in one chunk."""
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
        """Keep the beginning of a line; reject it once when it grows too long."""
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
    """State: the beginning of a frame."""

    def __init__(self, limit: int = limits.DATAGRAM_BYTES) -> None:
        self._limit = limit
        self._pending = bytearray()
        self.broken = False

    def __repr__(self) -> str:
        """Report what waits."""
        return f"<FrameFraming {len(self._pending)} bytes>"

    def receive(self, chunk: bytes) -> list[Piece]:
        """Return the frames that are complete now; one that is longer than a datagram breaks the stream."""
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
        """A frame that was cut off loses its last line, and only that, however the stream ended."""
        del in_order
        if not self._pending:
            return []
        lines, _, last = bytes(self._pending[_HEAD:]).rpartition(b"\n")
        self._pending.clear()
        return [*([Piece(lines)] if lines else []), Piece(last, "truncated")]


def _too_long(line: bytes | bytearray) -> Piece:
    return Piece(bytes(line[: limits.REJECT_BYTES]), "line_too_long")
