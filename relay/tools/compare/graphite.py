"""Parses Graphite's plaintext protocol, as far as StatsD daemons write it: lines of `name value time`.

The input is untrusted. The length of a line is bounded. A line with a value that is not a finite number, or with a time
outside of this century, is not parsed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from relay import limits

LINE_MOST: Final = 8192
"""Bytes; longer than any line that a daemon makes of a real metric."""


class Measure(NamedTuple):
    """One line."""

    name: str
    value: float
    time: int
    """Unix seconds, by the daemon's clock."""


class Lines:
    """State: the beginning of an incomplete line, whether its rest is skipped, and the number of lines too long."""

    def __init__(self, most: int = LINE_MOST) -> None:
        self._most = most
        self._rest = bytearray()
        self._skips = False
        self.too_long = 0

    def receive(self, chunk: bytes) -> list[bytes]:
        """Return the lines completed by a chunk, without line feeds; lines over the bound are skipped."""
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest + lines[0])
            del lines[: self._skips]
            self._rest.clear()
            self._skips = False
        if not self._skips:
            self._rest += rest
        if len(self._rest) > self._most:
            self._rest.clear()
            self._skips = True
            self.too_long += 1
        kept = [line for line in lines if len(line) <= self._most]
        self.too_long += len(lines) - len(kept)
        return kept


def parse(line: bytes) -> Measure | None:
    """Parse a line; None if the line is not Graphite's."""
    fields = line.decode("utf-8", "replace").split()
    if len(fields) != 3:
        return None
    try:
        value, time = float(fields[1]), float(fields[2])
    except ValueError:
        return None
    if not (math.isfinite(value) and limits.YEAR_MIN <= time < limits.YEAR_MAX):
        return None
    return Measure(fields[0], value, int(time))
