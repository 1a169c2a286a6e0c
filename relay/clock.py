"""Clocks: wall time, monotonic time, sleep, and pacing of long work on the event loop.

A stage receives its `Clock` through its constructor and never reads the machine's clock itself. `SystemClock` is the
real clock; tests use a virtual one with the same three methods. Also here: the date in an HTTP header, steps of the
wall clock, and the lag of the event loop.
"""

from __future__ import annotations

import re
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable


# --- pacing ----------------------------------------------------------------------------------------------------------

# Long work is cut into slices of 5 ms (SLICE), so that the event loop never stalls over 20 ms.

T = TypeVar("T")

SLICE: Final = 0.005
"""Seconds of work between two yields to the event loop; the promise is 20 ms."""


async def paced(
    clock: Clock, items: Iterable[T], *, between: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[T]:
    """Yield the items, and let other tasks run every 5 ms.

    Args:
        clock: measures the slices and yields to the event loop.
        items: made lazily, so that making them is paced too.
        between: awaited instead of the yield between two slices; it must itself let other tasks run.
    """
    slice_ends = clock.monotonic() + SLICE
    for item in items:
        yield item
        if clock.monotonic() >= slice_ends:
            await (between() if between else clock.sleep(0))
            slice_ends = clock.monotonic() + SLICE


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE: Final = re.compile(
    rf"(?:[A-Za-z]+, )?(\d\d?)[ -]({'|'.join(_MONTHS)})[ -](\d{{4}}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|[+-]0000)",
    re.ASCII,
)
"""RFC 9110: IMF-fixdate, which servers must send, and close variants (no weekday, dashes, UTC or +0000)."""

STEP: Final = 0.25
"""Seconds: a larger change against the monotonic clock is a step. A clock that is slewed gains 0.5 ms a second."""


class Clock(Protocol):
    """Wall time, monotonic time and sleep, all in seconds."""

    def wall(self) -> float:
        """Unix time; may step."""
        ...

    def monotonic(self) -> float:
        """Never steps back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for at least this long; 0 yields once."""
        ...


class SystemClock:
    """The machine's clocks and the running event loop's sleep."""

    def wall(self) -> float:
        """Unix time."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        import asyncio  # noqa: PLC0415 - a worker reads its sockets before it is imported

        await asyncio.sleep(seconds)


def read_http_date(text: str) -> float | None:
    """Return the Unix time of an HTTP date; None if the text is not a date.

    `email.utils` is not used: on malformed dates it raises undocumented exceptions, and the header is untrusted.
    """
    match = _HTTP_DATE.fullmatch(text.strip())
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    month_number = _MONTHS.index(month) + 1
    try:
        moment = datetime(int(year), month_number, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:  # a 31st of February, a minute 61
        return None
    return moment.timestamp()


class Steps:
    """State: the wall time at the last call of `poll`, and how far it was ahead of the monotonic time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.wall = clock.wall()
        """Use this reading with the answer of `poll`: the clock may step between two readings."""
        self._lead = self.wall - clock.monotonic()

    def poll(self) -> float:
        """Return by how many seconds the wall clock has stepped since the last call; 0 if it has not stepped."""
        self.wall = self._clock.wall()
        lead = self.wall - self._clock.monotonic()
        step, self._lead = lead - self._lead, lead
        return step if abs(step) >= STEP else 0.0


class LagProbe:
    """State: the latest measured lag of the event loop, in seconds, and the times of the latest large ones."""

    INTERVAL: Final = 0.5
    SLOW: Final = 1.0
    """Seconds of lag from which a probe is remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 0.0
        self.slow_at: deque[float] = deque(maxlen=10)
        """Wall times of the latest probes that were late by over `SLOW`, oldest first."""

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.monotonic()
            await self._clock.sleep(self.INTERVAL)
            self.seconds = max(0.0, self._clock.monotonic() - began - self.INTERVAL)
            if self.seconds > self.SLOW:
                self.slow_at.append(self._clock.wall())
