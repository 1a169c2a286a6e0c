"""When will the spool be full: a forecast from how it grew. Pure.

Known here: the quota, the share from which it is worth a warning, and the last half hour of windows. Not known: what is
done about it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WARN_SHARE: Final = 0.8
_OBSERVATIONS: Final = 30


class Filling:
    """State: the last 30 observations of (seconds, bytes used)."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._seen: deque[tuple[float, int]] = deque(maxlen=_OBSERVATIONS)

    def __repr__(self) -> str:
        """Report the last observation."""
        return f"<Filling {self._seen[-1][1] if self._seen else 0} of {self._limit} bytes>"

    def observe(self, now: float, used: int) -> float | None:
        """Note what is used; return the hours until it is full, if that is worth a warning.

        Args:
            now: monotonic seconds.
            used: bytes.

        Returns:
            None below 80 % and while it shrinks; 0 if it is full.
        """
        self._seen.append((now, used))
        began, before = self._seen[0]
        if used < WARN_SHARE * self._limit or used <= before or now <= began:
            return None
        return max(0.0, (self._limit - used) / (used - before) * (now - began) / 3600)
