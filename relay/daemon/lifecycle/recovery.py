"""Recovery at a start: the windows of checkpoints come back, each under its own id, at any time.

A window that is over is closed at once, from a hot path of its own, so that no new line can join it. A window that is
still open is restored into the hot path that reads. The bases of gauges are merged after the samples of each window,
because a known base is never replaced; the bases of a closed window pass to the next one. Naming must not begin before
the recovery is done: until then the deltas of gauges wait for their bases.

Not known here: how checkpoints are written (delivery/state/checkpoint.py) and windows are closed (window/closer.py).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from relay.delivery.disk_thread import DiskThread
from relay.hotpath import partial
from relay.window.ids import floor_id, is_over, is_plausible, is_recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from relay.context import Context
    from relay.delivery.spool.spool import Spool
    from relay.delivery.state.checkpoint import Checkpoint, CheckpointFiles
    from relay.hotpath.contract import HotPath
    from relay.model import Series
    from relay.naming import Namer
    from relay.window.closer import Closer


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCheckpoints:
    """The windows of checkpoints that are not committed."""

    over: tuple[Checkpoint, ...]
    """Windows to close at once, oldest first. Of two open ones the older closes: merged, it would come back with the
    next start. There are two if the relay died in a close and the clock went back since then."""
    open: Checkpoint | None
    """The window that opens again. It may be of a clock that was not set; then its id moves when the clock is set."""
    foreign: tuple[Checkpoint, ...] = ()
    """Windows of another host, in a copied or moved directory; they are dropped, as that host sends them."""
    stored_by: str = ""
    """The host that stored the last window, if it is another one."""
    gauges: bytes = b""
    """Bases of gauges, stored with the last window."""
    recorded: bool = True
    """Whether there is a record of this host's last window."""
    parts: tuple[int, ...] = ()
    """Windows of which the disk holds a part, or may hold one."""

    @classmethod
    async def find(
        cls, files: CheckpointFiles | None, spool: Spool, *, host: str, wall: float, seconds: int
    ) -> PendingCheckpoints:
        """Read the checkpoints in the state directory; remove committed and foreign ones.

        Args:
            files: of the state directory; None without one.
            spool: has the committed ids, and the state stored with the last window.
            host: of this relay.
            wall: wall time now.
            seconds: of a window.
        """
        stored_by = (await spool.state("host") or b"").decode(errors="replace") or host
        try:
            found = await asyncio.to_thread(files.load, spool.committed) if files else []
            void = await asyncio.to_thread(files.void) if files else []
            parts = await asyncio.to_thread(files.windows) if files else []
        except OSError:
            # The files are unreadable, so assume that the last process left a part of the present window.
            return cls(over=(), open=None, recorded=False, parts=(floor_id(wall, seconds),))
        stored = list(spool.committed)
        spool.committed.update(void)
        foreign = tuple(one for one in found if (partial.host_of(one.frames) or stored_by) != host)
        if files and foreign:
            with suppress(OSError):
                await asyncio.to_thread(files.drop, [one.window for one in foreign])
        pending = cls.partition([one for one in found if one not in foreign], wall=wall, seconds=seconds)
        is_ours = stored_by == host and not foreign
        return replace(
            pending,
            foreign=foreign,
            stored_by="" if stored_by == host else stored_by,
            gauges=await spool.state("gauges") or b"",
            # A lost database may have been the only record of windows newer than those of the files.
            recorded=is_ours and bool(stored) and is_recorded([*stored, *pending.windows], wall, seconds),
            parts=tuple(parts),
        )

    @classmethod
    def partition(cls, found: Sequence[Checkpoint], *, wall: float, seconds: int) -> PendingCheckpoints:
        """Divide checkpoints, oldest first, into windows that are over and the one that opens again."""
        if not found or (is_over(found[-1].window, wall, seconds) and is_plausible(found[-1].window)):
            return cls(over=tuple(found), open=None)
        return cls(over=tuple(found[:-1]), open=found[-1])

    @property
    def foreign_host(self) -> str:
        """The host that the directory belongs to, if it is another one; "another host" if its name is not recorded."""
        named = filter(None, (self.stored_by, *(partial.host_of(one.frames) for one in self.foreign)))
        return next(named, "another host" if self.foreign else "")

    @property
    def resume(self) -> int | None:
        """Id of the window that opens again."""
        return self.open.window if self.open else None

    @property
    def windows(self) -> list[int]:
        """Ids of the windows to close and of the open one."""
        return [checkpoint.window for checkpoint in (*self.over, *([self.open] if self.open else []))]


