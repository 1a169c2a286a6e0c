"""Links that open the page with full access, and the cookies of browsers that used one.

A link is good once, for five minutes; its cookie is good for twelve hours. Both are random and end with the worker.
Bounded (I6): 32 links and 32 cookies, the oldest goes.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.clock import Clock

LINK_SECONDS: Final = 300.0
COOKIE_SECONDS: Final = 12 * 3600
_MOST: Final = 32


class Sessions:
    """State: the links not used yet, and the cookies."""

    def __init__(self, clock: Clock) -> None:
        self._links = ExpiringKeys(clock, lifetime=LINK_SECONDS)
        self._cookies = ExpiringKeys(clock, lifetime=COOKIE_SECONDS)
        self.cookie_name = f"statsd-relay-{secrets.token_hex(4)}"
        """Cookies do not belong to a port: with one name, two relays on a machine would replace each other's."""

    def make_link(self) -> str:
        """Return the key of a new link."""
        return self._links.make()

    def use_link(self, key: str) -> str:
        """Return a new cookie for the key of a link, which is then used up; "" if it is not good."""
        return self._cookies.make() if self._links.remove(key) else ""

    def has_cookie(self, value: str) -> bool:
        """Return whether a cookie is good."""
        return value in self._cookies


class ExpiringKeys:
    """State: hashes of random keys, oldest first, and the monotonic time at which each expires.

    A look-up compares hashes, so its duration says nothing about a key.
    """

    def __init__(self, clock: Clock, *, lifetime: float) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._ends: dict[bytes, float] = {}

    def make(self) -> str:
        """Return a new key; it replaces the oldest if there are too many."""
        while len(self._ends) >= _MOST:
            del self._ends[next(iter(self._ends))]
        key = secrets.token_urlsafe(32)
        self._ends[_hash(key)] = self._clock.monotonic() + self._lifetime
        return key

    def __contains__(self, key: str) -> bool:
        """Return whether a key is known and has not expired."""
        return self._clock.monotonic() < self._ends.get(_hash(key), 0.0)

    def remove(self, key: str) -> bool:
        """Remove a key; return whether it was good."""
        is_good = key in self
        self._ends.pop(_hash(key), None)
        return is_good


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
