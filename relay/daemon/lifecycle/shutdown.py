"""The end of a relay after its sockets are closed: the open window is settled, then senders and spool end.

First the open window is written to disk. `drain`, for a stop, then closes it early and sends what it can; `hand_over`
keeps it open for the next worker. A window that cannot be written is dropped and counted before the final report. Every
wait for a disk has a limit: a stop takes 5 s at most.

Not known here: how a window is closed, written and sent.
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
"""Seconds for a last write to a disk that refuses or hangs."""
_READ_SECONDS: Final = 0.25
"""Seconds of a stop reserved for reading what such a disk has; often more are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """The fate of the open window, and the final books."""

    closed_early: bool
    seconds: float
    books: Books
    is_handed_over: bool = False
    """Whether the next worker continues the open window."""
    is_kept: bool = True
    """Whether the open window was not closed and is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Ends the parts of a relay in order. State: none."""

    closer: Closer
    checkpointer: Checkpointer | None
    count_part: Callable[[int], Coroutine[object, object, int]]
    """Returns the number of samples of a window that the next start will find on the disk."""
    spool: Spool
    pool: SenderPool
    clock: Clock
    books: Callable[[], Books]
    seconds: int
    """Length of a window."""

    async def drain(self, asked_at: float) -> ShutdownReport:
        """Write the open window to disk, close it early if it is the current minute's, and send what is possible.

        Args:
            asked_at: monotonic time of the stop. While the disk refuses, the time limit counts from it, as the close of
                another window may have waited for the disk since.
        """
        began = asked_at if self.spool.degraded else self.clock.monotonic()
        is_kept = await self._save_window()
        closed_early = not (is_kept and self.spool.degraded) and await self._close_early()
        if closed_early and not self.spool.degraded and self.checkpointer:
            await _within(STALL, self.checkpointer.drop_void())
        last_try = _LAST_TRY + _READ_SECONDS if self.spool.degraded else 0.0
        await self.pool.drain(until=began + limits.STOP_SECONDS - last_try)
        if not is_kept and not closed_early:
            await self._discard(began)
        return await self._settle(began, closed_early=closed_early, is_kept=is_kept)

    async def hand_over(self) -> ShutdownReport:
        """Write the open window to disk for the next worker, without closing it."""
        began = self.clock.monotonic()
        is_kept = await self._save_window()
        if not is_kept:
            await self._discard(began)
        return await self._settle(began, closed_early=False, is_kept=is_kept)

    async def _save_window(self) -> bool:
        """Name all new identities and write the open window to disk; return whether it is there."""
        await self.closer.name_all()
        if self.checkpointer is None:
            return False
        limit = _LAST_TRY if self.spool.degraded or self.checkpointer.is_failing else STALL
        is_kept = await _within(limit, self.checkpointer.save(everything=True))
        if is_kept is None:
            self.spool.report_stall()  # the following steps do not wait for this disk again
        return bool(is_kept)

    async def _close_early(self) -> bool:
        """Close the open window early; return whether it was closed.

        If the disk has a record of the previous window, the next start would open the id of this one again. Then the
        window must not be sent from memory before its id is stored. Without such a record a start gives the rest of
        the current window to the next id.
        """
        window = self.closer.open_id
        before = window - self.seconds
        if self.checkpointer and (self.spool.is_recorded(before) or before in self.spool.checkpointed):
            self.spool.checkpointed.close_last(window)
        return await self.closer.close_early()

    async def _settle(self, began: float, *, closed_early: bool, is_kept: bool) -> ShutdownReport:
        """End the spool, which counts what is lost, and return the report."""
        left = began + limits.STOP_SECONDS - _READ_SECONDS - self.clock.monotonic()
        await self.spool.settle(
            within=min(STALL, max(left, _LAST_TRY)), count_part=lambda window: self._count_part(window, began)
        )
        seconds = self.clock.monotonic() - began
        is_waiting = is_kept and not closed_early
        return ShutdownReport(closed_early=closed_early, seconds=seconds, books=self.books(), is_kept=is_waiting)

    async def _discard(self, began: float) -> None:
        """Drop the open window, except the samples that an earlier checkpoint leaves to the next start."""
        await self.closer.discard(await self._count_part(self.closer.open_id, began))

    async def _count_part(self, window: int, began: float) -> int:
        """Return the number of samples of a window on disk; 0 if the disk does not answer before the stop ends."""
        left = began + limits.STOP_SECONDS - self.clock.monotonic()
        return await _within(max(left, 0.0), self.count_part(window)) or 0


async def _within(seconds: float, work: Coroutine[object, object, T]) -> T | None:
    """Wait for a disk call within a limit; return None if it did not answer."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None
