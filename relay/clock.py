"""Time comes in through a constructor: stages never ask the machine.

`SystemClock` is the real one. Tests use a virtual clock with the same three methods.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from relay import limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable


# --- pacing ----------------------------------------------------------------------------------------------------------

# Long work in slices, so that the event loop never stalls over 20 ms.

T = TypeVar("T")


async def paced(
    clock: Clock, items: Iterable[T], *, between: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[T]:
    """Pull lazily made items, letting others run every 5 ms; `between` does so and more."""
    slice_ends = clock.monotonic() + limits.CLOSE_SLICE
    for item in items:
        yield item
        if clock.monotonic() >= slice_ends:
            await (between() if between else clock.sleep(0))
            slice_ends = clock.monotonic() + limits.CLOSE_SLICE


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE: Final = re.compile(
    rf"(?:[A-Za-z]+, )?(\d\d?)[ -]({'|'.join(_MONTHS)})[ -](\d{{4}}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|[+-]0000)",
    re.ASCII,
)
"""RFC 9110: the one form that servers may send, and what differs from it in a sign or two."""

STEP: Final = 0.25
"""Seconds: what a wall clock gains or loses at once beyond this is a step; one that is slewed gains 0.5 ms a second."""


class Clock(Protocol):
    """Wall time, monotonic time and sleep, all in seconds."""

    def wall(self) -> float:
        """Unix time; may step."""
        ...

    def monotonic(self) -> float:
        """Never steps back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for at least this long; 0 yields once."""
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
        """asyncio.sleep."""
        import asyncio  # noqa: PLC0415 - a worker reads its sockets before it is imported

        await asyncio.sleep(seconds)


def read_http_date(text: str) -> float | None:
    """Return the Unix time of a date in a header of an answer; None for what is none.

    Own work, since `email.utils` raises whatever its parts raise, and a header is whatever the peer sends.
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
    """State: how far the wall clock was ahead of the monotonic one at the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lead = clock.wall() - clock.monotonic()

    def __repr__(self) -> str:
        """Report the lead."""
        return f"<Steps {self._lead:.3f} s ahead>"

    def look(self) -> float:
        """Return by how many seconds the wall clock has stepped since the last look; 0 if it has not."""
        lead = self._clock.wall() - self._clock.monotonic()
        step, self._lead = lead - self._lead, lead
        return step if abs(step) >= STEP else 0.0
