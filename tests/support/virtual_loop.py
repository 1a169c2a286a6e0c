"""An event loop with a time that jumps to the next timer: hours pass in milliseconds, and two runs are the same.

Calls given to an executor run at once, on the loop. So it serves code without threads and without sockets of others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class VirtualLoop(asyncio.SelectorEventLoop):
    """State: the virtual time, in seconds since its start."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        inner = self._selector.select

        def select(timeout: float | None) -> list:
            if timeout is None:
                raise RuntimeError("every task waits, and no timer is set")
            self._now += max(0.0, timeout)
            return inner(0)

        self._selector.select = select

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor, func: Callable, *args) -> asyncio.Future:
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - raised in the caller
            done.set_exception(error)
        return done


class LoopClock:
    """relay.clock.Clock of such a loop; the wall clock can be stepped."""

    def __init__(self, loop: VirtualLoop, wall: float) -> None:
        self._loop = loop
        self._wall = wall

    def wall(self) -> float:
        return self._wall + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        self._wall += seconds
