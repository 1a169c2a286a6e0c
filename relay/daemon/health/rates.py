"""Lines and packets a second, over the last looks of the watch. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

_LOOKS: Final = 6
"""Looks over which a rate is taken: five seconds, so that a burst of one second does not hide the usual rate."""


class Rates:
    """State: time, lines and packets of the last looks."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=_LOOKS)

    def observe(self, now: float, *, lines: int, packets: int) -> None:
        """Record the counters of a look; `now` is monotonic."""
        self._seen.append((now, lines, packets))

    @property
    def lines(self) -> float:
        """Lines a second."""
        return self._rate(1)

    @property
    def packets(self) -> float:
        """Datagrams and chunks of streams a second."""
        return self._rate(2)

    def _rate(self, field: int) -> float:
        if not self._seen:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        seconds = last[0] - first[0]
        return (last[field] - first[field]) / seconds if seconds > 0 else 0.0
