"""Publishes closed windows, with their points, to subscribers.

A subscriber gets every window that closes after it subscribed, with the points as they are sent. Without subscribers no
point is copied. Bounded (I6): four subscribers; for each, one window of any size, or several of 64 MiB in all. The
subscription of a slow reader ends, with that reason. This module does not know HTTP (http/windows.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relay.model import Point

SUBSCRIBERS_MOST: Final = 4
WAITING_BYTES: Final = 64 * 1024 * 1024
"""Bytes of points that may wait for one subscriber; a single window may be larger."""
WAITING_WINDOWS: Final = 64
SLOW: Final = "too slow: closed windows waited to be read"
STOPPED: Final = "the relay stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWindow:
    """A closed window as subscribers get it."""

    start: int
    seconds: int
    points: Sequence[bytes]
    """JSON objects, as they are sent."""
    size: int
    """Bytes of the points."""


class Subscriber:
    """State: the queued windows, and the reason why no more will come."""

    def __init__(self, since: int) -> None:
        self.since = since
        """Id of the first window that this subscriber gets."""
        self.end = ""
        """Why no more windows come; empty while more may come."""
        self._waiting: deque[PublishedWindow] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def offer(self, window: PublishedWindow) -> None:
        """Queue a window. If too much waits already, empty the queue and end the subscription."""
        if self.end or window.start < self.since:
            return
        self._bytes += window.size
        if self._waiting and (self._bytes > WAITING_BYTES or len(self._waiting) == WAITING_WINDOWS):
            self._waiting.clear()
            self.finish(SLOW)
            return
        self._waiting.append(window)
        self._changed.set()

    def finish(self, why: str) -> None:
        """End the subscription; `next_window` returns the queued windows first."""
        self.end = self.end or why
        self._changed.set()

    async def next_window(self) -> PublishedWindow | None:
        """Wait for the next window; None once the subscription has ended, see `end`."""
        while not self._waiting:
            if self.end:
                return None
            self._changed.clear()
            await self._changed.wait()
        window = self._waiting.popleft()
        self._bytes -= window.size
        return window


class WindowSubscribers:
    """State: the subscribers."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        """Length of a window."""
        self._subscribers: list[Subscriber] = []

    def __len__(self) -> int:
        """Return the number of subscribers."""
        return len(self._subscribers)

    def subscribe(self, since: int) -> Subscriber | None:
        """Return a new subscriber to the windows from id `since` on; None if there are too many."""
        if len(self._subscribers) == SUBSCRIBERS_MOST:
            return None
        subscriber = Subscriber(since)
        self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        self._subscribers.remove(subscriber)

    def close(self) -> None:
        """End every subscription, since the relay stops."""
        for subscriber in self._subscribers:
            subscriber.finish(STOPPED)

    def publish(self, points: Iterable[Point], window: int) -> Iterable[Point]:
        """Return the points of a closing window; once the last one is consumed, the subscribers get the window."""
        return self._collect(points, window) if self._subscribers else points

    def _collect(self, points: Iterable[Point], window: int) -> Iterator[Point]:
        bodies: list[bytes] = []
        for point in points:
            bodies.append(point.body)
            yield point
        closed = PublishedWindow(start=window, seconds=self.seconds, points=bodies, size=sum(map(len, bodies)))
        for subscriber in self._subscribers:
            subscriber.offer(closed)
