"""What was open when the relay stopped or died comes back: each window under its own id, whatever time it is now.

A window that is over is closed at once, from a hot path of its own, so that no line that comes now can join it; the one
that is still open is restored into the hot path that reads. Gauges' bases follow in the order of the windows, the
stored ones last, because a base that is known is never replaced. Naming must not answer before this is done: until then
the deltas of gauges wait for their base.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from relay.window.ids import is_over, is_plausible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from relay.delivery.checkpoint import CheckpointFiles, Found
    from relay.hotpath.choose import HotPath
    from relay.naming import Namer
    from relay.telemetry import Ledger, LossLog
    from relay.window.closer import Closer


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """The windows of checkpoints that are not committed."""

    over: tuple[Found, ...]
    """Oldest first: those whose time is over, and all but the newest. Two were open when the relay died in a close, and
    the clock has gone back since then; joined, the older one would come back with the next start."""
    open: Found | None
    """Opens again; also one of a clock that was not set, which gets the id of the moment at which it is."""

    @classmethod
    async def find(
        cls, files: CheckpointFiles | None, committed: Collection[int], *, wall: float, seconds: int
    ) -> Owed:
        """Look into the state directory, if there is one; what is committed is removed."""
        found = await asyncio.to_thread(files.load, committed) if files else []
        return cls.sort(found, wall=wall, seconds=seconds)

    @classmethod
    def sort(cls, found: Sequence[Found], *, wall: float, seconds: int) -> Owed:
        """Divide what was found by the clock."""
        if not found or (is_over(found[-1].window, wall, seconds) and is_plausible(found[-1].window)):
            return cls(over=tuple(found), open=None)
        return cls(over=tuple(found[:-1]), open=found[-1])

    @property
    def resume(self) -> int | None:
        """Id of the window that opens again."""
        return self.open.window if self.open else None

    @property
    def windows(self) -> list[int]:
        """Ids of all of them."""
        return [found.window for found in (*self.over, *([self.open] if self.open else []))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """State: none; what it restores into."""

    hotpath: HotPath
    make_hotpath: Callable[[], HotPath]
    namer: Namer
    closer: Closer
    ledger: Ledger
    loss_log: LossLog
    files: CheckpointFiles

    async def restore(self, owed: Owed, gauges: bytes) -> None:
        """Bring everything back.

        Args:
            owed: checkpoints.
            gauges: bases as they were stored with the last committed window.
        """
        for found in owed.over:
            side = self.make_hotpath()
            side.open_window(found.window)
            await self._recover(side, found)
            side.merge(gauges)
            gauges = b"".join(side.export_gauges())
            await self._close(side)
        if owed.open:
            await self._recover(self.hotpath, owed.open)
        self.hotpath.merge(gauges)

    async def _recover(self, hotpath: HotPath, found: Found) -> None:
        """Restore one window; a file that is damaged in places is kept beside the one that will be written anew."""
        before = hotpath.tally().samples_accepted
        recovery = hotpath.recover(found.frames)
        self.namer.learn(recovery.owners)
        samples = hotpath.tally().samples_accepted - before
        structlog.get_logger("relay").info("window recovered", window=found.window, samples=samples)
        if recovery.damaged:
            kept = await asyncio.to_thread(self.files.set_aside, found.window)
            self.loss_log.warn("RLY412 checkpoint damaged, what could be read is recovered", reason=kept.name)

    async def _close(self, side: HotPath) -> None:
        """Count what the side path holds as accepted, and close its window; there is no await in between."""
        tally = side.tally()
        self.ledger.samples_recovered += tally.samples_accepted
        self.ledger.samples_dropped.update(tally.samples_dropped)
        await self.closer.close_recovered(side)