class PartCounter:
    """State: the files, and a thread of its own, so that a hanging write does not block a read."""

    def __init__(self, files: CheckpointFiles | None, make_hotpath: Callable[[], HotPath]) -> None:
        self._files = files
        self._make_hotpath = make_hotpath
        self._thread = DiskThread("parts")

    async def count(self, window: int) -> int:
        """Return the number of samples of a window that the next start will find on the disk."""
        if self._files is None:
            return 0
        frames = await self._thread.run(self._files.read, window)
        side = self._make_hotpath()
        side.open_window(window)
        side.delete(side.recover(frames).deleted)
        tally = side.tally()
        return tally.samples_accepted - sum(tally.samples_dropped.values())

    def close(self) -> None:
        """End the thread without waiting for it, as its disk may hang."""
        self._thread.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Restores windows into the hot path and the closer. State: none."""

    hotpath: HotPath
    make_hotpath: Callable[[], HotPath]
    namer: Namer
    closer: Closer
    context: Context
    files: CheckpointFiles
    on_forgotten: Callable[[int, Collection[Series]], None] = lambda _, __: None
    """Called with the deleted series of the open window, which its next checkpoint must also name."""

    async def restore(self, pending: PendingCheckpoints) -> None:
        """Restore the windows and gauges of this host; drop those of another one."""
        self._drop_foreign(pending)
        gauges = b"" if pending.stored_by else pending.gauges
        for checkpoint in pending.over:
            side = self.make_hotpath()
            side.open_window(checkpoint.window)
            await self._recover(side, checkpoint, gauges)
            gauges = b"".join(side.export_gauges())
            await self._close(side)
        if pending.open:
            await self._recover(self.hotpath, pending.open, gauges)
        else:
            self._merge(self.hotpath, gauges)

    def _merge(self, hotpath: HotPath, gauges: bytes) -> None:
        damaged = hotpath.merge(gauges)
        if damaged:
            self.context.loss_log.warn(
                "stored gauges are damaged, the others are recovered", code="RLY412", gauges=damaged
            )

    async def _recover(self, hotpath: HotPath, checkpoint: Checkpoint, gauges: bytes) -> None:
        """Restore one window, then the older bases, without the series deleted while the window was open.

        A damaged file is set aside under another name.
        """
        before = hotpath.tally().samples_accepted
        contents = hotpath.recover(checkpoint.frames)
        self.namer.learn(contents.owners)
        samples = hotpath.tally().samples_accepted - before
        structlog.get_logger("relay").info("window recovered", window=checkpoint.window, samples=samples)
        if contents.damaged:
            path = await asyncio.to_thread(self.files.set_aside, checkpoint.window)
            event = "a checkpoint is damaged, what could be read is recovered"
            self.context.loss_log.warn(event, code="RLY412", subject=path.name, file=path.name)
        self._merge(hotpath, gauges)
        hotpath.delete(contents.deleted)
        if hotpath is self.hotpath and contents.deleted:
            self.on_forgotten(checkpoint.window, contents.deleted)

    def _drop_foreign(self, pending: PendingCheckpoints) -> None:
        """Count and log the dropped windows and gauges of another host."""
        for checkpoint in pending.foreign:
            side = self.make_hotpath()
            side.recover(checkpoint.frames)
            samples = side.tally().samples_accepted
            self.context.ledger.samples_recovered += samples
            self.context.ledger.samples_dropped["other_host"] += samples
            host = partial.host_of(checkpoint.frames) or pending.stored_by
            event = "the state directory is of another host, an open window is dropped"
            known: dict[str, Any] = {
                "host": host,
                "reason": "other_host",
                "window": checkpoint.window,
                "samples": samples,
            }
            self.context.loss_log.warn(event, code="RLY413", subject=str(checkpoint.window), **known)
        if pending.stored_by:
            gauges = sum(len(frame.gauges) for frame in partial.decode_frames(pending.gauges)[0])
            event = "the state directory is of another host, its gauges are dropped"
            self.context.loss_log.warn(event, code="RLY413", host=pending.stored_by, gauges=gauges)

    async def _close(self, side: HotPath) -> None:
        """Count the samples of a side hot path as recovered and close its window, without an await in between (I5)."""
        tally = side.tally()
        self.context.ledger.samples_recovered += tally.samples_accepted
        self.context.ledger.samples_dropped.update(tally.samples_dropped)
        await self.closer.close_recovered(side)
