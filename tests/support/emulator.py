"""The local cloud as tests control it: its faults end, its secret is replaced, its quota is bounded."""

from __future__ import annotations

from collections import Counter
from typing import Any

from relay.config.types import Secret
from relay.jdcloud.sign import Signer
from relay.tools.emulator import Emulator


class ControlledEmulator(Emulator):
    """The local cloud, with the methods that tests alone need."""

    def rotate(self, secret_key: str) -> None:
        """Accept only this secret from now on."""
        self._signer = Signer(access_key=self._access_key, secret_key=Secret(secret_key), region=self._region)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def duplicates(self) -> list[tuple[Any, ...]]:
        """Return each (metric, dimensions, timestamp) that was stored more than once."""
        keys = Counter((p["metric"], tuple(sorted(p["dimensions"].items())), p["timestamp"]) for p in self.received)
        return [key for key, count in keys.items() if count > 1]


class TokenBucket:
    """State: the tokens left, refilled at a constant rate."""

    def __init__(self, per_second: float, *, burst: float | None = None) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second if burst is None else burst)
        self._tokens = self._burst
        self._counted_at = 0.0

    def acquire(self, now: float) -> float:
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

    def acquire(self, now: float) -> float:
        """Return 0 if a request is within the quota, else the seconds until one would be."""
        window = now // self._seconds
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= self._requests:
            return (window + 1) * self._seconds - now
        self._used += 1
        return 0.0
