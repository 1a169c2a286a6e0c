"""Time comes in through a constructor: stages never ask the machine.

`SystemClock` is the real one. Tests use a virtual clock with the same three methods.
"""

from __future__ import annotations

import time
from typing import Protocol


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
