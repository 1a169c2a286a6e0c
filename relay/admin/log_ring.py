"""The newest lines of the log, kept in memory for `bundle`: the log of the machine may be out of its reach."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

import msgspec

_BYTES_MOST: Final = 262_144


class LogAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of the worker's log since its start, in the format of the log."""

    lines: list[str]
    """Oldest first."""
    left_out: int
    """Older lines since the start of the worker."""


class LogRing:
    """State: the newest lines, at most 256 KiB of them, and the number of older ones."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._gone = 0

    def add(self, line: str) -> None:
        """Keep a line; the oldest ones go."""
        self._lines.append(line[:_BYTES_MOST])
        self._bytes += len(self._lines[-1])
        while self._bytes > _BYTES_MOST:
            self._bytes -= len(self._lines.popleft())
            self._gone += 1

    def answer(self, count: int) -> LogAnswer:
        """Return the newest lines, at most `count`."""
        others = max(0, len(self._lines) - count)
        return LogAnswer(lines=list(islice(self._lines, others, None)), left_out=self._gone + others)
