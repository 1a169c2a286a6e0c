"""How a relay ends, once nothing is received any more: the open window, then the spool, then the senders.

The open window is on disk before anything else is tried. Whether it is also closed, or left for whoever comes next, is
what the two ends differ in. A window that nobody keeps is dropped, counted, before the books are closed. A disk that
hangs is waited for within limits: a stop takes 5 s at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from relay import limits
from relay.delivery.spool.writer import STALL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from relay.clock import Clock
    from relay.delivery.sender.pool import SenderPool
    from relay.delivery.spool.spool import Spool
    from relay.delivery.state.checkpoint import Checkpointer
    from relay.ledger import Books
    from relay.window.closer import Closer


T = TypeVar("T")

_LAST_TRY: Final = 0.5
"""Seconds for a disk that was waited for already: what it takes now may be on it."""
_LOOK: Final = 0.25
"""Seconds, of those of a stop, for a look at what such a disk has; often there are more left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """What became of the open window and of what was on its way."""

    closed_early: bool
    seconds: float
    books: Books
    is_handed_over: bool = False
    """To the worker that comes next, which goes on with the same window."""
    is_kept: bool = True
    """The open window was not closed and waits on disk; without a state directory it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """State: none; the parts that an end goes through."""

    closer: Closer
    checkpointer: Checkpointer | None
    count_part: Callable[[int], Coroutine[object, object, int]]
    """Says how many samples of a window the next start will find on the disk."""
    spool: Spool
    pool: SenderPool
    clock: Clock
    books: Callable[[], Books]
    seconds: int
    """Of a window."""

    async def drain(self, asked_at: float) -> ShutdownReport:
        """Settle the open window: on disk at once, then closed if it is the current minute's, then sent.

        Args:
            asked_at: monotonic time of the stop; a window that closed since then may have waited for the disk.
        """
        began = asked_at if self.spool.degraded else self.clock.monotonic()
        is_kept = await self._keep_window()
        closed_early = not (is_kept and self.spool.degraded) and await self._close_early()
        if closed_early and not self.spool.degraded and self.checkpointer:
            await _within(STALL, self.checkpointer.drop_void())
        last_try = _LAST_TRY + _LOOK if self.spool.degraded else 0.0
        await self.pool.drain(until=began + limits.STOP_SECONDS - last_try)
        if not is_kept and not closed_early:
            await self._discard(began)
        return await self._settle(began, closed_early=closed_early, is_kept=is_kept)

    async def leave(self) -> ShutdownReport:
        """Settle the open window for the worker that comes next: on disk, and not closed."""
        began = self.clock.monotonic()
        is_kept = await self._keep_window()
        if not is_kept:
            await self._discard(began)
        return await self._settle(began, closed_early=False, is_kept=is_kept)

    async def _keep_window(self) -> bool:
        """Name what is new and write the open window to the state directory; return whether it is on disk."""
        await self.closer.name_all()
        if self.checkpointer is None:
            return False
        limit = _LAST_TRY if self.spool.degraded or self.checkpointer.refused else STALL
        is_kept = await _within(limit, self.checkpointer.save(everything=True))
        if is_kept is None:
            self.spool.note_stall()  # one limit is enough: what follows does not wait for this disk again
        return bool(is_kept)

    async def _close_early(self) -> bool:
        """Close the open window; from memory alone it leaves only if a start finds no record of the one before either.

        Such a start gives the rest of the current window to the next id; any other one opens this id again.
        """
        window = self.closer.open_id
        before = window - self.seconds
        if self.checkpointer and (self.spool.is_recorded(before) or before in self.spool.parts):
            self.spool.parts.close_last(window)
        return await self.closer.close_early()

    async def _settle(self, began: float, *, closed_early: bool, is_kept: bool) -> ShutdownReport:
        """Count what nobody keeps, and close the books."""
        left = began + limits.STOP_SECONDS - _LOOK - self.clock.monotonic()
        await self.spool.settle(
            within=min(STALL, max(left, _LAST_TRY)), count_part=lambda window: self._count_part(window, began)
        )
        seconds = self.clock.monotonic() - began
        is_waiting = is_kept and not closed_early
        return ShutdownReport(closed_early=closed_early, seconds=seconds, books=self.books(), is_kept=is_waiting)

    async def _discard(self, began: float) -> None:
        """Drop the open window, but for what an earlier checkpoint leaves to the next start."""
        await self.closer.discard(await self._count_part(self.closer.open_id, began))

    async def _count_part(self, window: int, began: float) -> int:
        """Return the samples of a window that the disk has; 0 if it does not answer before the stop ends."""
        left = began + limits.STOP_SECONDS - self.clock.monotonic()
        return await _within(max(left, 0.0), self.count_part(window)) or 0


async def _within(seconds: float, work: Coroutine[object, object, T]) -> T | None:
    """Wait for a disk within a limit; None: it did not answer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None
