"""Who watches windows close: points are kept for watchers, and nothing costs anything without one.

A watcher is told of every window that closes after it came, with the points as they are sent. Bounded (I6): a few
watchers; what waits for one is at most a window, or 64 MiB of several. One that reads slower than that is told so and
gets nothing more. Nothing here knows HTTP: a relay imports that only when its sockets are read (windows.py).
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
"""Of points that wait for one watcher, beyond a single window."""
WAITING_WINDOWS: Final = 64
SLOW: Final = "too slow: closed windows waited to be read"
STOPPED: Final = "the relay stops"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWindow:
    """A window that closed."""

    start: int
    seconds: int
    points: Sequence[bytes]
    """JSON objects, as they are sent."""
    size: int
    """Bytes of the points."""


class Subscriber:
    """State: the windows that wait to be read, and why there will be no more."""

    def __init__(self, since: int) -> None:
        self.since = since
        """Id of the first window it is told of."""
        self.end = ""
        """Why nothing more comes; empty while something may."""
        self._waiting: deque[PublishedWindow] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        """Report what waits."""
        return f"<Subscriber {len(self._waiting)} windows, {self._bytes} bytes>"

    def offer(self, window: PublishedWindow) -> None:
        """Let a window wait, unless too much does already: then the watcher gets none of it any more."""
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
        """Let `take` say that nothing more comes, after what waits."""
        self.end = self.end or why
        self._changed.set()

    async def take(self) -> PublishedWindow | None:
        """Wait for the next window; None when there will be none, see `end`."""
        while not self._waiting:
            if self.end:
                return None
            self._changed.clear()
            await self._changed.wait()
        window = self._waiting.popleft()
        self._bytes -= window.size
        return window


class WindowSubscribers:
    """State: the watchers."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        """Of every window."""
        self._watchers: list[Subscriber] = []

    def __repr__(self) -> str:
        """Report the watchers."""
        return f"<WindowSubscribers {self._watchers}>"

    def watch(self, since: int) -> Subscriber | None:
        """Return a new watcher of the windows from id `since` on; None if there are too many."""
        if len(self._watchers) == WATCHERS:
            return None
        watcher = Subscriber(since)
        self._watchers.append(watcher)
        return watcher

    def leave(self, watcher: Subscriber) -> None:
        """Forget a watcher."""
        self._watchers.remove(watcher)

    def close(self) -> None:
        """Let every watcher end: the relay stops."""
        for watcher in self._watchers:
            watcher.finish(STOPPED)

    def tap(self, points: Iterable[Point], window: int) -> Iterable[Point]:
        """Return the points of a closing window, which watchers are told of once the last one was taken."""
        return self._keep(points, window) if self._watchers else points

    def _keep(self, points: Iterable[Point], window: int) -> Iterator[Point]:
        kept: list[bytes] = []
        for point in points:
            kept.append(point.body)
            yield point
        closed = PublishedWindow(start=window, seconds=self.seconds, points=kept, size=sum(map(len, kept)))
        for watcher in self._watchers:
            watcher.offer(closed)
