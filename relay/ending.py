"""How a relay ends, once nothing is received any more: the open window, then the spool, then the senders.

The open window is on disk before anything else is tried. Whether it is also closed, or left for whoever comes next, is
what the two ends differ in. A window that nobody keeps is dropped, counted, before the books are closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.clock import Clock
    from relay.delivery.checkpoint import Checkpointer
    from relay.delivery.pool import SenderPool
    from relay.delivery.spool import Spool
    from relay.telemetry import Books
    from relay.window.closer import Closer


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of the open window and of what was on its way."""

    closed_early: bool
    seconds: float
    books: Books
    is_handed_over: bool = False
    """To the worker that comes next, which goes on with the same window."""
    is_kept: bool = True
    """The open window was not closed and waits on disk; without a state directory it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """State: none; the parts that an end goes through."""

    closer: Closer
    checkpointer: Checkpointer | None
    spool: Spool
    pool: SenderPool
    clock: Clock
    books: Callable[[], Books]

    async def drain(self) -> Stopped:
        """Settle the open window: on disk at once, then closed if it is the current minute's, then sent."""
        began = self.clock.monotonic()
        is_kept = await self._keep_window()
        may_close = not (is_kept and self.spool.degraded)  # an id that cannot be stored would open again
        closed_early = may_close and await self.closer.close_early()
        if closed_early and self.checkpointer:
            await self.checkpointer.drop_void()
        await self.pool.drain(until=began + limits.STOP_SECONDS)
        if not is_kept and not closed_early:
            await self.closer.discard()
        return await self._settle(began, closed_early=closed_early, is_kept=is_kept)

    async def leave(self) -> Stopped:
        """Settle the open window for the worker that comes next: on disk, and not closed."""
        began = self.clock.monotonic()
        is_kept = await self._keep_window()
        if not is_kept:
            await self.closer.discard()
        return await self._settle(began, closed_early=False, is_kept=is_kept)

    async def _keep_window(self) -> bool:
        """Name what is new and write the open window to the state directory; return whether it is on disk."""
        await self.closer.name_all()
        return self.checkpointer is not None and await self.checkpointer.save(everything=True)

    async def _settle(self, began: float, *, closed_early: bool, is_kept: bool) -> Stopped:
        """Count what nobody keeps, and close the books."""
        await self.spool.settle()
        seconds = self.clock.monotonic() - began
        is_waiting = is_kept and not closed_early
        return Stopped(closed_early=closed_early, seconds=seconds, books=self.books(), is_kept=is_waiting)
