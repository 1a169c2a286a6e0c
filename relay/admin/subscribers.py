"""Publishes closed windows, with their points, to subscribers.

A subscriber gets every window that closes after it subscribed, with the points as they are sent. Without subscribers no
point is kept. Bounded (I6): four subscribers; for each one window of any size, or several of 64 MiB in all. A
subscriber that reads too slowly is told so and gets nothing more. This module does not know HTTP (http/windows.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relay.model import Point

WATCHERS: Final = 4
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
    """State: the windows that wait to be taken, and the reason why no more will come."""

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
        """End the subscription; `take` returns the queued windows first."""
        self.end = self.end or why
        self._changed.set()

    async def take(self) -> PublishedWindow | None:
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
        self._watchers: list[Subscriber] = []

    def watch(self, since: int) -> Subscriber | None:
        """Return a new subscriber to the windows from id `since` on; None if there are too many."""
        if len(self._watchers) == WATCHERS:
            return None
        watcher = Subscriber(since)
        self._watchers.append(watcher)
        return watcher

    def leave(self, watcher: Subscriber) -> None:
        """Remove a subscriber."""
        self._watchers.remove(watcher)

    def close(self) -> None:
        """End every subscription, since the relay stops."""
        for watcher in self._watchers:
            watcher.finish(STOPPED)

    def tap(self, points: Iterable[Point], window: int) -> Iterable[Point]:
        """Return the points of a closing window; the last one taken publishes the window to the subscribers."""
        return self._keep(points, window) if self._watchers else points

    def _keep(self, points: Iterable[Point], window: int) -> Iterator[Point]:
        kept: list[bytes] = []
        for point in points:
            kept.append(point.body)
            yield point
        closed = PublishedWindow(start=window, seconds=self.seconds, points=kept, size=sum(map(len, kept)))
        for watcher in self._watchers:
            watcher.offer(closed)
