"""Splits a stream of bytes into lines, however the stream is cut.

Invariant: each line comes out once, either whole or rejected with one reason; at most `limit` bytes wait for the end of
their line. Lines that are complete come out together: a reader that parses them in one go pays nothing per line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Piece(NamedTuple):
    """Complete lines, at most as many bytes as one line may have; or the beginning of a rejected line."""

    text: bytes
    reason: str = ""
    """Why the line is rejected: line_too_long or truncated; empty for complete lines."""


def whole_lines(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the lines that were not rejected, without line feeds and without empty ones."""
    for piece in pieces:
        if not piece.reason:
            yield from filter(None, piece.text.split(b"\n"))


class LineSplitter:
    """State: the beginning of an unfinished line, or that the rest of a rejected line is being skipped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._skips = False

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
        return [Piece(good), *(too_long(line) for line in lines if len(line) > self._limit)]

    def _finish(self, rest: bytes) -> list[Piece]:
        """Return the line that ends with `rest`, unless it was rejected before its end."""
        line = bytes(self._pending + rest)
        skipped, self._skips = self._skips, False
        self._pending.clear()
        if skipped or not line:
            return []
        return [Piece(line) if len(line) <= self._limit else too_long(line)]

    def _hold(self, text: bytes) -> list[Piece]:
        """Keep the beginning of a line; reject the line, once, when it grows too long."""
        if self._skips:
            return []
        self._pending += text
        if len(self._pending) <= self._limit:
            return []
        rejected = too_long(self._pending)
        self._pending.clear()
        self._skips = True
        return [rejected]


def too_long(line: bytes | bytearray) -> Piece:
    """Return the beginning of a line that is rejected for its length."""
    return Piece(bytes(line[: limits.REJECT_BYTES]), "line_too_long")
