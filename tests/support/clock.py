"""Clocks that move only when a task sleeps or a test moves them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class VirtualClock:
    """relay.clock.Clock in virtual time. A sleep jumps; wall and monotonic time may be stepped apart."""

    def __init__(self, wall: float = 1_764_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 1000.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._wall += seconds
        self._monotonic += seconds

    def step_wall(self, seconds: float) -> None:
        self._wall += seconds


class EventClock:
    """relay.clock.Clock in virtual time for many tasks: sleepers wake in order, and only while `pass_` says so.

    Real work (sockets, threads, disks) takes no time; time stands still while `busy` says that there is some.
    """

    QUIET = 20
    """Turns of the loop without a new sleeper after which all work of this moment is done."""

    def __init__(self, wall: float, *, busy: Callable[[], bool]) -> None:
        self._started = wall
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._busy = busy
        self._slept = 0

    def wall(self) -> float:
        return self._started + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._slept += 1
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._count), woken))
        await woken

    async def pass_(self, seconds: float) -> None:
        """Let time pass, from sleeper to sleeper."""
        end = self._now + seconds
        while True:
            await self._settle()
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)  # cancelled
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            self._now, _, woken = heapq.heappop(self._sleepers)
            woken.set_result(None)
        self._now = end

    async def _settle(self) -> None:
        """Wait until every task sleeps."""
        quiet, slept = 0, self._slept
        while quiet < self.QUIET:
            await asyncio.sleep(0.0005 if self._busy() else 0)
            quiet = 0 if self._busy() or slept != self._slept else quiet + 1
            slept = self._slept
