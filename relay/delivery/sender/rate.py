"""How fast requests may leave: a rate that finds the quota by itself, under `requests_per_minute`. Pure.

The quota belongs to an access key and is shared with relays and programs that nobody here knows, so it is measured: a
429 stops everybody for as long as the cloud asks, and the rate goes on from 0.85 of what was accepted lately. From
there it follows a cubic, as TCP CUBIC does: quickly back to what was accepted, flat around it, and ever faster beyond,
because a quota that has not answered for long has probably grown. A burst of 429s is one cut, not several.

Only *busy* time counts, both for the cubic and for what was accepted lately: time in which somebody waited for a turn.
An idle minute proves nothing about the quota; neither does a pause.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# --- retry -----------------------------------------------------------------------------------------------------------

# When to try again. Pure: randomness is an argument.

BASE: Final = 0.5
"""Seconds."""
CAP: Final = 60.0
"""Seconds; there is no limit on elapsed time, only on age and bytes of what waits."""
PERSON_MIN: Final = 30.0
PERSON_SPAN: Final = 30.0


def backoff(failures: int, dice: float) -> float:
    """Return seconds to wait after the n-th failure in a row: full jitter over an exponential.

    Args:
        failures: 1 after the first one.
        dice: uniform, 0..1.
    """
    return dice * min(CAP, BASE * 2.0 ** min(failures, 16))


def wait_for_person(dice: float) -> float:
    """Return seconds to wait when only a person can help: 30 to 60, so that nothing spins."""
    return PERSON_MIN + PERSON_SPAN * dice


_CUT: Final = 0.15
"""Share of the measured rate that a 429 costs."""
_PLATEAU: Final = 15.0
"""Busy seconds from a cut back to the measured rate; 30 to 1.15 of it, 60 to 5 times of it."""
_MEASURED: Final = 30
"""Busy seconds over which accepted requests are counted."""
_BURST: Final = 0.1
"""Seconds whose requests may leave together, when the loop was late; at least two."""
_WHOLE: Final = 1 - 1e-6
"""A token, give or take what rounding does to the sum of a thousand parts."""
_JITTER: Final = 0.1
"""Of a Retry-After, added: a fleet that was stopped together should not return together."""


class AdaptiveRate:
    """State: tokens, a pause, busy seconds, and what the last 429 showed."""

    def __init__(self, *, per_minute: int) -> None:
        self._ceiling = per_minute / 60
        self._tokens = 1.0
        self._counted_at: float | None = None
        self._somebody_waits = False
        self._paused_until = 0.0
        self._throttled = 0
        """Answers in a row; stragglers of one burst count once."""
        self._busy = 0.0
        self._base: float | None = None
        """Requests a second that the last 429 showed to be possible; None before the first."""
        self._cut_at = 0.0
        """Busy seconds at the last cut."""
        self._accepted: deque[tuple[int, int]] = deque()
        """(busy second, requests accepted in it)."""

    def __repr__(self) -> str:
        """Report the rate."""
        return f"<AdaptiveRate {self.per_minute:.0f} a minute>"

    @property
    def per_minute(self) -> float:
        """Requests a minute that may leave now."""
        return self._rate() * 60

    def wait(self, now: float) -> float:
        """Return seconds until a request may leave; 0 says now. `leave` takes the turn.

        Args:
            now: monotonic seconds.
        """
        self._advance(now)
        if now < self._paused_until:
            return self._paused_until - now
        self._somebody_waits = self._tokens < _WHOLE
        return (1 - self._tokens) / self._rate() if self._somebody_waits else 0.0

    def leave(self, now: float) -> None:
        """Count a request that leaves."""
        self._advance(now)
        self._tokens -= 1

    def accepted(self, now: float) -> None:
        """Count an answer that is no 429."""
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

    def throttled(self, now: float, *, retry_after: float | None, dice: float) -> float:
        """Act on a 429.

        Args:
            now: monotonic seconds.
            retry_after: what the cloud asks for, already clamped; None if it asked for nothing.
            dice: uniform, 0..1.

        Returns:
            Seconds that everybody waits from now on.
        """
        self._advance(now)
        if now >= self._paused_until:  # not a straggler of the burst that is known already
            if not self._throttled:
                self._cut()
            self._throttled += 1
        pause = backoff(self._throttled, 0.5 + dice / 2) if retry_after is None else retry_after * (1 + dice * _JITTER)
        if retry_after is not None or now >= self._paused_until:
            self._paused_until = max(self._paused_until, now + pause)
        self._tokens = min(self._tokens, 1.0)
        return self._paused_until - now

    def _cut(self) -> None:
        rate = self._rate()
        self._base = max(min(rate, self._measured()), rate / 2)
        self._cut_at = self._busy

    def _measured(self) -> float:
        """Return accepted requests a busy second."""
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
        self._busy += elapsed if self._somebody_waits else min(elapsed, 1 / rate)
