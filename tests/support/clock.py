"""A clock that moves only when somebody sleeps or a test says so."""

from __future__ import annotations

import asyncio


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
