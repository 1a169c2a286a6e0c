"""How fast requests may leave: a token bucket under `requests_per_minute`. Pure: the time is an argument."""

from __future__ import annotations


class TokenBucket:
    """State: tokens left, and when they were counted; one token is one request."""

    def __init__(self, per_minute: int, burst: int) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._tokens = float(burst)
        self._counted_at = 0.0

    def __repr__(self) -> str:
        """Report the tokens."""
        return f"<TokenBucket {self._tokens:.1f} of {self._burst:.0f}, {self.per_minute:.0f} a minute>"

    @property
    def per_minute(self) -> float:
        """Requests a minute."""
        return self._rate * 60

    def take(self, now: float) -> float:
        """Take a token, maybe one that is not there yet.

        Args:
            now: monotonic seconds.

        Returns:
            Seconds to wait before it may be used.
        """
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._counted_at) * self._rate)
        self._counted_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)
