"""The request rate: it adapts to the quota, and never exceeds `requests_per_minute`. Pure.

A quota belongs to an access key and is shared with other relays and unknown programs, so it is measured. A 429 pauses
all senders for as long as the cloud asks. Then the rate restarts at 0.85 of the recently accepted rate and follows a
cubic, as in TCP CUBIC: fast up to the accepted rate, flat around it, and ever faster beyond, because the quota may have
grown. A burst of 429s cuts the rate once.

Only busy time counts for the cubic and for the accepted rate: time in which a request waited for a turn. Idle time and
pauses say nothing about the quota.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# --- backoff ---------------------------------------------------------------------------------------------------------

BASE: Final = 0.5
"""Seconds."""
CAP: Final = 60.0
"""Seconds. Elapsed time is not limited; the age and the bytes of waiting batches are."""
MISCONFIGURED_MIN: Final = 30.0
MISCONFIGURED_SPAN: Final = 30.0


def backoff(failures: int, jitter: float) -> float:
    """Return seconds to wait after the n-th failure in a row: full jitter over an exponential.

    Args:
        failures: 1 after the first one.
        jitter: random, uniform in 0..1.
    """
    return jitter * min(CAP, BASE * 2.0 ** min(failures, 16))


def misconfigured_backoff(jitter: float) -> float:
    """Return seconds to wait, 30 to 60, when only a person can help."""
    return MISCONFIGURED_MIN + MISCONFIGURED_SPAN * jitter


# --- adaptive rate ---------------------------------------------------------------------------------------------------


_CUT: Final = 0.15
"""Share of the measured rate by which a 429 cuts it."""
_PLATEAU: Final = 15.0
"""Busy seconds from a cut to the measured rate. After 30 the rate is 1.15 times the measured one, after 60 5 times."""
_MEASURED: Final = 30
"""Busy seconds over which accepted requests are counted."""
_BURST: Final = 0.1
"""Capacity of the token bucket in seconds of the rate, but at least two tokens: a late loop may catch up."""
_WHOLE: Final = 1 - 1e-6
"""One token, less the rounding error of a sum of a thousand parts."""
_JITTER: Final = 0.1
"""Share of a Retry-After that is added at random: a fleet paused together should not resume together."""


class AdaptiveRate:
    """State: tokens, the pause, busy seconds, and the rate measured at the last 429."""

    def __init__(self, *, per_minute: int) -> None:
        self._ceiling = per_minute / 60
        self._tokens = 1.0
        self._counted_at: float | None = None
        self._is_waited_for = False
        self._paused_until = 0.0
        self._throttled = 0
        """429s in a row; those of one burst count once."""
        self._busy = 0.0
        self._base: float | None = None
        """Requests a second measured at the last 429; None before the first."""
        self._cut_at = 0.0
        """Busy seconds at the last cut."""
        self._accepted: deque[tuple[int, int]] = deque()
        """(busy second, requests accepted in it)."""

    @property
    def per_minute(self) -> float:
        """Requests a minute that may be sent now."""
        return self._rate() * 60

    @property
    def is_throttled(self) -> bool:
        """Whether the last answer was a 429."""
        return self._throttled > 0

    def wait(self, now: float) -> float:
        """Return seconds until a request may be sent; 0 means now. Then the caller calls `acquire`.

        Args:
            now: monotonic seconds.
        """
        self._advance(now)
        if now < self._paused_until:
            return self._paused_until - now
        self._is_waited_for = self._tokens < _WHOLE
        return (1 - self._tokens) / self._rate() if self._is_waited_for else 0.0

    def acquire(self, now: float) -> None:
        """Count a request that is sent."""
        self._advance(now)
        self._tokens -= 1

    def accepted(self, now: float) -> None:
        """Count an answer other than 429."""
        self._advance(now)
        self._throttled = 0
        second = int(self._busy)
        if self._accepted and self._accepted[-1][0] == second:
            second, count = self._accepted.pop()
            self._accepted.append((second, count + 1))
        else:
            self._accepted.append((second, 1))
        while self._accepted[0][0] < second - _MEASURED:
            self._accepted.popleft()

    def throttled(self, now: float, *, retry_after: float | None, jitter: float) -> float:
        """Act on a 429.

        Args:
            now: monotonic seconds.
            retry_after: seconds that the cloud asks for, already clamped; None without the header.
            jitter: random, uniform in 0..1.

        Returns:
            Seconds for which all senders pause from now on.
        """
        self._advance(now)
        if now >= self._paused_until:  # not a late answer of the same burst
            if not self._throttled:
                self._cut()
            self._throttled += 1
        pause = (
            backoff(self._throttled, 0.5 + jitter / 2) if retry_after is None else retry_after * (1 + jitter * _JITTER)
        )
        if retry_after is not None or now >= self._paused_until:
            self._paused_until = max(self._paused_until, now + pause)
        self._tokens = min(self._tokens, 1.0)
        return self._paused_until - now

    def _cut(self) -> None:
        rate = self._rate()
        self._base = max(min(rate, self._measured()), rate / 2)
        self._cut_at = self._busy

    def _measured(self) -> float:
        """Return the accepted requests per busy second."""
        began = max(self._cut_at, self._busy - _MEASURED) if self._base is not None else self._busy - _MEASURED
        counted = sum(count for second, count in self._accepted if second >= int(began))
        return counted / max(1.0, self._busy - max(0.0, began))

    def _rate(self) -> float:
        if self._base is None:
            return self._ceiling
        curve = 1 + _CUT * ((self._busy - self._cut_at) / _PLATEAU - 1) ** 3
        return min(self._ceiling, self._base * curve)

    def _advance(self, now: float) -> None:
        since = now if self._counted_at is None else self._counted_at
        elapsed = max(0.0, now - max(since, min(now, self._paused_until)))
        self._counted_at = max(since, now)
        rate = self._rate()
        self._tokens = min(max(2.0, rate * _BURST), self._tokens + elapsed * rate)
        self._busy += elapsed if self._is_waited_for else min(elapsed, 1 / rate)
