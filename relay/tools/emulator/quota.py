"""Request quotas of an access key, as services apply them. Pure: tests run the sender against them in virtual time."""

from __future__ import annotations

from typing import Protocol


class Quota(Protocol):
    """Decides which requests are within a quota; the others are answered 429."""

    def take(self, now: float) -> float:
        """Return 0 if a request is within the quota, else the seconds until one would be."""
        ...


class TokenBucket:
    """State: the tokens left, refilled at a constant rate."""

    def __init__(self, per_second: float, *, burst: float | None = None) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second if burst is None else burst)
        self._tokens = self._burst
        self._counted_at = 0.0

    def take(self, now: float) -> float:
        """Return 0 if a request is within the quota, else the seconds until one would be."""
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0


class FixedWindow:
    """State: the requests in the current window, which begins at a multiple of its length."""

    def __init__(self, requests: int, *, seconds: float = 60.0) -> None:
        self._requests = requests
        self._seconds = seconds
        self._window = -1.0
        self._used = 0

    def take(self, now: float) -> float:
        """Return 0 if a request is within the quota, else the seconds until one would be."""
        window = now // self._seconds
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= self._requests:
            return (window + 1) * self._seconds - now
        self._used += 1
        return 0.0
